"""A streamed response without I/O: first the head, then the bytes of the body in, events out.

    receive_head ─> receive_data … receive_data ─> receive_eof      next_event: ResponseStarted
      status, fields     HTTP body, in any pieces    end of the body              PayloadPart …
                                                                                  ResponseEnded

The body of a 200 is an event stream (`smruntime_core.eventstream`), each message of which is an
event; its header `:message-type` says of which kind. An `exception` is an error that the service
models, an `error` any other; both end the stream. The body of any other status is the JSON of an
error. Whatever the bytes, only `ServiceError`, `StreamError` and `ResponseError` are raised.

`smruntime_core.payload` has decoders of what the parts contain: parts are cut anywhere, even inside
a character.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple, Protocol, TypeAlias

from ..errors import ServiceError, SmRuntimeError, StreamError, TruncatedStream, escape_unprintable
from ..eventstream import EventStreamDecoder, Message
from ..metadata import Attempt, Metadata
from ..values._decoder import NEED_DATA, NeedData
from ..values._http import MAX_ERROR_BODY, Response
from ..values._record import Record, unchecked
from . import _decoding
from ._bindings import Output

CONTENT_TYPE = "application/vnd.amazon.eventstream"


class ResponseStarted(Record):
    """The head of a successful response, as an output without its body."""

    output: Output


class PayloadPart(NamedTuple):
    """Some bytes of the model's answer."""

    bytes: bytes

    def __repr__(self) -> str:
        return f"PayloadPart(<{len(self.bytes)} bytes>)"


class UnknownEvent(NamedTuple):
    """An event that this library does not know."""

    type: str
    message: Message


class ResponseEnded(Record):
    """The end of a complete response."""


ResponseEvent: TypeAlias = ResponseStarted | PayloadPart | UnknownEvent | ResponseEnded


class StreamingOperationType(Protocol):
    """What the parser needs of an operation."""

    output: ClassVar[type[Output]]
    errors: ClassVar[tuple[type[ServiceError], ...]]
    stream_errors: ClassVar[tuple[type[ServiceError], ...]]


class ResponseParser:
    """A parser of one response to a streaming operation; an error is final."""

    def __init__(self, operation: StreamingOperationType) -> None:
        self._operation = operation
        self._event_stream = EventStreamDecoder()
        self._head: Response | None = None
        self._metadata = Metadata()
        self._started: ResponseStarted | None = None  # not yet returned
        self._error_body = bytearray()
        # Headers known to be those of a PayloadPart: an event takes 1.3 µs, else 1.6.
        self._part_headers: object = None
        self._failure: SmRuntimeError | None = None
        self._ended = False
        self._end_returned = False
        self._truncated = False

    def receive_head(self, head: Response, *, attempts: tuple[Attempt, ...] = ()) -> None:
        """Process status and header fields; a body of `head` is ignored.

        `attempts` becomes part of the metadata.
        """
        self._head = head
        self._metadata = _decoding.make_metadata(head, attempts)
        if not _is_success(head):
            return
        content_type = head.named.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
            self._failure = StreamError(_describe_other(head.status, content_type))
            self._failure.about(self._metadata)
            return
        head_only = Response(head.status, head.headers)
        self._started = ResponseStarted(
            _decoding.parse_output(self._operation.output, head_only, attempts)
        )

    def receive_data(self, data: bytes) -> None:
        """Process bytes of the body."""
        if self._head is None or _is_success(self._head):
            self._event_stream.receive_data(data)
        elif len(self._error_body) <= MAX_ERROR_BODY:
            self._error_body += data[: MAX_ERROR_BODY + 1 - len(self._error_body)]

    def receive_eof(self, *, truncated: bool = False) -> None:
        """Process the end of the body, which is incomplete if `truncated`."""
        if self._ended:
            return
        self._ended = True
        head = self._head
        if head is None:
            self._failure = TruncatedStream("the answer ended before its head")
        elif _is_success(head):
            self._event_stream.receive_eof()
            self._truncated = truncated
        elif self._failure is None:
            body = bytes(self._error_body[:MAX_ERROR_BODY])
            incomplete = truncated or len(self._error_body) > MAX_ERROR_BODY
            response = Response(head.status, head.headers, body, incomplete)
            errors = self._operation.errors
            self._failure = _decoding.parse_error(errors, response, self._metadata.attempts)

    def next_event(self) -> ResponseEvent | NeedData:
        """Return the next event, or `NEED_DATA`; raise the error that ended the response."""
        if self._started is not None:
            started, self._started = self._started, None
            return started
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # else each raise would add to the traceback
        try:
            message = self._event_stream.next_event()
            while message is not NEED_DATA:
                if message.headers is self._part_headers:
                    return PayloadPart(message.payload)
                event = self._classify(message)
                if event is not None:
                    return event
                message = self._event_stream.next_event()
            if self._truncated:
                raise TruncatedStream("the body of the answer was cut short")
        except (ServiceError, StreamError) as failure:
            self._failure = failure.about(self._metadata)
            raise
        if self._ended and not self._end_returned:
            self._end_returned = True
            return ResponseEnded()
        return NEED_DATA

    def _classify(self, message: Message) -> ResponseEvent | None:
        """Return the event of `message`, None for one without content; raise an error in it."""
        kind = message.headers.get(":message-type")
        if kind == "event":
            name = _text_header(message, ":event-type")
            if name == "PayloadPart":
                self._part_headers = message.headers
                return PayloadPart(message.payload)
            return None if name == "initial-response" else UnknownEvent(name, message)
        if kind == "exception":
            raise self._modelled_error(_text_header(message, ":exception-type"), message)
        if kind == "error":
            code = _text_header(message, ":error-code")
            raise self._error(ServiceError, code, message.headers.get(":error-message"), message)
        raise StreamError("an event with a :message-type other than event, exception, error")

    def _modelled_error(self, code: str, message: Message) -> ServiceError:
        kind = _decoding.error_type(self._operation.stream_errors, code)
        details = _decoding.json_members(message.payload)
        error = self._error(kind, code, _decoding.error_message(details), message)
        _decoding.set_members(error, details)
        return error

    def _error(
        self, kind: type[ServiceError], code: str, text: object, message: Message
    ) -> ServiceError:
        return kind(
            text if isinstance(text, str) else "",
            code=code,
            status=self._head.status if self._head else 200,
            body=message.payload,
            metadata=self._metadata,
        )


def _is_success(head: Response) -> bool:
    return 200 <= head.status < 300


def _describe_other(status: int, content_type: str) -> str:
    """Return the message about a success that is no event stream."""
    found = escape_unprintable(content_type[:100]) or "none"
    remedy = "check endpoint_url="
    if "html" in content_type.lower():
        remedy = "a proxy or load balancer answered, not SageMaker: check endpoint_url= and proxy="
    return f"a {status} whose Content-Type is {found} instead of {CONTENT_TYPE}; {remedy}"


def _text_header(message: Message, name: str) -> str:
    value = message.headers.get(name)
    if not isinstance(value, str) or not value:
        raise StreamError(f"an event without text in its header {name}")
    return value


def parse_whole_stream(
    operation: StreamingOperationType, response: Response, attempts: Iterable[Attempt]
) -> Output:
    """Return the output of a response received as a whole, or raise the error in it.

    Its `body` is the bytes of all parts.
    """
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
