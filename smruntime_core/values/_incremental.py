"""What the decoders of event streams and payloads share.

A part of a few MiB can hold millions of events. Decoding them all when the part arrives would take
seconds that no deadline interrupts, and many times the memory of the part. So `receive_data` only
keeps the part, and `next_event` does the work for one event.

Most decoders are two generators, which `next_event` advances:

    _read(part)      yield the events that this part completes
    _finish()        yield the events that the end of the stream completes

    receive_data ──> _parts ──> _read(part) ──> next_event
    receive_eof ───────────────> _finish() ──────^

A generator that raises `StreamError` has yielded the events before it, so the error comes after
them. A decoder that contains another iterates over the other's generators.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from ..errors import ConstructionError, StreamError
from ._decoder import NEED_DATA, NeedData

EventT = TypeVar("EventT")

MAX_SIZE = 8 * 1024 * 1024  # default limit for one line, event or record


class PartQueue:
    """Parts that have been received and not yet read, the end of the stream, and its error."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._error: StreamError | None = None
        self._ended = False  # by `receive_eof`, or by an error
        self._finished = False  # the end has been decoded, or does not matter after an error
        self._continued = False  # bytes came after the end

    def receive_data(self, data: bytes | bytearray | memoryview, /) -> None:
        """Keep the next part of the stream, of any size, for `next_event` to decode.

        A part that is not `bytes` is copied, so its buffer can be reused. Ask for the events after
        each part: parts are kept until they are read. Parts after an error are dropped; bytes after
        `receive_eof` are an error of the stream.
        """
        # Not bytes(data), which makes three zeros of a 3.
        part = data if type(data) is bytes else bytes(memoryview(data))
        if self._ended:
            self._continued = self._continued or bool(part)
        else:
            self._parts.append(part)

    def receive_eof(self) -> None:
        """Note that the stream has ended; another call changes nothing."""
        self._ended = True

    def _at_end(self) -> NeedData:
        """Return `NEED_DATA` after the last event, or raise the error of the stream."""
        if self._continued and self._error is None:
            self._fail(StreamError("bytes came after the end of the stream"))
        if self._error is not None:
            raise self._error.with_traceback(None)  # else the traceback would grow with each raise
        return NEED_DATA

    def _fail(self, error: StreamError) -> None:
        """End the stream with `error`."""
        error.__context__ = None  # its traceback would keep frames, and what they hold, alive
        self._error = error
        self._ended = self._finished = True
        self._parts.clear()


class IncrementalDecoder(PartQueue, Generic[EventT]):
    """Decoder of bytes in any pieces that returns one event at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._events: Iterator[EventT] = iter(())  # of the part that is being read

    def _read(self, part: bytes) -> Iterator[EventT]:
        raise NotImplementedError

    def _finish(self) -> Iterator[EventT]:
        raise NotImplementedError

    def next_event(self) -> EventT | NeedData:
        """Return the next event, or `NEED_DATA` if there is none (yet).

        Raises `StreamError` after the events before the error, and again at each later call;
        `TruncatedStream` if the error is that the stream ended.
        """
        try:
            for event in self._events:
                return event
            while self._parts:
                self._events = self._read(self._parts.popleft())
                for event in self._events:
                    return event
            if not self._ended:
                return NEED_DATA
            if not self._finished:
                self._finished = True
                self._events = self._finish()
                for event in self._events:
                    return event
        except StreamError as error:
            self._fail(error)
        except BaseException:  # a signal handler's, or MemoryError: the rest of the part is lost
            self._fail(interrupted())
            raise
        return self._at_end()


def interrupted() -> StreamError:
    """Return the error of a decoder that an exception from elsewhere has interrupted."""
    return StreamError("decoding was interrupted; the rest of the stream cannot be read")


def checked_limit(member: str, value: int) -> int:
    """Return `value` if it can be a limit, else raise `ConstructionError`."""
    if type(value) is not int or value < 1:
        raise ConstructionError(member, "a whole number of at least 1", f"found {value!r}")
    return value
