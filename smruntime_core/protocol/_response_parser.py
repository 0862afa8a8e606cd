"""A streamed answer without I/O: the head, then the bytes of the body in, events out.

    receive_head ─> receive_data … receive_data ─> receive_eof           next_event: ResponseStarted
      status, fields     HTTP body, in any pieces      the body is whole             PayloadPart …
                                                                                     ResponseEnded, or an error

The body of a 200 is an event stream (`smruntime_core.eventstream`), one message an event; what kind its header
`:message-type` says. An `exception` is an error that the service models, an `error` any other; both end the stream. The body
of any other status is an error's JSON. Whatever the bytes, what is raised is a `ServiceError`, a `StreamError` or a `ResponseError`.

Decoders of what the parts say stand in `smruntime_core.payload`: parts are cut anywhere, even inside a character.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

from ..errors import ServiceError, SmRuntimeError, StreamError, TruncatedStream
from ..eventstream import EventStreamDecoder, Message
from ..metadata import Attempt, Metadata
from ..values._decoder import NEED_DATA, NeedData
from ..values._http import MAX_ERROR_BODY, Response
from ..values._record import Record, unchecked
from . import _decoding as _decode
from ._bindings import Output

CONTENT_TYPE = "application/vnd.amazon.eventstream"


class ResponseStarted(Record):
    """The head of a successful answer: what it says, without the body."""

    output: Output


class PayloadPart(NamedTuple):
    """Some bytes of the model's answer."""

    bytes: bytes

    def __repr__(self) -> str:
        return f"PayloadPart(<{len(self.bytes)} bytes>)"


class UnknownEvent(NamedTuple):
    """An event that this library does not know, handed on rather than dropped."""

    type: str
    message: Message


class ResponseEnded(Record):
    """The answer is whole."""


ResponseEvent: TypeAlias = ResponseStarted | PayloadPart | UnknownEvent | ResponseEnded


class StreamingOperationType(Protocol):
    """What the parser must know of an operation."""

    output: ClassVar[type[Output]]
    errors: ClassVar[tuple[type[ServiceError], ...]]
    stream_errors: ClassVar[tuple[type[ServiceError], ...]]


class ResponseParser:
    """One answer to a streaming operation; see the top of this file. An error is final."""

    def __init__(self, operation: StreamingOperationType) -> None:
        self._operation = operation
        self._frames = EventStreamDecoder()
        self._head: Response | None = None
        self._metadata = Metadata()
        self._ready: list[ResponseEvent] = []
        self._error_body = bytearray()
        self._part_headers: object = None  # headers already known to be those of a PayloadPart
        self._failure: SmRuntimeError | None = None
        self._over = False  # the end of the body has been told
        self._whole = False  # and is not yet told in turn
        self._cut = False

    def receive_head(self, head: Response, *, attempts: tuple[Attempt, ...] = ()) -> None:
        """Status and header fields; a body that `head` may have is not looked at. `attempts` goes into the metadata."""
        self._head = head
        self._metadata = _decode.metadata(head, head.named, attempts)
        if not self._succeeded(head):
            return
        said = head.named.get("content-type", "")
        if said.partition(";")[0].strip().lower() != CONTENT_TYPE:
            self._failure = StreamError(
                f"a {head.status} whose Content-Type is not {CONTENT_TYPE}"
            ).about(self._metadata)
        else:
            output = _decode.output(
                self._operation.output, Response(head.status, head.headers), attempts
            )
            self._ready.append(ResponseStarted(output))

    def receive_data(self, data: bytes) -> None:
        """Bytes of the body."""
        if self._head is None or self._succeeded(self._head):
            self._frames.receive_data(data)
        elif len(self._error_body) <= MAX_ERROR_BODY:
            self._error_body += data[: MAX_ERROR_BODY + 1 - len(self._error_body)]

    def receive_eof(self, *, truncated: bool = False) -> None:
        """The body is over; `truncated` if it is not all there (that still makes an error of what is no success)."""
        if self._over:
            return
        self._over = self._whole = True
        head = self._head
        if head is None:
            self._failure = TruncatedStream("the answer ended before its head")
        elif self._succeeded(head):
            self._frames.receive_eof()
            self._cut = truncated
        elif self._failure is None:
            body = bytes(self._error_body[:MAX_ERROR_BODY])
            cut = truncated or len(self._error_body) > MAX_ERROR_BODY
            answer = Response(head.status, head.headers, body, cut)
            self._failure = _decode.error(self._operation.errors, answer, self._metadata.attempts)

    def next_event(self) -> ResponseEvent | NeedData:
        """The next event, or `NEED_DATA`; raises the error that ended the answer."""
        if self._ready:
            return self._ready.pop()
        if self._failure is not None:
            raise self._failure.with_traceback(
                None
            )  # else each raise would add to the traceback of the one before
        try:
            message = self._frames.next_event()
            while message is not NEED_DATA:
                if message.headers is self._part_headers:
                    return PayloadPart(message.payload)
                event = self._classified(message)
                if event is not None:
                    return event
                message = self._frames.next_event()
        except (ServiceError, StreamError) as failure:
            self._failure = failure.about(self._metadata)
            raise
        if self._whole:
            self._whole = False
            if self._cut:
                self._failure = TruncatedStream("the body of the answer was cut short").about(
                    self._metadata
                )
                raise self._failure
            return ResponseEnded()
        return NEED_DATA

    @staticmethod
    def _succeeded(head: Response) -> bool:
        return 200 <= head.status < 300

    def _classified(self, message: Message) -> ResponseEvent | None:
        kind = message.headers.get(":message-type")
        if kind == "event":
            name = _text(message, ":event-type")
            if name == "PayloadPart":
                self._part_headers = message.headers
                return PayloadPart(message.payload)
            return None if name == "initial-response" else UnknownEvent(name, message)
        if kind == "exception":
            raise self._exception(_text(message, ":exception-type"), message)
        if kind == "error":
            said = message.headers.get(":error-message", "")
            raise self._error(
                ServiceError,
                _text(message, ":error-code"),
                said if isinstance(said, str) else "",
                message,
            )
        raise StreamError("an event whose :message-type is none of event, exception, error")

    def _exception(self, code: str, message: Message) -> ServiceError:
        kind = next(
            (known for known in self._operation.stream_errors if known.default_code == code),
            ServiceError,
        )
        said = _decode.document(message.payload)
        text = said.get("Message", said.get("message", ""))
        made = self._error(kind, code, text if isinstance(text, str) else "", message)
        _decode.set_members(made, said)
        return made

    def _error(
        self, kind: type[ServiceError], code: str, text: str, message: Message
    ) -> ServiceError:
        status = self._head.status if self._head else 200
        return kind(text, code=code, status=status, body=message.payload, metadata=self._metadata)


def _text(message: Message, name: str) -> str:
    value = message.headers.get(name)
    if not isinstance(value, str) or not value:
        raise StreamError(f"an event without a text under {name}")
    return value


def whole(
    operation: StreamingOperationType, response: Response, attempts: Iterable[Attempt]
) -> Output:
    """The output of an answer that has been received whole, the bytes of its parts joined; raises the error that it says."""
    parser = ResponseParser(operation)
    parser.receive_head(response, attempts=tuple(attempts))
    parser.receive_data(response.body)
    parser.receive_eof(truncated=response.truncated)
    output, parts = Output(), list[bytes]()
    while (event := parser.next_event()) is not NEED_DATA:
        if isinstance(event, ResponseStarted):
            output = event.output
        elif isinstance(event, PayloadPart):
            parts.append(event.bytes)
    return unchecked(type(output), {**vars(output), "body": b"".join(parts)})
