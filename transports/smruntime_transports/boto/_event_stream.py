"""The `Body` of a streamed answer: an iterable of dictionaries, with botocore's methods.

A stream that ends in the middle raises, where botocore ends as if it were complete. A stream that
is dropped before its end closes its connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeAlias

from smruntime_core import InvokeEndpointWithResponseStreamOutput, SmRuntimeError
from smruntime_core.streaming import PayloadPart, ResponseEvent

from ..client import AsyncResponseStream, ResponseStream
from ._types import ResponseStreamEvent

Output: TypeAlias = InvokeEndpointWithResponseStreamOutput
MakeException: TypeAlias = Callable[[SmRuntimeError], Exception]


def _event(event: ResponseEvent) -> ResponseStreamEvent | None:
    """Return the dictionary of a part; botocore shows no other events."""
    return {"PayloadPart": {"Bytes": event.bytes}} if type(event) is PayloadPart else None


class EventStream:
    """The events of a streamed answer, each once."""

    def __init__(self, stream: ResponseStream[Output], make_exception: MakeException) -> None:
        self._stream = stream
        self._make_exception = make_exception

    def __iter__(self) -> Iterator[ResponseStreamEvent]:
        try:
            for event in self._stream.events():
                if (shown_event := _event(event)) is not None:
                    yield shown_event
        except SmRuntimeError as error:
            raise self._make_exception(error) from error

    def close(self) -> None:
        """Close the connection, unless the stream was read to its end."""
        self._stream.close()


class AioEventStream:
    """The events of a streamed answer for `async for`, each once."""

    def __init__(self, stream: AsyncResponseStream[Output], make_exception: MakeException) -> None:
        self._stream = stream
        self._make_exception = make_exception

    async def __aiter__(self) -> AsyncIterator[ResponseStreamEvent]:
        try:
            async for event in self._stream.events():
                if (shown_event := _event(event)) is not None:
                    yield shown_event
        except SmRuntimeError as error:
            raise self._make_exception(error) from error

    def close(self) -> None:
        """Close the connection, unless the stream was read to its end."""
        self._stream.close()
