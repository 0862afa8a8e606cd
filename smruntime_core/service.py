"""The other side of the protocol: message → operation, and output or error → message.

A test double, a proxy or a local endpoint needs what the client has, mirrored; so both read the same binding table, and

    service.read(operation.request(url)) == operation
    operation.parse(service.answer(output, request_id="…")) == output

hold for every operation and output that can be made, and for errors likewise. Nothing here does I/O or checks a signature:
call `smruntime_core.verify` first, then `read`. A request that says no operation raises the `ServiceError` to answer with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TypeVar, cast
from urllib.parse import unquote

from .errors import ConstructionError, ServiceError, ValidationError
from .eventstream import Message, encode
from .protocol import _encoding as _encode
from .protocol._bindings import Location, MessageRecord, Output
from .protocol._operations import (
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointWithResponseStream,
    Operation,
    StreamingOperation,
)
from .protocol._response_parser import CONTENT_TYPE, PayloadPart
from .values._http import Headers, Request, Response, fields_by_name
from .values._record import unchecked
from .values._rules import Blob
from .values._url import split_url

MessageT = TypeVar("MessageT", bound=MessageRecord)

OPERATIONS: tuple[type[Operation[Output]], ...] = (
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointWithResponseStream,
)


def _route(kind: type[Operation[Output]]) -> Callable[[str], re.Match[str] | None]:
    """Matches the operation's path, its labels as groups. A base path may stand before it, as in the URL of `request`."""
    parts = re.split(r"\{\w+\}", kind.path)
    return re.compile("(?:/.*)?" + "([^/]*)".join(map(re.escape, parts)), re.DOTALL).fullmatch


_ROUTES = tuple((kind, _route(kind), re.findall(r"\{(\w+)\}", kind.path)) for kind in OPERATIONS)


def header_names(kind: type[MessageRecord]) -> Mapping[str, str]:
    """Return the header of each member of an operation or output that travels as one."""
    return kind._table.header_names


def make_unchecked(kind: type[MessageT], values: dict[str, object]) -> MessageT:
    """Return a record of what a container answered, which the rules for callers do not apply to."""
    return unchecked(kind, values)


def read(request: Request) -> Operation[Output]:
    """The operation that `request` asks for, its header values the received bytes read as latin-1.

    Raises `ValidationError` naming the member that breaks its rule, or a `ServiceError` with the code
    `UnknownOperationException` and status 404 if there is no such method and path.
    """
    try:
        _, _, path, _ = split_url(request.url)
        for kind, route, labels in _ROUTES:
            found = route(path) if request.method == kind.method else None
            if found:
                return _build(
                    kind, dict(zip(labels, map(unquote, found.groups()), strict=True)), request
                )
    except ConstructionError as refused:
        raise ValidationError(str(refused)) from refused
    raise ServiceError(
        "No operation has this method and path.", code="UnknownOperationException", status=404
    )


def _build(
    kind: type[Operation[Output]], labels: dict[str, str], request: Request
) -> Operation[Output]:
    headers = fields_by_name(request.headers)
    values: dict[str, object] = {}
    for binding in kind._table.bindings:
        rule, text = binding.rule, None
        if isinstance(rule, Blob):
            if request.body or binding.required or "x-amzn-sagemaker-inputlocation" not in headers:
                values[binding.name] = (
                    request.body
                )  # an empty input is one too, unless it stands elsewhere
            continue
        if binding.location is Location.LABEL:
            text = labels[binding.wire_name]
        elif binding.location is Location.HEADER:
            text = headers.get(binding.wire_name.lower())
        if text is not None:
            values[binding.name] = rule.read(binding.name, text)
        elif binding.required:
            raise ConstructionError(binding.name, "given")
    # The members are those of a subclass that only the table knows.
    return cast("Callable[..., Operation[Output]]", kind)(**values)


def answer(result: Output | ServiceError, *, request_id: str) -> Response:
    """The response that says `result`: `operation.parse` gives back an output that is equal, or raises an error that is.

    The output of a streaming operation becomes one event that bears all of its `body`; to send events as they come, begin with
    `begin` and go on with `event`.
    """
    if isinstance(result, ServiceError):
        kind: Headers = (("x-amzn-ErrorType", result.code), ("Content-Type", "application/json"))
        return Response(result.status, _identity(request_id) + kind, _document(result))
    kind_of = next(kind for kind in OPERATIONS if isinstance(result, kind.output))
    values = vars(result)
    body = bytes(
        next(
            (
                values[b.name]
                for b in result._table.bindings
                if b.location is Location.PAYLOAD and b.name in values
            ),
            b"",
        )
    )
    if issubclass(kind_of, StreamingOperation):
        return begin(result, request_id=request_id).replace(
            body=event(PayloadPart(body)) if body else b""
        )
    headers = _identity(request_id) + _encode.headers(result)
    if result._table.document:
        headers += (("Content-Type", "application/json"),)
        body = json.dumps(
            {b.wire_name: values[b.name] for b in result._table.document if b.name in values}
        ).encode()
    return Response(kind_of.success, headers, body)


def begin(result: Output, *, request_id: str) -> Response:
    """The head of a streamed answer; its body is what `event` makes."""
    return Response(
        200, (*_identity(request_id), ("Content-Type", CONTENT_TYPE), *_encode.headers(result))
    )


def event(said: PayloadPart | ServiceError) -> bytes:
    """One event of a streamed answer: a part, or the error that ends it (an `exception` if the service models it, else an `error`)."""
    if isinstance(said, PayloadPart):
        return encode(Message(_PART, said.bytes))
    if said.code in _STREAM_ERRORS:
        headers = {
            ":exception-type": said.code,
            ":content-type": "application/json",
            ":message-type": "exception",
        }
        return encode(Message(headers, _document(said)))
    return encode(
        Message(
            {":error-code": said.code, ":error-message": said.message, ":message-type": "error"},
            b"",
        )
    )


_PART = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
}
_STREAM_ERRORS = frozenset(
    error.default_code for error in InvokeEndpointWithResponseStream.stream_errors
)


def _identity(request_id: str) -> Headers:
    return (("x-amzn-RequestId", request_id),)


def _document(error: ServiceError) -> bytes:
    said: dict[str, object] = {"Message": error.message_raw}
    for name, wire_name, _ in error.members:
        value = getattr(error, name)
        if value is not None:
            said[wire_name] = value
    return json.dumps(said).encode()
