"""The head of a response, accepted only if it has one meaning (RFC 9112 sections 2 to 5).

Only CRLF ends a line; there is no bare CR, no NUL and no folded line. The status has three digits.
There is one Content-Length of digits, or a Transfer-Encoding that is exactly `chunked`, not both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import Kind
from ..values._http import Headers, fields_by_name
from ..values._rules import TCHAR

MAX_HEAD = 64 * 1024  # bytes
MAX_FIELDS = 256

TOKEN = f"[{TCHAR}]+"
FIELD = rf"{TOKEN}+:[\t -~\x80-\xff]*+"  # possessive: a field matches in one way only
_match_head = re.compile(
    rf"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t -~\x80-\xff]*+)?((?:\r\n{FIELD})*+)"
).fullmatch
# Names, and values without the blanks around them.
_find_fields = re.compile(r"\r\n([^:]++):[\t ]*+([^\r]*(?<![\t ])|)[\t ]*+").findall
find_bare_lf = re.compile(rb"(?<!\r)\n").search
_find_close = re.compile(r"(?:^|[ \t,])close(?:$|[ \t,])").search


class ProtocolViolation(Exception):
    """A message that this package refuses; `Exchange` turns it into a `DispatchFailure`."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


class Head(NamedTuple):
    """The head of a response.

    `named` are the fields by lower-case name, `length` is Content-Length (None if there is none),
    `close` says that the connection ends with this response.
    """

    raw: bytes
    status: int
    headers: Headers
    named: dict[str, str]
    chunked: bool
    length: int | None
    close: bool


def read_head(raw: bytes) -> Head:
    """Return the head in `raw`, which lacks the CRLF CRLF at its end.

    Raises `ProtocolViolation` if it has more than one meaning.
    """
    matched_head = _match_head(raw.decode("latin-1"))
    if matched_head is None:
        raise ProtocolViolation("protocol", f"a malformed head: {_faulty_line(raw)!r}")
    minor_version, status, field_lines = matched_head.groups()
    headers = _find_fields(field_lines)
    if len(headers) > MAX_FIELDS:
        raise ProtocolViolation("too_large", f"the response has more than {MAX_FIELDS} fields")
    named = fields_by_name(headers)
    length = _content_length(named["content-length"]) if "content-length" in named else None
    chunked = "transfer-encoding" in named
    if chunked:
        if named["transfer-encoding"].lower() != "chunked":  # repeated fields are joined by commas
            raise ProtocolViolation("protocol", "Transfer-Encoding is not exactly 'chunked'")
        if length is not None or minor_version == "0":
            raise ProtocolViolation(
                "protocol", "Transfer-Encoding together with Content-Length, or in HTTP/1.0"
            )
    close = minor_version == "0" or (
        "connection" in named and _find_close(named["connection"].lower()) is not None
    )
    return Head(raw, int(status), tuple(headers), named, chunked, length, close)


def _content_length(digits: str) -> int:
    if not digits.isdecimal() or len(digits) > 19:  # in latin-1, only 0 to 9 are decimal
        raise ProtocolViolation("protocol", "Content-Length is not one number of 1 to 19 digits")
    return int(digits)


def _faulty_line(raw: bytes) -> bytes:
    """Return at most 80 bytes of the first line that is malformed."""
    head_lines = raw.split(b"\r\n")
    if not re.match(rb"HTTP/1\.[01] [1-9][0-9][0-9](?: |$)", head_lines[0]):
        return head_lines[0][:80]
    match_field = re.compile(FIELD.encode("latin-1")).fullmatch
    return next(
        (head_line for head_line in head_lines[1:] if not match_field(head_line)), head_lines[0]
    )[:80]
