"""Responses to outputs, or to the errors that they contain (restJson1 error rules).

The name of an error is in `x-amzn-errortype`, perhaps with a namespace before a `#` and a URL after
a `:`, or in the JSON body. Often it is in neither, because a proxy answered. So each step here
accepts any bytes, and the result is always an error; its code is the status if there is no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar, cast

from ..errors import ModelError, ResponseError, ServiceError
from ..metadata import Attempt, Metadata
from ..values._http import Headers, Response
from ..values._record import unchecked
from ._bindings import Output

OutputT = TypeVar("OutputT", bound=Output)
REQUEST_ID = "x-amzn-requestid"


def parse_output(
    output_type: type[OutputT], response: Response, attempts: tuple[Attempt, ...]
) -> OutputT:
    """Return the record of `output_type` in a successful response."""
    table = output_type._table
    values: dict[str, object] = {} if table.document else {"body": response.body}
    request_id, members = None, table.members_by_header
    for name, value in response.headers:
        key = name.lower()
        if key == REQUEST_ID:
            request_id = request_id or value
        elif key in members:
            member = members[key]
            values[member] = f"{values[member]}, {value}" if member in values else value
    response_metadata = Metadata(request_id, response.status, response.headers, attempts)
    if response.truncated:
        error = ResponseError("the body of a successful answer was cut short")
        raise error.about(response_metadata)
    if table.document:
        document_values = json_members(response.body)
        for binding in table.document:
            value_in_document = document_values.get(binding.wire_name)
            if isinstance(value_in_document, str):
                values[binding.name] = value_in_document
    values["metadata"] = response_metadata
    return unchecked(output_type, values)


def parse_error(
    modelled: Iterable[type[ServiceError]], response: Response, attempts: tuple[Attempt, ...]
) -> ServiceError:
    """Return the error in a response, of the `modelled` class with its code if there is one."""
    # AWS quotes what was signed when signatures differ, and the token in it is a secret.
    if b"x-amz-security-token" in response.body.lower():
        response = response.replace(body=redact_quoted_token(b"<redacted>", response.body))
    details = json_members(response.body)
    code = _error_code(response, details)
    service_error = error_type(modelled, code)(
        error_message(details),
        code=code,
        status=response.status,
        body=response.body,
        truncated=response.truncated,
        metadata=make_metadata(response, attempts),
    )
    set_members(service_error, details)
    return service_error


def _error_code(response: Response, details: Mapping[str, object]) -> str | None:
    """Return the name of an error, from the first place that has one."""
    header = response.named.get("x-amzn-errortype")
    candidates = (header, *(details.get(key) for key in ("__type", "code", "Code")))
    return next(filter(None, map(_shape_name, candidates)), None)


def error_type(modelled: Iterable[type[ServiceError]], code: str | None) -> type[ServiceError]:
    """Return the `modelled` class of errors with this code, `ServiceError` if there is none."""
    return next((known for known in modelled if known.default_code == code), ServiceError)


def error_message(details: Mapping[str, object]) -> str:
    """Return the message in the JSON of an error, "" if it has none."""
    messages = (details.get(key) for key in ("message", "Message"))
    return next((message for message in messages if isinstance(message, str)), "")


def redact_quoted_token(replacement: bytes, body: bytes) -> bytes:
    """Return `body` with `replacement` for each session token that it quotes."""
    return re.sub(
        rb"(?i)(x-amz-security-token:)[^\s\\\"'<]+", lambda token: token[1] + replacement, body
    )


def set_members(error: ServiceError, details: Mapping[str, object]) -> None:
    """Set the other members of an error to those values of its JSON that have the right type."""
    for name, wire_name, type_ in error.members:
        value = details.get(wire_name)
        setattr(error, name, value if type(value) is type_ else None)
    if isinstance(error, ModelError):
        error.read_message()


def make_metadata(response: Response, attempts: tuple[Attempt, ...]) -> Metadata:
    """Return the metadata of a response."""
    return Metadata(request_id_of(response.headers), response.status, response.headers, attempts)


def request_id_of(headers: Headers) -> str | None:
    """Return the request id in the header fields of a response, None if there is none."""
    for name, value in headers:
        if name.lower() == REQUEST_ID:
            return value
    return None


def _shape_name(text: object) -> str | None:
    """Return `Name` for `namespace#Name:http://…`; None if nothing is left, or for no text."""
    if not isinstance(text, str):
        return None
    return text.partition(":")[0].rpartition("#")[2].strip() or None


def json_members(body: bytes) -> dict[str, object]:
    """Return the members of the JSON object in a body, none for anything else."""
    import json  # 5 ms, which only a failed call has to pay

    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # ValueError: not JSON, not UTF-8, or too many digits
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
