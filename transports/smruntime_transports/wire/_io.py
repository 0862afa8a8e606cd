"""The effects that all IOs over connections answer alike.

An adapter adds how to wait, to sleep, and to start threads and tasks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from smruntime_core import (
    ConstructionError,
    Credentials,
    GetCredentials,
    Measure,
    Open,
    Receive,
    Response,
    Send,
    SmRuntimeError,
    StreamingResponse,
    Supply,
    run,
    run_async,
)
from smruntime_core.credentials import Cache, World
from smruntime_core.credentials._provider import raised
from smruntime_core.effects import Ask, Contents, Finished, ReadFile, RunProcess, WriteFile
from smruntime_core.values._bodies import Sendable

from ..nonblocking._waiting import Spawn
from ..system._credential_refresh import Renewals
from ..system._files import read_file, write_file
from ._uploads import measure, measure_awaited, supply
from ._wire import Wire

if TYPE_CHECKING:
    from smruntime_core.credentials import ProviderLike

P = ParamSpec("P")
T = TypeVar("T")


class WireIO:
    """A wire, and the source of credentials once the settings are known."""

    renewals: Renewals | None = None

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def configure(self, credentials: ProviderLike | None, world: World, ca_bundle: str | None) -> Cache:
        """Apply resolved settings. Tasks that start together may each do so; the first counts."""
        self.renewals = self.renewals or Renewals(credentials, world)
        self.wire.trust(ca_bundle)
        return self.renewals.cache

    def prepared(self) -> Renewals:
        """Return the source of credentials."""
        assert self.renewals is not None, "configure() first"  # noqa: S101 - a mistake of ours
        return self.renewals


class BlockingWireIO(WireIO):
    """An IO whose effects block."""

    def credentials(self, effect: GetCredentials, /) -> Credentials:
        renewals = self.prepared()
        if effect.rejected is None and (held := renewals.cache.at_hand()) is not None:
            return held
        return run(renewals.fetch(effect, os.getpid()), self)

    def spawn(self, effect: Spawn, /) -> None:
        try:
            threading.Thread(target=self._run_spawned, args=(effect,), daemon=True).start()
        except RuntimeError:  # no thread can start, as when the interpreter is about to end
            self._run_spawned(effect)

    def _run_spawned(self, effect: Spawn) -> None:
        outcome: object = None
        try:
            outcome = run(effect.flow, self)
        except (Exception, SystemExit) as error:  # a provider's `sys.exit` must not end the program
            outcome = error
        finally:
            effect.over(outcome)

    def send(self, effect: Send, /) -> Response:
        return run(self.wire.exchange(effect), self)

    def open(self, effect: Open, /) -> StreamingResponse:
        return run(self.wire.open(effect), self)

    def receive(self, effect: Receive, /) -> bytes:
        return run(self.wire.receive(effect), self)

    def measure(self, effect: Measure, /) -> Sendable:
        return measure(effect)

    def supply(self, effect: Supply, /) -> bytes:
        return supply(effect)

    def read_file(self, effect: ReadFile, /) -> Contents | None:
        return read_file(effect)

    def write_file(self, effect: WriteFile, /) -> None:
        write_file(effect)

    def run_process(self, effect: RunProcess, /) -> Finished:
        return run_process(effect)

    def ask(self, effect: Ask, /) -> object:
        answer = _answer(effect)
        if isinstance(answer, Awaitable):
            if callable(close := getattr(cast("object", answer), "close", None)):
                close()
            raise ConstructionError("credentials", "a provider that blocks", "one that is awaited needs an asynchronous client")
        return answer


class AwaitedWireIO(WireIO):
    """An IO whose effects are awaited, on any event loop."""

    async def credentials(self, effect: GetCredentials, /) -> Credentials:
        renewals = self.prepared()
        if effect.rejected is None and (held := renewals.cache.at_hand()) is not None:
            return held
        return await run_async(renewals.fetch(effect, self.current_loop()), self)

    async def spawn(self, effect: Spawn, /) -> None:
        self.start_task(lambda: self._run_spawned(effect))

    async def _run_spawned(self, effect: Spawn) -> None:
        outcome: object = None
        try:
            outcome = await run_async(effect.flow, self)
        except (Exception, SystemExit) as error:  # a provider's `sys.exit` must not end the program
            outcome = error
        finally:
            effect.over(outcome)

    def send(self, effect: Send, /) -> Awaitable[Response]:
        return run_async(self.wire.exchange(effect), self)

    def open(self, effect: Open, /) -> Awaitable[StreamingResponse]:
        return run_async(self.wire.open(effect), self)

    async def receive(self, effect: Receive, /) -> bytes:
        await self.checkpoint()  # with a fast peer nothing is waited for, and others would not run
        return await run_async(self.wire.receive(effect), self)

    async def measure(self, effect: Measure, /) -> Sendable:
        if effect.source.kind == "async iterator":
            return await measure_awaited(effect.source)
        return await self.in_thread(measure, effect)

    async def supply(self, effect: Supply, /) -> bytes:
        return await self.in_thread(supply, effect)

    async def read_file(self, effect: ReadFile, /) -> Contents | None:
        return await self.in_thread(read_file, effect)

    async def write_file(self, effect: WriteFile, /) -> None:
        await self.in_thread(write_file, effect)

    async def run_process(self, effect: RunProcess, /) -> Finished:
        return await self.in_thread(run_process, effect)

    async def ask(self, effect: Ask, /) -> object:
        """Call it in a thread, since it may block; await what it returns if that is awaitable."""
        answer = await self.in_thread(_answer, effect)
        if not isinstance(answer, Awaitable):
            return answer
        try:
            return await cast("Awaitable[object]", answer)
        except SmRuntimeError:
            raise
        except Exception as error:
            raise raised(effect.function, error) from error

    # Adapters implement these, and the effects `sleep`, `wait`, `wait_any_writable`, `wait_turn`.

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


def _answer(effect: Ask) -> object:
    try:
        return effect.function(*effect.arguments)
    except SmRuntimeError:
        raise
    except Exception as error:
        raise raised(effect.function, error) from error


def run_process(effect: RunProcess) -> Finished:
    """Run a process; the import of `subprocess` is paid by callers that need it."""
    from ..system._processes import run_process

    return run_process(effect)
