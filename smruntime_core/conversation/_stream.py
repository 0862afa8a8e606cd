"""A streamed answer while it is being received: events that are there already, and the flow that fetches more.

    while True:
        yield from stream.decoded(decoder)      # what is there already: no waiting
        if stream.ended: return
        run(stream.more(), io)                  # or: await run_async(stream.more(), io)

So reading costs a flow per piece that arrives, not per event, and a sync or async client is these
four lines.

One part of an answer can hold millions of events, or megabytes without any. So an iterator also
stops after `MAX_EVENTS` events, after `MAX_BYTES` bytes, and when the deadline of the call has
passed; then `more` checks the deadline and lets other tasks run (`Sleep(0)`) instead of receiving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from ..effects import Flow, Receive, Sleep
from ..errors import DispatchFailure, SmRuntimeError, TruncatedStream
from ..metadata import Metadata
from ..protocol._bindings import Output
from ..protocol._response_parser import (
    PayloadPart,
    ResponseEnded,
    ResponseEvent,
    ResponseParser,
    ResponseStarted,
)
from ..values._decoder import NEED_DATA, Decoder
from ..values._http import ResponseBody
from ..values._timeouts import Timeouts
from ._deadline import Deadline

# An iterator stops after so many events or bytes of them, and `more` lets other tasks run: a few
# milliseconds of decoding at most.
MAX_EVENTS = 512
MAX_BYTES = 64 * 1024

T = TypeVar("T")
OutputT_co = TypeVar("OutputT_co", bound=Output, covariant=True)


class Stream(Generic[OutputT_co]):
    """What is left of an answer after its head. `output` is what the head said, `ended` true once the answer is whole."""

    def __init__(
        self,
        output: OutputT_co,
        body: ResponseBody,
        parser: ResponseParser,
        deadline: Deadline,
        phases: Timeouts,
        seen: Callable[[int], None],
    ) -> None:
        self.output = output
        self.ended = False
        self._body = body
        self._parser = parser
        self._deadline = deadline
        self._phases = phases
        self._seen = seen
        self._failure: SmRuntimeError | None = None
        self._busy = False
        self._part = b""  # that is being decoded
        self._offset = 0  # in `_part`, of what has yet to be decoded
        self._whole = False  # the last part has arrived
        self._stopped = False  # an iterator, although there was more

    @property
    def metadata(self) -> Metadata:
        """What the head told: request id, status, headers, attempts."""
        return self.output.metadata

    def more(self) -> Flow[None]:
        """Receive some bytes, or let other tasks run if an iterator stopped early.

        Raises `DispatchFailure` if the answer breaks off or its time is over, `TruncatedStream` if
        it was closed before its end.
        """
        self._check()
        if self._busy:
            raise RuntimeError("this stream is being read already: give each answer one reader")
        self._busy = True
        try:
            if self._stopped:
                yield from self._pause()
                return
            data = yield from Receive(self._body, self._deadline.left(), self._phases)
        except DispatchFailure as failure:
            raise self._failed(failure) from None
        finally:
            self._busy = False
        if data:
            self._seen(len(data))
            self._parser.receive_data(data)
        else:
            self._parser.receive_eof()

    def _pause(self) -> Flow[None]:
        self._stopped = False
        if self._deadline.passed_in(0.0):
            raise DispatchFailure(
                "the time for the whole call is over before all of its response was read",
                kind="timeout",
                phase="body",
                delivery="answered",
                status=self.metadata.status,
            )
        yield from Sleep(0.0)

    def events(self) -> Iterator[ResponseEvent]:
        """Yield events that are there: parts, unknown events, the end.

        Raises the error that ended the answer.
        """
        self._check()
        next_event, limit = self._parser.next_event, self._limit()
        if self._part:
            rest = PayloadPart(self._part[self._offset :])
            self._part, self._offset = b"", 0
            yield rest
        try:
            for _ in range(MAX_EVENTS):
                event = next_event()
                if event is NEED_DATA:
                    return
                if type(event) is ResponseEnded:
                    self.ended = True
                yield event
                if limit is not None and limit.passed_in(0.0):
                    break
        except SmRuntimeError as failure:
            raise self._failed(failure) from None
        self._stopped = True

    def _limit(self) -> Deadline | None:
        """Return the deadline if the call has one; to ask it takes 0.1 µs an event."""
        return None if self._deadline.left() is None else self._deadline

    def _check(self) -> None:
        if self._failure is not None and not self.ended:
            raise self._failure.with_traceback(None)

    def _failed(self, failure: SmRuntimeError) -> SmRuntimeError:
        self._failure = self._failure or failure.about(
            self.metadata
        )  # closing it from elsewhere breaks what is being read
        self._body.abort()
        return self._failure

    def parts(self) -> Iterator[bytes]:
        """Yield the bytes of parts that are there."""
        for event in self.events():
            if type(event) is PayloadPart:
                yield event.bytes

    def decoded(self, decoder: Decoder[T]) -> Iterator[T]:
        """Yield what `decoder` makes of parts that are there, and of the end of the answer."""
        self._check()
        next_event, limit = decoder.next_event, self._limit()
        events, size, ended = 0, 0, False
        try:
            while True:
                while (item := next_event()) is not NEED_DATA:
                    yield item
                    events += 1
                    if events == MAX_EVENTS or (limit is not None and limit.passed_in(0.0)):
                        self._stopped = True
                        return
                if ended:
                    self.ended = True
                    return
                if size >= MAX_BYTES:
                    self._stopped = True
                    return
                piece = self._piece(MAX_BYTES - size)
                if piece is not None:
                    decoder.receive_data(piece)
                    size += len(piece)
                elif self._whole:
                    decoder.receive_eof()
                    ended = True
                else:
                    return
        except SmRuntimeError as failure:
            raise self._failed(failure) from None

    def _piece(self, size: int) -> bytes | None:
        """Return the next bytes of parts that are there, at most `size`; None if there are none."""
        if not self._part:
            event = self._parser.next_event()
            while type(event) is not PayloadPart:
                if event is NEED_DATA:
                    return None
                self._whole = self._whole or type(event) is ResponseEnded
                event = self._parser.next_event()
            if len(event.bytes) <= size:
                return event.bytes
            self._part = event.bytes
        start = self._offset
        self._offset += size
        piece = self._part[start : self._offset]
        if self._offset >= len(self._part):
            self._part, self._offset = b"", 0
        return piece

    def close(self) -> None:
        """Let go of what has not been received; never waits."""
        if self._failure is None:
            self._failed(TruncatedStream("the stream was closed before its end"))


def started(parser: ResponseParser) -> ResponseStarted:
    """The first event of a successful answer; raises the error that the head says instead."""
    event = parser.next_event()
    assert isinstance(event, ResponseStarted), "the head was given"  # noqa: S101 - a mistake of ours, not a peer's
    return event
