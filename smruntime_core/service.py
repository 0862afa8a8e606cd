"""The service's side of the protocol: request to operation, and output or error to response.

A test double, a proxy or a local endpoint needs the mirror image of the client, so both read the
same binding table. For every operation, output and error that can be made:

    service.read(operation.request(url)) == operation
    operation.parse(service.answer(output, request_id="…")) == output

Nothing here does I/O or checks a signature: call `smruntime_core.verify` first, then `read`. A
request for no known operation raises the `ServiceError` to answer with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar, cast
from urllib.parse import unquote

from .errors import ConstructionError, ServiceError, ValidationError
from .eventstream import Message, encode
from .protocol import _encoding
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


class _Route(NamedTuple):
    """The method and path of an operation."""

    operation_type: type[Operation[Output]]
    match_path: Callable[[str], re.Match[str] | None]
    label_names: list[str]


def _make_route(operation_type: type[Operation[Output]]) -> _Route:
    """Return the route of an operation; a base path may precede its path, as in `request(url)`."""
    path_literals = re.split(r"\{\w+\}", operation_type.path)
    path_pattern = "(?:/.*)?" + "([^/]*)".join(map(re.escape, path_literals))
    label_names = re.findall(r"\{(\w+)\}", operation_type.path)
    return _Route(operation_type, re.compile(path_pattern, re.DOTALL).fullmatch, label_names)


_ROUTES = tuple(map(_make_route, OPERATIONS))


def header_names(kind: type[MessageRecord]) -> Mapping[str, str]:
    """Return the headers of the members of an operation or output, by member name."""
    return kind._table.header_names


def make_unchecked(kind: type[MessageT], values: dict[str, object]) -> MessageT:
    """Return a record of a container's response, not checked by the client's rules."""
    return unchecked(kind, values)


def read(request: Request) -> Operation[Output]:
    """Return the operation that `request` asks for; its header values are read as latin-1.

    Raises `ValidationError` that names the member that breaks its rule, or a `ServiceError` with
    the code `UnknownOperationException` and the status 404 for an unknown method and path.
    """
    try:
        _, _, path, _ = split_url(request.url)
        for operation_type, match_path, label_names in _ROUTES:
            path_match = match_path(path) if request.method == operation_type.method else None
            if path_match:
                labels = zip(label_names, map(unquote, path_match.groups()), strict=True)
                return _build_operation(operation_type, dict(labels), request)
    except ConstructionError as error:
        raise ValidationError(str(error)) from error
    raise ServiceError(
        "No operation has this method and path.", code="UnknownOperationException", status=404
    )


def _build_operation(
    operation_type: type[Operation[Output]], label_values: dict[str, str], request: Request
) -> Operation[Output]:
    headers = fields_by_name(request.headers)
    member_values: dict[str, object] = {}
    has_location = "x-amzn-sagemaker-inputlocation" in headers
    for binding in operation_type._table.bindings:
        member_rule, wire_text = binding.rule, None
        if isinstance(member_rule, Blob):
            if request.body or binding.required or not has_location:  # a body may be empty
                member_values[binding.name] = request.body
            continue
        if binding.location is Location.LABEL:
            wire_text = label_values[binding.wire_name]
        elif binding.location is Location.HEADER:
            wire_text = headers.get(binding.wire_name.lower())
        if wire_text is not None:
            member_values[binding.name] = member_rule.read(binding.name, wire_text)
        elif binding.required:
            raise ConstructionError(binding.name, "given")
    # The members are those of a subclass, known to its table only.
    return cast("Callable[..., Operation[Output]]", operation_type)(**member_values)


def answer(result: Output | ServiceError, *, request_id: str) -> Response:
    """Return the response for `result`: `operation.parse` returns or raises an equal one.

    The output of a streaming operation becomes a single event with all of its `body`; to send
    events one by one, use `begin` and `event`.
    """
    if isinstance(result, ServiceError):
        type_header: Headers = (("x-amzn-ErrorType", result.code), _JSON_TYPE)
        headers = _request_id_header(request_id) + type_header
        return Response(result.status, headers, _encode_error(result))
    operation_type = next(kind for kind in OPERATIONS if isinstance(result, kind.output))
    body = _payload_of(result)
    if issubclass(operation_type, StreamingOperation):
        response_head = begin(result, request_id=request_id)
        return response_head.replace(body=event(PayloadPart(body)) if body else b"")
    headers = _request_id_header(request_id) + _encoding.encode_headers(result)
    if result._table.document:
        member_values, members = vars(result), result._table.document
        present_members = [member for member in members if member.name in member_values]
        json_document = {member.wire_name: member_values[member.name] for member in present_members}
        headers += (_JSON_TYPE,)
        body = json.dumps(json_document).encode()
    return Response(operation_type.success, headers, body)


def begin(result: Output, *, request_id: str) -> Response:
    """Return the head of a streamed response; `event` makes its body."""
    headers = (("Content-Type", CONTENT_TYPE), *_encoding.encode_headers(result))
    return Response(200, _request_id_header(request_id) + headers)


def event(part_or_error: PayloadPart | ServiceError) -> bytes:
    """Return one event of a streamed response: a part, or the error that ends the stream.

    An error that the service models becomes an `exception`, another an `error`.
    """
    if isinstance(part_or_error, PayloadPart):
        return encode(Message(_PART_HEADERS, part_or_error.bytes))
    error = part_or_error
    if error.code in _MODELLED_STREAM_ERRORS:
        headers = {
            ":exception-type": error.code,
            ":content-type": "application/json",
            ":message-type": "exception",
        }
        return encode(Message(headers, _encode_error(error)))
    headers = {
        ":error-code": error.code,
        ":error-message": error.message_raw,
        ":message-type": "error",
    }
    return encode(Message(headers, b""))


_JSON_TYPE = ("Content-Type", "application/json")
_PART_HEADERS = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
}
_MODELLED_STREAM_ERRORS = frozenset(
    error.default_code for error in InvokeEndpointWithResponseStream.stream_errors
)


def _payload_of(result: Output) -> bytes:
    member_values = vars(result)
    for binding in result._table.bindings:
        if binding.location is Location.PAYLOAD and binding.name in member_values:
            return bytes(member_values[binding.name])
    return b""


def _request_id_header(request_id: str) -> Headers:
    return (("x-amzn-RequestId", request_id),)


def _encode_error(error: ServiceError) -> bytes:
    json_document: dict[str, object] = {"Message": error.message_raw}
    for name, wire_name, _ in error.members:
        value = getattr(error, name)
        if value is not None:
            json_document[wire_name] = value
    return json.dumps(json_document).encode()
