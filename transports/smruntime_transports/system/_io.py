"""The effects that need no connection: credentials, files, programs, threads and tasks.

`BlockingSystem` answers them by blocking, `AsyncSystem` by awaiting. An adapter for an event loop
adds how to sleep, wait for a turn, and start threads and tasks. The adapters over connections are
built on these, and a user's IO is completed by them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from smruntime_core import ConstructionError, Credentials, SmRuntimeError, run, run_async
from smruntime_core.credentials import ProviderContext, provider_error
from smruntime_core.effects import (
    Ask,
    FileContents,
    GetCredentials,
    Measure,
    ProcessResult,
    ReadFile,
    RunProcess,
    Sendable,
    Sleep,
    Supply,
    WriteFile,
)

from ..nonblocking._waiting import Spawn, WaitTurn
from ._credential_refresh import CredentialRefresher
from ._files import read_file, write_file
from ._uploads import measure, measure_async_iterator, supply

if TYPE_CHECKING:
    from smruntime_core.credentials import ProviderLike

P = ParamSpec("P")
T = TypeVar("T")


class System:
    """The credentials of a client, once its settings are known."""

    refresher: CredentialRefresher | None = None
    completes: object = None  # the user's IO that this one completes, if there is one

    @property
    def complete_io(self) -> object:
        """The IO that flows run on: it has `send` as well."""
        return self if self.completes is None else self.completes

    def configure(
        self, credentials: ProviderLike | None, world: ProviderContext, ca_bundle: str | None
    ) -> None:
        """Take the settings; a second time, as when tasks begin together, changes nothing."""
        del ca_bundle  # for adapters with connections
        self.refresher = self.refresher or CredentialRefresher(credentials, world)

    def configured_refresher(self) -> CredentialRefresher:
        """Return what `configure` made."""
        # a mistake of ours
        assert self.refresher is not None, "configure() comes first"  # noqa: S101
        return self.refresher


class BlockingSystem(System):
    """The effects of the system, answered by blocking. Threads may share it."""

    def sleep(self, effect: Sleep, /) -> None:
        time.sleep(effect.seconds)

    def wait_turn(self, effect: WaitTurn, /) -> None:
        ticket_called = threading.Event()
        effect.ticket.when_called(ticket_called.set)
        ticket_called.wait(effect.seconds)

    def credentials(self, effect: GetCredentials, /) -> Credentials:
        refresher = self.configured_refresher()
        if (at_hand := refresher.at_hand(effect)) is not None:
            return at_hand
        return run(refresher.fetch(effect, os.getpid()), self.complete_io)

    def spawn(self, effect: Spawn, /) -> None:
        try:
            threading.Thread(target=self._run_spawned, args=(effect,), daemon=True).start()
        except RuntimeError:  # no thread can start, as when the interpreter is about to end
            self._run_spawned(effect)

    def _run_spawned(self, effect: Spawn) -> None:
        flow_outcome: object = None
        try:
            flow_outcome = run(effect.flow, self.complete_io)
        except (Exception, SystemExit) as error:  # a provider's `sys.exit` must not end the program
            flow_outcome = error
        finally:
            effect.finish_callback(flow_outcome)

    def measure(self, effect: Measure, /) -> Sendable:
        return measure(effect)

    def supply(self, effect: Supply, /) -> bytes:
        return supply(effect)

    def read_file(self, effect: ReadFile, /) -> FileContents | None:
        return read_file(effect)

    def write_file(self, effect: WriteFile, /) -> None:
        write_file(effect)

    def run_process(self, effect: RunProcess, /) -> ProcessResult:
        return run_process(effect)

    def ask(self, effect: Ask, /) -> object:
        provider_answer = _call_provider(effect)
        if isinstance(provider_answer, Awaitable):
            if callable(close_awaitable := getattr(cast("object", provider_answer), "close", None)):
                close_awaitable()
            problem = "one that is awaited needs an asynchronous client"
            raise ConstructionError("credentials", "a provider that blocks", problem)
        return provider_answer


class AsyncSystem(System):
    """The effects of the system, awaited on any event loop."""

    async def credentials(self, effect: GetCredentials, /) -> Credentials:
        refresher = self.configured_refresher()
        if (at_hand := refresher.at_hand(effect)) is not None:
            return at_hand
        return await run_async(refresher.fetch(effect, self.current_loop()), self.complete_io)

    async def spawn(self, effect: Spawn, /) -> None:
        self.start_task(lambda: self._run_spawned(effect))

    async def _run_spawned(self, effect: Spawn) -> None:
        flow_outcome: object = None
        try:
            flow_outcome = await run_async(effect.flow, self.complete_io)
        except (Exception, SystemExit) as error:  # a provider's `sys.exit` must not end the program
            flow_outcome = error
        finally:
            effect.finish_callback(flow_outcome)

    async def measure(self, effect: Measure, /) -> Sendable:
        if effect.source.kind == "async iterator":
            return await measure_async_iterator(effect.source)
        return await self.in_thread(measure, effect)

    async def supply(self, effect: Supply, /) -> bytes:
        return await self.in_thread(supply, effect)

    async def read_file(self, effect: ReadFile, /) -> FileContents | None:
        return await self.in_thread(read_file, effect)

    async def write_file(self, effect: WriteFile, /) -> None:
        await self.in_thread(write_file, effect)

    async def run_process(self, effect: RunProcess, /) -> ProcessResult:
        cancelled = threading.Event()
        try:
            return await self.in_thread(run_process, effect, cancelled)
        finally:
            cancelled.set()  # the thread goes on until it has killed the program

    async def ask(self, effect: Ask, /) -> object:
        """Call the provider in a thread, since it may block; await an awaitable that it returns."""
        provider_answer = await self.in_thread(_call_provider, effect)
        if not isinstance(provider_answer, Awaitable):
            return provider_answer
        with _provider_errors(effect):
            return await cast("Awaitable[object]", provider_answer)

    # an adapter for an event loop adds the following

    async def sleep(self, effect: Sleep, /) -> None:
        raise NotImplementedError

    async def wait_turn(self, effect: WaitTurn, /) -> None:
        raise NotImplementedError

    async def checkpoint(self) -> None:
        """Let other tasks run."""
        raise NotImplementedError

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a blocking function in a thread; a cancelled task does not wait for it to end."""
        raise NotImplementedError

    def start_task(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` in a task that outlives the current one."""
        raise NotImplementedError

    async def run_shielded(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Run `work` for at most `seconds`, even if the current task is being cancelled."""
        raise NotImplementedError

    def current_loop(self) -> object:
        """Return the running loop, or a token that stands for it."""
        raise NotImplementedError


def _call_provider(effect: Ask) -> object:
    with _provider_errors(effect):
        return effect.function(*effect.arguments)


@contextmanager
def _provider_errors(effect: Ask) -> Generator[None]:
    """Turn any exception of a provider into an error of this library."""
    try:
        yield
    except SmRuntimeError:
        raise
    except Exception as error:
        raise provider_error(effect.function, error) from error


def run_process(effect: RunProcess, cancelled: threading.Event | None = None) -> ProcessResult:
    """Run a process; only callers that need it pay for the import of `subprocess`."""
    from ._processes import run_process

    return run_process(effect, cancelled)
