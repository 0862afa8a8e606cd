"""A streamed response while it is being received: events that have arrived, and a flow for more.

    while True:
        yield from stream.decoded(decoder)      # what has arrived: no waiting
        if stream.ended: return
        run(stream.more(), io)                  # or: await run_async(stream.more(), io)

So reading costs a flow per piece that arrives, not per event, and a sync or async client is these
four lines.

One part of a response can hold millions of events, or megabytes without any. So an iterator also
stops after `MAX_EVENTS` events, after `MAX_BYTES` bytes, and when the deadline of the call has
passed; then `more` checks the deadline and lets other tasks run (`Sleep(0)`) instead of receiving.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, Literal, TypeVar

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
from ..values._decoder import NEED_DATA, Decoder, NeedData
from ..values._http import ResponseBody
from ..values._record import unchecked
from ..values._timeouts import Timeouts
from ._call_tracker import CallTracker
from ._recovery import outcome

# An iterator stops after so many events or bytes of them, and `more` lets other tasks run: a few
# milliseconds of decoding at most.
MAX_EVENTS: Final = 512
MAX_BYTES: Final = 64 * 1024

ItemT = TypeVar("ItemT")
OutputT_co = TypeVar("OutputT_co", bound=Output, covariant=True)


class Stream(Generic[OutputT_co]):
    """A response after its head: `output` is the head's, `ended` true once all of it was read."""

    def __init__(
        self,
        output: OutputT_co,
        body: ResponseBody,
        parser: ResponseParser,
        tracker: CallTracker,
        timeouts: Timeouts,
        max_body: int | None = None,
    ) -> None:
        self.output: OutputT_co = output
        self.ended: bool = False
        self.received_bytes: int = 0
        self._response_body = body
        self._parser = parser
        self._next_event = self._count_event if tracker.is_observed else parser.next_event
        self._tracker = tracker
        self._timeouts = timeouts
        self._max_body = max_body
        self._failure: SmRuntimeError | None = None
        self._is_receiving = False
        self._current_part = b""  # being decoded, from `_part_offset` on
        self._part_offset = 0
        self._last_part_arrived = False
        self._is_paused = False  # an iterator stopped before the last event that had arrived
        self._part_count = 0  # parts and their bytes, if there is an observer
        self._byte_count = 0
        self._end_noted = False

    @property
    def metadata(self) -> Metadata:
        """Request id, status, headers and attempts."""
        return self.output.metadata

    @property
    def state(self) -> Literal["open", "ended", "closed"]:
        """Whether more can be read; "closed" is an end that came too early."""
        return "ended" if self.ended else "closed" if self._failure else "open"

    def more(self) -> Flow[None]:
        """Receive some bytes; the caller then iterates over the events in them.

        If an iterator stopped before the last event, only let other tasks run.

        Raises `DispatchFailure` if the response breaks off or the call's deadline passes,
        `TruncatedStream` if it was closed before its end.
        """
        self._raise_failure()
        if self._is_receiving:
            raise RuntimeError("this stream is being read already: use one reader per stream")
        self._is_receiving = True
        try:
            if self._is_paused:
                yield from self._let_others_run()
                return
            received_data = yield from Receive(
                self._response_body, self._tracker.left(), self._timeouts
            )
        except DispatchFailure as failure:
            from ._failure_hints import add_setting  # only a failure pays for it

            add_setting(failure, self._tracker, self._timeouts)
            raise self._record_failure(failure) from None
        finally:
            self._is_receiving = False
        if received_data:
            self.received_bytes += len(received_data)
            self._tracker.receive_piece(len(received_data))
            self._parser.receive_data(received_data)
        else:
            self._parser.receive_eof()

    def _let_others_run(self) -> Flow[None]:
        self._is_paused = False
        if self._tracker.passed_in(0.0):
            raise DispatchFailure(
                "the call's time was over before all of its response was read",
                kind="timeout",
                phase="body",
                delivery="answered",
                status=self.metadata.status,
            )
        yield from Sleep(0.0)

    def events(self) -> Iterator[ResponseEvent]:
        """Yield events that have arrived: parts, unknown events, the end.

        Raises the error that ended the response.
        """
        self._raise_failure()
        next_event, call_deadline = self._next_event, self._tracker
        if self._current_part:
            remaining_part = PayloadPart(self._current_part[self._part_offset :])
            self._current_part, self._part_offset = b"", 0
            yield remaining_part
        try:
            for _ in range(MAX_EVENTS):
                next_item = next_event()
                if next_item is NEED_DATA:
                    return
                if type(next_item) is ResponseEnded:
                    self._end()
                yield next_item
                if call_deadline.passed_in(0.0):
                    break
        except SmRuntimeError as failure:
            raise self._record_failure(failure) from None
        self._is_paused = True

    def _raise_failure(self) -> None:
        if self._failure is not None and not self.ended:
            raise self._failure.with_traceback(None)

    def _record_failure(self, failure: SmRuntimeError) -> SmRuntimeError:
        """Close the stream; return its first failure: closing it breaks a read in progress."""
        self._failure = self._failure or failure.about(self.metadata)
        self._response_body.abort()
        self._note_end(outcome(self._failure))
        return self._failure

    def _end(self) -> None:
        self.ended = True
        self._note_end("ok")

    def _note_end(self, ended_as: str) -> None:
        if not self._end_noted:
            self._end_noted = True
            self._tracker.end_stream(ended_as, self._part_count, self._byte_count)

    def _count_event(self) -> ResponseEvent | NeedData:
        next_item = self._parser.next_event()
        if type(next_item) is PayloadPart:
            self._part_count += 1
            self._byte_count += len(next_item.bytes)
        return next_item

    def parts(self) -> Iterator[bytes]:
        """Yield the bytes of parts that have arrived."""
        for next_item in self.events():
            if type(next_item) is PayloadPart:
                yield next_item.bytes

    def whole(self) -> Flow[OutputT_co]:
        """Receive the rest of the response; return the output with these bytes as its body.

        Raises like `more` and `events`, and a `DispatchFailure` of kind too_large for more bytes
        than the option `max_body` allows.
        """
        body = bytearray()
        while True:
            for part in self.parts():
                body += part
                if self._max_body is not None and len(body) > self._max_body:
                    raise self._record_failure(self._too_large(self._max_body))
            if self.ended:
                values: dict[str, object] = {**vars(self.output), "body": bytes(body)}
                return unchecked(type(self.output), values)
            yield from self.more()

    def _too_large(self, max_body: int) -> DispatchFailure:
        return DispatchFailure(
            f"the body has more than the {max_body} bytes allowed by max_body",
            kind="too_large",
            phase="body",
            delivery="answered",
            status=self.metadata.status,
        )

    def decoded(self, decoder: Decoder[ItemT]) -> Iterator[ItemT]:
        """Yield what `decoder` makes of parts that have arrived, and of the response's end."""
        self._raise_failure()
        next_event, call_deadline = decoder.next_event, self._tracker
        events_yielded, bytes_read, decoder_ended = 0, 0, False
        try:
            while True:
                while (decoded_item := next_event()) is not NEED_DATA:
                    yield decoded_item
                    events_yielded += 1
                    if events_yielded == MAX_EVENTS or call_deadline.passed_in(0.0):
                        self._is_paused = True
                        return
                if decoder_ended:
                    self._end()
                    return
                if bytes_read >= MAX_BYTES:
                    self._is_paused = True
                    return
                next_piece = self._next_piece(MAX_BYTES - bytes_read)
                if next_piece is not None:
                    decoder.receive_data(next_piece)
                    bytes_read += len(next_piece)
                elif self._last_part_arrived:
                    decoder.receive_eof()
                    decoder_ended = True
                else:
                    return
        except SmRuntimeError as failure:
            raise self._record_failure(failure) from None

    def _next_piece(self, size: int) -> bytes | None:
        """Return the next bytes that have arrived, at most `size`; None if there are none."""
        if not self._current_part:
            next_item = self._next_event()
            while type(next_item) is not PayloadPart:
                if next_item is NEED_DATA:
                    return None
                self._last_part_arrived = (
                    self._last_part_arrived or type(next_item) is ResponseEnded
                )
                next_item = self._next_event()
            if len(next_item.bytes) <= size:
                return next_item.bytes
            self._current_part = next_item.bytes
        piece_start = self._part_offset
        self._part_offset += size
        next_piece = self._current_part[piece_start : self._part_offset]
        if self._part_offset >= len(self._current_part):
            self._current_part, self._part_offset = b"", 0
        return next_piece

    def close(self) -> None:
        """Close the connection unless all of the response was read; never waits."""
        try:
            if self._failure is None:
                message = "the stream was closed before its end: read it inside its `with` block"
                self._failure = TruncatedStream(message).about(self.metadata)
                self._response_body.abort()
                self._note_end("closed")
        finally:
            self._response_body.abort()  # again: an interrupt may have ended an earlier one


def first_event(parser: ResponseParser) -> ResponseStarted:
    """Return the first event of a successful response; raise the error in the head of another."""
    next_item = parser.next_event()
    # anything else is a mistake of ours
    assert isinstance(next_item, ResponseStarted), "the parser has no head"  # noqa: S101
    return next_item
