r"""Recordings: a file of exchanges, a line of JSON for each, to be read, edited and replayed.

    {"format": "smruntime-recording", "version": 1}
    {"request": {"operation": "InvokeEndpoint",
                 "members": {"endpoint_name": "churn", "content_type": "text/csv"},
                 "body": "1,2,3"},
     "response": {"seconds": 0.012, "status": 200,
                  "headers": [["Content-Type", "application/json"]], "body": "0.5"}}

| key             | meaning                                                                   |
|-----------------|---------------------------------------------------------------------------|
| `members`       | the members of the operation; null: redacted, and any value matches       |
| `body`          | the body as text; `body_base64` if it is not UTF-8                        |
| `body_sha256`   | instead, of a redacted body of a request                                  |
| `body_size`     | instead, of a redacted body of a response: as many "x" are replayed       |
| `seconds`       | from the request to the head, or to an event of a stream                  |
| `events`        | instead of a body, those of a stream: `seconds`, a body, and `headers` if |
|                 | the event is not a part of the payload                                    |
| `ended`         | of a stream: false if it broke off                                        |
| `skipped`       | instead of `request` and `response`: why an exchange is missing           |

Only the members of operations and outputs are recorded, so there is no place for Authorization,
security tokens and cookies. Keys that a file may have beside these are refused, in case they are
misspelt.
"""

from __future__ import annotations

import json
import math
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeAlias, cast

from smruntime_core import ConstructionError, Operation, Output, service

RecordingPath: TypeAlias = "str | os.PathLike[str]"
JSONObject: TypeAlias = "dict[str, object]"
ExchangeKey: TypeAlias = "tuple[str, str]"  # names of the operation and the endpoint

FORMAT: Final = "smruntime-recording"
VERSION: Final = 1
MAX_FILE_SIZE: Final = 256 * 1024 * 1024  # bytes
MAX_EXCHANGE_SIZE: Final = 16 * 1024 * 1024  # bytes of both bodies
LONGEST_SECONDS: Final = 3600.0
PART_HEADERS: Final[Mapping[str, str]] = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
}
_OPERATIONS: Final = {kind.__name__: kind for kind in service.OPERATIONS}
_BODY_KEYS: Final = ("body", "body_base64", "body_sha256", "body_size")


@dataclass(frozen=True)
class RecordedBody:
    """The bytes of a body; of a redacted one None, with its hash or its size."""

    data: bytes | None = None
    hash: str | None = None
    size: int = 0

    def matches(self, data: bytes) -> bool:
        """Return whether these are the bytes of this body."""
        if self.data is not None:
            return self.data == data
        return self.hash is None or self.hash == sha256(data).hexdigest()


@dataclass(frozen=True)
class RecordedEvent:
    """An event of a stream; `seconds` after the request."""

    seconds: float
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class RecordedResponse:
    """A response with its `body`, or with `events` if it is a stream."""

    seconds: float
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    events: tuple[RecordedEvent, ...] | None = None
    ended: bool = True


@dataclass(frozen=True)
class RecordedExchange:
    """A request and its response; `line` is the line of the file."""

    operation: str
    members: Mapping[str, object]
    body: RecordedBody
    response: RecordedResponse
    line: int = field(default=0, compare=False)

    @property
    def key(self) -> ExchangeKey:
        """The names of the operation and the endpoint."""
        return self.operation, str(self.members["endpoint_name"])


@dataclass(frozen=True)
class Redaction:
    """What a recording leaves out: bodies, and members by name."""

    request_bodies: bool = False
    response_bodies: bool = False
    members: frozenset[str] = frozenset()


def members_of(operation: Operation[Output]) -> dict[str, object]:
    """Return the members of an operation that are recorded, without its body."""
    return {name: value for name, value in vars(operation).items() if name != "body"}


def write_header() -> str:
    """Return the first line of a recording."""
    return json.dumps({"format": FORMAT, "version": VERSION}) + "\n"


def write_exchange(exchange: RecordedExchange, redaction: Redaction) -> str:
    """Return the line of an exchange, redacted."""
    response = exchange.response
    members = {
        name: None if name in redaction.members else value
        for name, value in exchange.members.items()
    }
    request: JSONObject = {"operation": exchange.operation, "members": members}
    request_body = exchange.body.data or b""
    if redaction.request_bodies:
        request["body_sha256"] = sha256(request_body).hexdigest()
    else:
        request |= _write_body(request_body)
    written: JSONObject = {
        "seconds": round(response.seconds, 6),
        "status": response.status,
        "headers": [list(pair) for pair in response.headers],
    }
    if response.events is None:
        written |= _write_response_body(response.body, redaction)
    else:
        written["events"] = [_write_event(event, redaction) for event in response.events]
        written["ended"] = response.ended
    return json.dumps({"request": request, "response": written}, ensure_ascii=False) + "\n"


def write_skipped(reason: str) -> str:
    """Return the line of an exchange that is too large to be recorded."""
    return json.dumps({"skipped": reason}) + "\n"


def _write_event(event: RecordedEvent, redaction: Redaction) -> JSONObject:
    written: JSONObject = {"seconds": round(event.seconds, 6)}
    if event.headers != PART_HEADERS:
        written["headers"] = dict(event.headers)
    return {**written, **_write_response_body(event.body, redaction)}


def _write_response_body(body: bytes, redaction: Redaction) -> JSONObject:
    return {"body_size": len(body)} if redaction.response_bodies else _write_body(body)


def _write_body(body: bytes) -> JSONObject:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": b64encode(body).decode()}


def read_recording(path: RecordingPath) -> list[RecordedExchange]:
    """Return the exchanges of a file.

    Raises `ValueError` that names the file, the line and what is wrong with it, and `OSError` if
    the file cannot be read.
    """
    size = os.stat(path).st_size
    if size > MAX_FILE_SIZE:
        raise ValueError(f"{os.fspath(path)}: {size} bytes; must have at most {MAX_FILE_SIZE}")
    exchanges: list[RecordedExchange] = []
    number = 0
    with open(path, "rb") as lines:
        try:
            for number, line in enumerate(_limit_lines(lines), 1):
                if number == 1:
                    _check_header(_parse_object(line))
                elif line.strip():
                    exchanges += _read_line(_parse_object(line), number)
            if not number:
                raise ValueError("the file is empty; must begin with a line with its format")
        except (ValueError, RecursionError) as error:
            problem = "too many brackets" if isinstance(error, RecursionError) else error
            raise ValueError(f"{os.fspath(path)}, line {max(number, 1)}: {problem}") from None
    return exchanges


def _limit_lines(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines, which together have as many bytes as a file may."""
    remaining_size = MAX_FILE_SIZE
    for line in lines:
        remaining_size -= len(line)
        if remaining_size < 0:  # the file grows while it is read
            raise ValueError(f"more than {MAX_FILE_SIZE} bytes")
        yield line


def _parse_object(line: bytes) -> JSONObject:
    try:
        found: object = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    return _require_object("the line", found)


def _check_header(header: JSONObject) -> None:
    if header.get("format") != FORMAT:
        raise ValueError(f'"format" must be "{FORMAT}": this is no recording')
    if header.get("version") != VERSION:
        found = header.get("version")
        raise ValueError(f'"version" is {found!r}; this release reads version {VERSION}')


def _read_line(line: JSONObject, number: int) -> list[RecordedExchange]:
    """Return the exchange of a line, none for a line that says why one is missing."""
    if "skipped" in line:
        return []
    _check_keys("the line", line, ("request", "response"))
    request = _require_object('"request"', line.get("request"))
    _check_keys('"request"', request, ("operation", "members", *_BODY_KEYS[:3]))
    operation_name = request.get("operation")
    if not isinstance(operation_name, str) or operation_name not in _OPERATIONS:
        raise ValueError(f'"operation" must be one of {", ".join(_OPERATIONS)}')
    members = _require_object('"members"', request.get("members"))
    if members.get("endpoint_name") is None:
        raise ValueError('"members" must have "endpoint_name"')
    body = _read_body('"request"', request)
    _check_members(operation_name, members, body.data)
    response = _read_response(_require_object('"response"', line.get("response")))
    return [RecordedExchange(operation_name, members, body, response, number)]


def _check_members(operation_name: str, members: JSONObject, body: bytes | None) -> None:
    """Raise `ValueError` for members that no call could have."""
    given = {name: value for name, value in members.items() if value is not None}
    if operation_name != "InvokeEndpointAsync":
        given["body"] = b""
    elif body:
        given["body"] = body
    elif "input_location" not in given:
        given["input_location"] = "s3://redacted/input"
    try:
        _OPERATIONS[operation_name](**given)
    except (ConstructionError, TypeError) as error:
        raise ValueError(f'"members": {error}') from None


def _read_response(response: JSONObject) -> RecordedResponse:
    known_keys = ("seconds", "status", "headers", "events", "ended", *_BODY_KEYS)
    _check_keys('"response"', response, known_keys)
    status = response.get("status")
    if type(status) is not int or not 200 <= status <= 599:
        raise ValueError('"status" must be a whole number from 200 to 599')
    seconds, headers = _read_seconds(response), _read_headers(response.get("headers", []))
    if "events" not in response:
        return RecordedResponse(seconds, status, headers, _read_response_body(response))
    events = response["events"]
    if not isinstance(events, list):
        raise ValueError('"events" must be a list')
    ended = response.get("ended", True)
    if not isinstance(ended, bool):
        raise ValueError('"ended" must be true or false')
    read_events = tuple(map(_read_event, cast("list[object]", events)))
    return RecordedResponse(seconds, status, headers, b"", read_events, ended)


def _read_event(found: object) -> RecordedEvent:
    event = _require_object("an event", found)
    _check_keys("an event", event, ("seconds", "headers", *_BODY_KEYS))
    headers = _require_object('"headers" of an event', event.get("headers", dict(PART_HEADERS)))
    if not all(isinstance(value, str) for value in headers.values()):
        raise ValueError('"headers" of an event must be texts by name')
    body = _read_response_body(event)
    return RecordedEvent(_read_seconds(event), cast("dict[str, str]", headers), body)


def _read_headers(found: object) -> tuple[tuple[str, str], ...]:
    pairs = cast("Sequence[object]", found if isinstance(found, list) else [None])
    for pair in pairs:
        if not (
            isinstance(pair, list)
            and len(cast("list[object]", pair)) == 2
            and all(_is_header_text(text) for text in cast("list[object]", pair))
        ):
            raise ValueError('"headers" must be a list of pairs of printable texts')
    return tuple((name, value) for name, value in cast("list[list[str]]", pairs))


def _is_header_text(text: object) -> bool:
    is_latin = isinstance(text, str) and all(" " <= char <= "\xff" for char in text)
    return is_latin and "\x7f" not in cast("str", text)


def _read_seconds(found: JSONObject) -> float:
    seconds = found.get("seconds", 0)
    if type(seconds) not in (int, float) or not math.isfinite(cast("float", seconds)):
        raise ValueError('"seconds" must be a number')
    if not 0 <= cast("float", seconds) <= LONGEST_SECONDS:
        raise ValueError(f'"seconds" must be from 0 to {LONGEST_SECONDS:g}')
    return float(cast("float", seconds))


def _read_response_body(found: JSONObject) -> bytes:
    body = _read_body("the response", found)
    return b"x" * body.size if body.data is None else body.data


def _read_body(where: str, found: JSONObject) -> RecordedBody:
    """Return the body that one key of `found` describes."""
    given_keys = [key for key in _BODY_KEYS if key in found]
    if len(given_keys) > 1:
        raise ValueError(f"{where} must have one of {', '.join(given_keys)}")
    if not given_keys:
        return RecordedBody(b"")
    value = found[given_keys[0]]
    if given_keys[0] == "body_size":
        if type(value) is not int or not 0 <= value <= MAX_EXCHANGE_SIZE:
            raise ValueError(f'"body_size" must be from 0 to {MAX_EXCHANGE_SIZE}')
        return RecordedBody(size=value)
    if not isinstance(value, str):
        raise ValueError(f'"{given_keys[0]}" must be a text')
    if given_keys[0] == "body_sha256":
        return RecordedBody(hash=value)
    try:
        is_text = given_keys[0] == "body"
        return RecordedBody(value.encode() if is_text else b64decode(value, validate=True))
    except ValueError as error:
        raise ValueError(f'"{given_keys[0]}": {error}') from None


def _require_object(where: str, found: object) -> JSONObject:
    if not isinstance(found, dict):
        raise ValueError(f"{where} must be a JSON object")
    return cast("JSONObject", found)


def _check_keys(where: str, found: JSONObject, known_keys: Sequence[str]) -> None:
    unknown_keys = sorted(set(found) - set(known_keys))
    if unknown_keys:
        known = ", ".join(known_keys)
        raise ValueError(f'{where} has the unknown key "{unknown_keys[0]}"; known are {known}')
