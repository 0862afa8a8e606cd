"""The two loops that drive flows: all that differs between sync and async.

An IO is an object with one method per effect, named by `Effect.method`. It returns the reply or
raises an `SmRuntimeError`, which is a reply as well. Any other exception (a cancellation,
`KeyboardInterrupt`) closes the flow and propagates.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from ..effects import Effect, Flow, GetCredentials, Open, Receive, Send, Sleep
from ..errors import SmRuntimeError
from ..values._credentials import Credentials
from ..values._http import Response, StreamingResponse

ResultT = TypeVar("ResultT")


class SyncIO(Protocol):
    """The methods that `run` calls; they block.

    Only streams need `open` and `receive`. A body that is a file or an iterator needs `measure`,
    too.
    """

    def credentials(self, effect: GetCredentials, /) -> Credentials: ...
    def send(self, effect: Send, /) -> Response: ...
    def sleep(self, effect: Sleep, /) -> None: ...
    def open(self, effect: Open, /) -> StreamingResponse: ...
    def receive(self, effect: Receive, /) -> bytes: ...


class AsyncIO(Protocol):
    """The methods that `run_async` awaits, on any event loop; see `SyncIO`."""

    def credentials(self, effect: GetCredentials, /) -> Awaitable[Credentials]: ...
    def send(self, effect: Send, /) -> Awaitable[Response]: ...
    def sleep(self, effect: Sleep, /) -> Awaitable[None]: ...
    def open(self, effect: Open, /) -> Awaitable[StreamingResponse]: ...
    def receive(self, effect: Receive, /) -> Awaitable[bytes]: ...


def run(flow: Flow[ResultT], io: object) -> ResultT:
    """Answer the effects of `flow` with the methods of `io` (a `SyncIO`) and return its result."""
    effect_reply: object = None
    try:
        while True:
            try:
                effect = flow.send(effect_reply)
            except StopIteration as end:
                flow_result: ResultT = end.value
                return flow_result
            try:
                effect_reply = getattr(io, effect.method)(effect)
            except SmRuntimeError as failure:
                effect_reply = failure
            except AttributeError:
                raise_if_missing(io, effect)
                raise
    except BaseException:
        flow.close()
        raise


async def run_async(flow: Flow[ResultT], io: object) -> ResultT:
    """Answer the effects of `flow` by awaiting the methods of `io` (an `AsyncIO`)."""
    effect_reply: object = None
    try:
        while True:
            try:
                effect = flow.send(effect_reply)
            except StopIteration as end:
                flow_result: ResultT = end.value
                return flow_result
            try:
                effect_reply = await getattr(io, effect.method)(effect)
            except SmRuntimeError as failure:
                effect_reply = failure
            except AttributeError:
                raise_if_missing(io, effect)
                raise
    except BaseException:
        flow.close()
        raise


def raise_if_missing(io: object, effect: Effect[object]) -> None:
    """Raise `TypeError` naming the method and the feature if `io` has no method for `effect`."""
    if not hasattr(io, effect.method):
        given_io = getattr(io, "given", io)  # a client completes the IO that it was given
        missing_method = f"{type(given_io).__name__} has no method {effect.method}()"
        documentation = f"see smruntime_core.effects.{type(effect).__name__}"
        raise TypeError(
            f"{missing_method}, which is needed for {effect.feature}: {documentation}"
        ) from None
