"""What the decoders of this package share. Each one says only how events come out of bytes, in two generators:

    _read(data)      the events that these bytes complete
    _finish()        the events that the end of the stream completes

Either may raise `StreamError` where the bytes go wrong. A generator that raises has yielded what came before, so the error takes
its place in the queue by itself; and one decoder stands on another by iterating over the other's two generators.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from ..errors import ConstructionError, StreamError
from ..values._decoder import NEED_DATA, NeedData

EventT = TypeVar("EventT")

MAX_SIZE = 8 * 1024 * 1024  # of one line, event or record, unless the caller says otherwise


class PayloadDecoder(Generic[EventT]):
    """Bytes in any pieces → events."""

    def __init__(self) -> None:
        self._events: deque[EventT] = deque()
        self._error: StreamError | None = None
        self._ended = False

    def _read(self, data: bytes) -> Iterator[EventT]:
        raise NotImplementedError

    def _finish(self) -> Iterator[EventT]:
        raise NotImplementedError

    def receive_data(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next part, of any size; what is wrong with it comes out of `next_event`, and what follows that is dropped.

        A part that is not `bytes` is copied, so a buffer can be used again. Events wait to be asked for, however many they are: ask after
        each part. Bytes after `receive_eof` are an error of the stream.
        """
        part = data if type(data) is bytes else bytes(memoryview(data))
        if not self._ended:
            self._take(self._read(part))
        elif part and self._error is None:
            self._error = StreamError("bytes came after the end of the stream")

    def receive_eof(self) -> None:
        """Nothing follows. To say so twice does no harm."""
        if not self._ended:
            self._ended = True
            self._take(self._finish())

    def next_event(self) -> EventT | NeedData:
        """The next event, or `NEED_DATA` if there is none (yet).

        Raises `StreamError` when all events before the error have been given, and again whenever it is asked again;
        `TruncatedStream` if what is wrong is that the stream has ended.
        """
        if self._events:
            return self._events.popleft()
        if self._error is not None:
            raise self._error.with_traceback(None)  # else each raise would add to the traceback of the one before
        return NEED_DATA

    def _take(self, events: Iterator[EventT]) -> None:
        if self._error is None:
            try:
                self._events.extend(events)
            except StreamError as error:
                self._error = error


def checked_limit(member: str, value: int) -> int:
    """`value` if it can be a limit; raises `ConstructionError`."""
    if type(value) is not int or value < 1:
        raise ConstructionError(member, "a whole number of at least 1")
    return value
