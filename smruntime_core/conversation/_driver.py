"""The two loops: all that knows whether the world is blocking or awaits.

An IO is an object with one method per effect, named by `Effect.method`. It returns the reply or raises `SmRuntimeError`,
which is a reply as well. Anything else that it raises (a cancellation, `KeyboardInterrupt`) closes the flow and goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from ..effects import Effect, Flow, GetCredentials, Open, Receive, Send, Sleep
from ..errors import SmRuntimeError
from ..values._credentials import Credentials
from ..values._http import Response, StreamingResponse

T = TypeVar("T")


class SyncIO(Protocol):
    """What `run` needs: blocking methods. Only streams ask for the last two, and only bodies that are no bytes for `measure(Measure)`."""

    def credentials(self, effect: GetCredentials, /) -> Credentials: ...
    def send(self, effect: Send, /) -> Response: ...
    def sleep(self, effect: Sleep, /) -> None: ...
    def open(self, effect: Open, /) -> StreamingResponse: ...
    def receive(self, effect: Receive, /) -> bytes: ...


class AsyncIO(Protocol):
    """What `run_async` needs: the same methods, to be awaited on any event loop."""

    def credentials(self, effect: GetCredentials, /) -> Awaitable[Credentials]: ...
    def send(self, effect: Send, /) -> Awaitable[Response]: ...
    def sleep(self, effect: Sleep, /) -> Awaitable[None]: ...
    def open(self, effect: Open, /) -> Awaitable[StreamingResponse]: ...
    def receive(self, effect: Receive, /) -> Awaitable[bytes]: ...


def run(flow: Flow[T], io: object) -> T:
    """Answer the effects of `flow` with the blocking methods of `io` (a `SyncIO`) until it returns or raises."""
    reply: object = None
    try:
        while True:
            try:
                effect = flow.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                reply = getattr(io, effect.method)(effect)
            except SmRuntimeError as failure:
                reply = failure
            except AttributeError:
                raise_if_missing(io, effect)
                raise
    except BaseException:
        flow.close()
        raise


async def run_async(flow: Flow[T], io: object) -> T:
    """`run` for an `io` whose methods are awaited (an `AsyncIO`)."""
    reply: object = None
    try:
        while True:
            try:
                effect = flow.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                reply = await getattr(io, effect.method)(effect)
            except SmRuntimeError as failure:
                reply = failure
            except AttributeError:
                raise_if_missing(io, effect)
                raise
    except BaseException:
        flow.close()
        raise


def raise_if_missing(io: object, effect: Effect[object]) -> None:
    """Raise `TypeError` naming the method and the feature if `io` cannot answer `effect` at all."""
    if not hasattr(io, effect.method):
        name = type(
            getattr(io, "given", io)
        ).__name__  # a client completes the IO that it was given
        message = f"{name} has no method {effect.method}(), which is needed for {effect.feature}"
        raise TypeError(f"{message}: see smruntime_core.effects.{type(effect).__name__}") from None
