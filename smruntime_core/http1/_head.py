"""The gate: the raw head of a response is read here, and only what has one meaning passes (RFC 9112 sections 2 to 5).

CRLF alone ends a line; no bare CR, no NUL, no folded line; a version and a status of three digits; one Content-Length of digits, or
exactly `chunked`, not both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import Kind
from ..values._http import Headers, by_name
from ..values._rules import TCHAR

MAX_HEAD = 64 * 1024
MAX_FIELDS = 256

TOKEN = f"[{TCHAR}]+"
FIELD = rf"{TOKEN}+:[\t -~\x80-\xff]*+"  # possessive: there is one way to read a field, so none is tried again
_head = re.compile(
    rf"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t -~\x80-\xff]*+)?((?:\r\n{FIELD})*+)"
).fullmatch
_fields = re.compile(
    r"\r\n([^:]++):[\t ]*+([^\r]*(?<![\t ])|)[\t ]*+"
).findall  # values without the blanks around them
bare_lf = re.compile(rb"(?<!\r)\n").search
_close = re.compile(r"(?:^|[ \t,])close(?:$|[ \t,])").search


class ProtocolViolation(Exception):
    """What arrived is not HTTP as this module takes it; `Exchange` makes a `DispatchFailure` of it."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


class Head(NamedTuple):
    """A head that passed the gate. `length` is None unless a Content-Length said it; `close`: nothing may follow the answer."""

    raw: bytes
    status: int
    headers: Headers
    named: dict[str, str]  # by lower-case name
    chunked: bool
    length: int | None
    close: bool


def read_head(raw: bytes) -> Head:
    """A whole head, without the CRLF CRLF at its end, through the gate; raises `ProtocolViolation`."""
    found = _head(raw.decode("latin-1"))
    if found is None:
        raise ProtocolViolation("protocol", f"a malformed head: {_bad_line(raw)!r}")
    minor, status, block = found.groups()
    headers = _fields(block)
    if len(headers) > MAX_FIELDS:
        raise ProtocolViolation(
            "too_large", f"the head of the response has more than {MAX_FIELDS} fields"
        )
    named = by_name(headers)
    length: int | None = None
    if "content-length" in named:
        digits = named["content-length"]
        if not digits.isdecimal() or len(digits) > 19:  # of latin-1, only 0 to 9 are
            raise ProtocolViolation(
                "protocol", "Content-Length is not one number of 1 to 19 digits"
            )
        length = int(digits)
    chunked = "transfer-encoding" in named
    if chunked:
        if named["transfer-encoding"].lower() != "chunked":  # a repeated field is joined by a comma
            raise ProtocolViolation("protocol", "Transfer-Encoding is not exactly 'chunked'")
        if length is not None or minor == "0":
            raise ProtocolViolation(
                "protocol", "Transfer-Encoding together with Content-Length, or in HTTP/1.0"
            )
    close = minor == "0" or (
        "connection" in named and _close(named["connection"].lower()) is not None
    )
    return Head(raw, int(status), tuple(headers), named, chunked, length, close)


def _bad_line(raw: bytes) -> bytes:
    """The first line at fault, cut: a head may be hostile, and an error is for reading."""
    lines = raw.split(b"\r\n")
    if not re.match(rb"HTTP/1\.[01] [1-9][0-9][0-9](?: |$)", lines[0]):
        return lines[0][:80]
    good = re.compile(FIELD.encode("latin-1")).fullmatch
    return next((line for line in lines[1:] if not good(line)), lines[0])[:80]
