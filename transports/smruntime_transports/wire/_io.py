"""What the IOs of every transport over a wire share; a transport adds how to wait, to sleep, to look up a name, to work beside."""

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

from ..nonblocking._waiting import Begin
from ..system._credential_refresh import Renewals
from ..system._files import read_file, write_file
from ._uploads import measure, measure_awaited, supply
from ._wire import Wire

if TYPE_CHECKING:
    from smruntime_core.credentials import ProviderLike

P = ParamSpec("P")
T = TypeVar("T")


class WireIO:
    """The wire, and what to sign with once the settings are known."""

    renewals: Renewals | None = None

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def configure(self, credentials: ProviderLike | None, world: World, ca_bundle: str | None) -> Cache:
        """What the settings came to; who finds them out a second time, as tasks that begin together do, changes nothing."""
        self.renewals = self.renewals or Renewals(credentials, world)
        self.wire.trust(ca_bundle)
        return self.renewals.cache

    def prepared(self) -> Renewals:
        """Where credentials come from."""
        assert self.renewals is not None, "prepared before it is called"  # noqa: S101 - a mistake of ours
        return self.renewals


class BlockingWireIO(WireIO):
    """The effects that a wire answers, blocking."""

    def credentials(self, effect: GetCredentials, /) -> Credentials:
        renewals = self.prepared()
        if effect.rejected is None and (held := renewals.cache.at_hand()) is not None:
            return held
        return run(renewals.fetch(effect, os.getpid()), self)

    def begin(self, effect: Begin, /) -> None:
        try:
            threading.Thread(target=self._begun, args=(effect,), daemon=True).start()
        except RuntimeError:  # none to be had, as when the interpreter is about to end
            self._begun(effect)

    def _begun(self, effect: Begin) -> None:
        outcome: object = None
        try:
            outcome = run(effect.flow, self)
        except (Exception, SystemExit) as error:  # nobody's program is to end by it
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
    """The same, awaited, on any event loop."""

    async def credentials(self, effect: GetCredentials, /) -> Credentials:
        renewals = self.prepared()
        if effect.rejected is None and (held := renewals.cache.at_hand()) is not None:
            return held
        return await run_async(renewals.fetch(effect, self.home()), self)

    async def begin(self, effect: Begin, /) -> None:
        self.beside(lambda: self._begun(effect))

    async def _begun(self, effect: Begin) -> None:
        outcome: object = None
        try:
            outcome = await run_async(effect.flow, self)
        except (Exception, SystemExit) as error:  # nobody's program is to end by it
            outcome = error
        finally:
            effect.over(outcome)

    def send(self, effect: Send, /) -> Awaitable[Response]:
        return run_async(self.wire.exchange(effect), self)

    def open(self, effect: Open, /) -> Awaitable[StreamingResponse]:
        return run_async(self.wire.open(effect), self)

    async def receive(self, effect: Receive, /) -> bytes:
        await self.checkpoint()  # a fast peer leaves nothing to wait for, and other tasks want their turn
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
        cancelled = threading.Event()
        try:
            return await self.in_thread(run_process, effect, cancelled)
        finally:
            cancelled.set()  # the thread is not waited for, but it kills the program

    async def ask(self, effect: Ask, /) -> object:
        """In a thread, since it may block; what it returns is awaited here if it can be."""
        answer = await self.in_thread(_answer, effect)
        if not isinstance(answer, Awaitable):
            return answer
        try:
            return await cast("Awaitable[object]", answer)
        except SmRuntimeError:
            raise
        except Exception as error:
            raise raised(effect.function, error) from error

    async def checkpoint(self) -> None:
        """Let other tasks run."""
        raise NotImplementedError

    async def shelter(self, do: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Have `do` done even if the task is being cancelled, for so long."""
        raise NotImplementedError

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have a function that blocks called in a thread, which is not waited for if the task is cancelled."""
        raise NotImplementedError

    def beside(self, do: Callable[[], Awaitable[None]]) -> None:
        """Begin `do` in a task of its own, which outlives this one."""
        raise NotImplementedError

    def home(self) -> object:
        """The running loop, or what stands for it."""
        raise NotImplementedError


def _answer(effect: Ask) -> object:
    try:
        return effect.function(*effect.arguments)
    except SmRuntimeError:
        raise
    except Exception as error:
        raise raised(effect.function, error) from error


def run_process(effect: RunProcess, cancelled: threading.Event | None = None) -> Finished:
    """See `_process`, which few need: `subprocess` takes a while to import."""
    from ..system._processes import run_process

    return run_process(effect, cancelled)
