"""A streamed answer while it is being received: events that are there already, and the flow that fetches more.

    while True:
        yield from stream.decoded(decoder)      # what is there already: no waiting, no colour
        if stream.ended: return
        run(stream.more(), io)                  # or: await run_async(stream.more(), io)

So reading costs a flow per piece that arrives, not per event, and a client of either colour is these four lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from ..effects import Flow, Receive
from ..errors import DispatchFailure, SmRuntimeError, TruncatedStream
from ..metadata import Metadata
from ..protocol._bindings import Output
from ..protocol._response_parser import PayloadPart, ResponseEnded, ResponseEvent, ResponseParser, ResponseStarted
from ..values._decoder import NEED_DATA, Decoder
from ..values._messages import ResponseBody, Timeouts
from ._deadline import Deadline

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

    @property
    def metadata(self) -> Metadata:
        """What the head told: request id, status, headers, attempts."""
        return self.output.metadata

    def more(self) -> Flow[None]:
        """Receive some bytes; raises `DispatchFailure` if the answer breaks off, `TruncatedStream` if it was closed before its end."""
        self._check()
        if self._busy:
            raise RuntimeError("this stream is being read already: give each answer one reader")
        self._busy = True
        try:
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

    def events(self) -> Iterator[ResponseEvent]:
        """The events that are there: parts, what nobody knows, the end. Raises the error that ended the answer."""
        self._check()
        next_event = self._parser.next_event
        try:
            while (event := next_event()) is not NEED_DATA:
                if type(event) is ResponseEnded:
                    self.ended = True
                yield event
        except SmRuntimeError as failure:
            raise self._failed(failure) from None

    def _check(self) -> None:
        if self._failure is not None and not self.ended:
            raise self._failure.with_traceback(None)

    def _failed(self, failure: SmRuntimeError) -> SmRuntimeError:
        self._failure = self._failure or failure.about(self.metadata)  # closing it from elsewhere breaks what is being read
        self._body.abort()
        return self._failure

    def parts(self) -> Iterator[bytes]:
        """The bytes of the parts that are there."""
        for event in self.events():
            if type(event) is PayloadPart:
                yield event.bytes

    def decoded(self, decoder: Decoder[T]) -> Iterator[T]:
        """What `decoder` makes of the parts that are there; at the end of the answer, of what it has left."""
        for part in self.parts():
            decoder.receive_data(part)
            yield from self._drain(decoder)
        if self.ended:
            decoder.receive_eof()
            yield from self._drain(decoder)

    def _drain(self, decoder: Decoder[T]) -> Iterator[T]:
        try:
            while (item := decoder.next_event()) is not NEED_DATA:
                yield item
        except SmRuntimeError as failure:
            raise self._failed(failure) from None

    def close(self) -> None:
        """Let go of what has not been received; never waits."""
        if self._failure is None:
            self._failed(TruncatedStream("the stream was closed before its end"))


def started(parser: ResponseParser) -> ResponseStarted:
    """The first event of a successful answer; raises the error that the head says instead."""
    event = parser.next_event()
    assert isinstance(event, ResponseStarted), "the head was given"  # noqa: S101 - a mistake of ours, not a peer's
    return event
