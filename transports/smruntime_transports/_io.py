"""What the IOs of every transport over a wire share; a transport adds how to wait, to sleep, to look up a name, to work beside.

Credentials are kept by a `Cache`, which knows when they are to be renewed. A renewal is a flow of the provider's, run once for
everybody, in a thread or a task of its own: whoever began it may be cancelled or run out of time, and the others get what it came to.
What needs nothing from outside (keys in the environment, keys given) is over with the first step of its flow, and nothing is begun.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from typing import NamedTuple, ParamSpec, Protocol, TypeVar, cast

from smruntime_core import (
    ConstructionError,
    Credentials,
    CredentialsError,
    Effect,
    Flow,
    GetCredentials,
    Open,
    Receive,
    Response,
    Send,
    SmRuntimeError,
    StreamingResponse,
    run,
    run_async,
)
from smruntime_core._effects import Ask, Contents, Finished, ReadFile, RunProcess, WriteFile
from smruntime_core.credentials import Cache, ProviderLike, World, provider_of
from smruntime_core.credentials._provider import raised

from ._files import read_file, write_file
from ._wire import Wire

P = ParamSpec("P")
T = TypeVar("T")


class Over(Protocol):
    """An event: a renewal is over."""

    def set(self) -> object: ...


class Renewal:
    """One renewal in flight. `home` is where it runs, a process or a loop: one begun elsewhere is not waited for."""

    def __init__(self, home: object, over: Over) -> None:
        self.home = home
        self.over = over
        self.error: SmRuntimeError | None = None


class Joined(NamedTuple):
    """What a caller does: run `flow` if there is one, and `wait` for the renewal, if there is one."""

    renewal: Renewal | None = None
    flow: Flow[Credentials] | None = None
    wait: bool = False


class WireIO:
    """The wire, and what to sign with once the settings are known."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.cache: Cache | None = None
        self._given: ProviderLike | None = None
        self._world: World | None = None
        self._renewal: Renewal | None = None
        self._lock = threading.Lock()

    def configure(self, credentials: ProviderLike | None, world: World, ca_bundle: str | None) -> None:
        """What the settings came to."""
        self._given, self._world = credentials, world
        self.cache = Cache(world.clock.time, world.random)
        self.wire.trust(ca_bundle)

    def join(self, rejected: Credentials | None, home: object, event: Callable[[], Over]) -> Joined:
        """What to do for credentials that are not simply there."""
        with self._lock:
            cache, renewal = self._configured(), self._renewal
            if renewal is not None and renewal.home != home:
                cache.abandoned()
            advice = cache.advise(rejected)
            if advice == "use":
                return Joined()
            flow = None
            if cache.begin():
                self._renewal = renewal = Renewal(home, event())
                flow = self._flow()
        if flow is not None and renewal is not None:
            flow = self._first_step(flow, renewal)
        return Joined(renewal, flow, advice == "wait")

    def settle(self, renewal: Renewal, outcome: Credentials | BaseException | None) -> None:
        """The renewal is over and came to `outcome`; None if nobody ran it to its end."""
        with self._lock:
            if self._renewal is renewal:
                self._renewal = None
                renewal.error = self._note(outcome)
        renewal.over.set()

    def keys(self, joined: Joined) -> Credentials:
        """What to sign with, after all that was to be done has been; raises `CredentialsError` if there is nothing valid."""
        found = self._configured().valid()
        if found is not None:
            return found
        error = joined.renewal.error if joined.renewal else None
        if error is None:
            raise CredentialsError("fetching credentials was interrupted, or they have just expired: call again")
        tried = error.tried if isinstance(error, CredentialsError) else ()
        raise CredentialsError(str(error), tried=tried) from error  # a new one: it may be raised in many places at once

    def _note(self, outcome: Credentials | BaseException | None) -> SmRuntimeError | None:
        cache = self._configured()
        if outcome is None:
            cache.abandoned()
            return None
        if isinstance(outcome, Credentials):
            try:
                cache.done(outcome)
            except CredentialsError as error:
                return error
            return None
        cache.failed()
        if isinstance(outcome, SmRuntimeError):
            return outcome
        wrapped = CredentialsError(f"the credentials provider raised {type(outcome).__name__}")
        wrapped.__cause__ = outcome
        return wrapped

    def _flow(self) -> Flow[Credentials]:
        assert self._world is not None, "configured"  # noqa: S101 - `_configured` saw to it
        return provider_of(self._given).provide(self._world.anew())

    def _first_step(self, flow: Flow[Credentials], renewal: Renewal) -> Flow[Credentials] | None:
        """What is left of `flow`; None if that was all."""
        try:
            effect = flow.send(None)
        except StopIteration as end:
            self.settle(renewal, end.value)
        except BaseException as error:
            self.settle(renewal, error)
            if not isinstance(error, Exception):
                raise
        else:
            return _rest(effect, flow)
        return None

    def _configured(self) -> Cache:
        assert self.cache is not None, "prepared before it is called"  # noqa: S101 - a mistake of ours
        return self.cache


def _rest(effect: Effect[object], flow: Flow[T]) -> Flow[T]:
    """A flow that has asked for `effect` already, as one that is about to."""
    try:
        while True:
            reply = yield effect
            try:
                effect = flow.send(reply)
            except StopIteration as end:
                return cast("T", end.value)
    finally:
        flow.close()


def _late(effect: GetCredentials) -> CredentialsError:
    return CredentialsError(f"no credentials within {effect.timeout:.3g} s: they are still being fetched")


class BlockingWireIO(WireIO):
    """The effects that a wire answers, blocking."""

    def credentials(self, effect: GetCredentials, /) -> Credentials:
        held = self.cache and self.cache.hit(effect.rejected)
        return held or self._fetched(effect)

    def _fetched(self, effect: GetCredentials) -> Credentials:
        joined = self.join(effect.rejected, os.getpid(), threading.Event)
        renewal, flow, wait = joined
        if renewal is not None and flow is not None:
            try:
                threading.Thread(target=self._renew, args=(flow, renewal), daemon=True).start()
            except RuntimeError:  # none to be had, as when the interpreter is about to end
                self._renew(flow, renewal)
        if wait and renewal is not None and not cast("threading.Event", renewal.over).wait(effect.timeout):
            raise _late(effect)
        return self.keys(joined)

    def _renew(self, flow: Flow[Credentials], renewal: Renewal) -> None:
        outcome: Credentials | BaseException | None = None
        try:
            outcome = run(flow, self)
        except Exception as error:
            outcome = error
        finally:
            self.settle(renewal, outcome)

    def send(self, effect: Send, /) -> Response:
        return run(self.wire.exchange(effect), self)

    def open(self, effect: Open, /) -> StreamingResponse:
        return run(self.wire.open(effect), self)

    def receive(self, effect: Receive, /) -> bytes:
        return run(self.wire.receive(effect), self)

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
        held = self.cache and self.cache.hit(effect.rejected)
        return held or await self._fetched(effect)

    async def _fetched(self, effect: GetCredentials) -> Credentials:
        joined = self.join(effect.rejected, self.home(), self.event)
        renewal, flow, wait = joined
        if renewal is not None and flow is not None:
            self.beside(lambda: self._renew(flow, renewal))
        if wait and renewal is not None and not await self.within(effect.timeout, renewal.over):
            raise _late(effect)
        return self.keys(joined)

    async def _renew(self, flow: Flow[Credentials], renewal: Renewal) -> None:
        outcome: Credentials | BaseException | None = None
        try:
            outcome = await run_async(flow, self)
        except Exception as error:
            outcome = error
        finally:
            self.settle(renewal, outcome)

    async def send(self, effect: Send, /) -> Response:
        return await run_async(self.wire.exchange(effect), self)

    async def open(self, effect: Open, /) -> StreamingResponse:
        return await run_async(self.wire.open(effect), self)

    async def receive(self, effect: Receive, /) -> bytes:
        await self.checkpoint()  # a fast peer leaves nothing to wait for, and other tasks want their turn
        return await run_async(self.wire.receive(effect), self)

    async def read_file(self, effect: ReadFile, /) -> Contents | None:
        return await self.in_thread(read_file, effect)

    async def write_file(self, effect: WriteFile, /) -> None:
        await self.in_thread(write_file, effect)

    async def run_process(self, effect: RunProcess, /) -> Finished:
        return await self.in_thread(run_process, effect)

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

    def event(self) -> Over:
        """A new event of this loop."""
        raise NotImplementedError

    async def within(self, seconds: float | None, over: Over) -> bool:
        """Wait until `over` is set; False if `seconds` passed first."""
        raise NotImplementedError


def _answer(effect: Ask) -> object:
    try:
        return effect.function(*effect.arguments)
    except SmRuntimeError:
        raise
    except Exception as error:
        raise raised(effect.function, error) from error


def run_process(effect: RunProcess) -> Finished:
    """See `_process`, which few need: `subprocess` takes a while to import."""
    from ._process import run_process

    return run_process(effect)
