"""Message → record, or the error that the message says (restJson1 error rules).

The error's name stands in `x-amzn-errortype`, perhaps with a namespace before a `#` and a URL after a `:`, else in the
JSON body; and often neither is there, because a proxy answered. So every step here may find anything: whatever the
bytes, an error comes out, with the status as its code if there is no better one.
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


def output(kind: type[OutputT], response: Response, attempts: tuple[Attempt, ...]) -> OutputT:
    """Return the record of `kind` that a successful response holds."""
    values: dict[str, object] = {} if kind._table.document else {"body": response.body}
    request_id, members = None, kind._table.members
    for name, value in response.headers:
        key = name.lower()
        if key == REQUEST_ID:
            request_id = request_id or value
        elif key in members:
            member = members[key]
            values[member] = f"{values[member]}, {value}" if member in values else value
    told = Metadata(request_id, response.status, response.headers, attempts)
    if response.truncated:
        raise ResponseError("the body of a successful answer was cut short").about(told)
    if kind._table.document:
        said = document(response.body)
        values |= {
            b.name: said[b.wire_name]
            for b in kind._table.document
            if isinstance(said.get(b.wire_name), str)
        }
    values["metadata"] = told
    return unchecked(kind, values)


def error(
    modelled: Iterable[type[ServiceError]], response: Response, attempts: tuple[Attempt, ...]
) -> ServiceError:
    """The error in a response: one of the `modelled` classes if its code names one, else a plain `ServiceError`."""
    if (
        b"x-amz-security-token" in response.body.lower()
    ):  # a mismatch quotes what was signed, and so a secret of the caller's
        response = response.replace(body=_quoted_token(b"<redacted>", response.body))
    found = response.named
    said = document(response.body)
    code = _shape_name(found.get("x-amzn-errortype")) or next(
        filter(None, (_shape_name(said.get(key)) for key in ("__type", "code", "Code"))), None
    )
    kind = next((known for known in modelled if known.default_code == code), ServiceError)
    message = next(
        (text for key in ("message", "Message") if isinstance(text := said.get(key), str)), ""
    )
    made = kind(
        message,
        code=code,
        status=response.status,
        body=response.body,
        truncated=response.truncated,
        metadata=metadata(response, found, attempts),
    )
    set_members(made, said)
    return made


def _quoted_token(instead: bytes, body: bytes) -> bytes:
    return re.sub(rb"(?i)(x-amz-security-token:)[^\s\\\"'<]+", rb"\1" + instead, body)


def set_members(error: ServiceError, said: Mapping[str, object]) -> None:
    """What else the JSON of an error holds, as far as it has the right type."""
    for name, wire_name, type_ in error.members:
        value = said.get(wire_name)
        setattr(error, name, value if type(value) is type_ else None)
    if isinstance(error, ModelError):
        error.read_message()


def metadata(
    response: Response, found: Mapping[str, str], attempts: tuple[Attempt, ...]
) -> Metadata:
    """Return what every answer says of itself."""
    return Metadata(request_id_of(response.headers), response.status, response.headers, attempts)


def request_id_of(headers: Headers) -> str | None:
    """Return the request id of an answer, None if it has none."""
    for name, value in headers:
        if name.lower() == REQUEST_ID:
            return value
    return None


def _shape_name(text: object) -> str | None:
    """`namespace#Name:http://…` → `Name`; None if that leaves nothing, or `text` is no text."""
    if not isinstance(text, str):
        return None
    return text.partition(":")[0].rpartition("#")[2].strip() or None


def document(body: bytes) -> dict[str, object]:
    """The JSON object in a body; an empty one for anything else."""
    import json  # 5 ms that only a failed call pays

    try:
        found = json.loads(body)
    except (
        ValueError,
        RecursionError,
    ):  # not JSON, not UTF-8, a number with too many digits; nested too deep
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}
