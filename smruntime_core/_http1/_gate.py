"""The gate: the raw head of a response is read here, and only what has one meaning passes (RFC 9112 sections 2 to 5).

CRLF alone ends a line; no bare CR, no NUL, no folded line; a version and a status of three digits; one Content-Length of digits, or
exactly `chunked`, not both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .._errors import Kind
from .._model import Headers
from .._rules import TCHAR

MAX_HEAD = 64 * 1024
MAX_FIELDS = 256

TOKEN = f"[{TCHAR}]+"
FIELD = rf"{TOKEN}:[\t -~\x80-\xff]*\r\n"
_head = re.compile(rf"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t -~\x80-\xff]*)?\r\n((?:{FIELD})*)\r\n").fullmatch
_fields = re.compile(r"([^:]+):[\t ]*([^\r]*)\r\n").findall
bare_lf = re.compile(rb"(?<!\r)\n").search
_length = re.compile(r"[0-9]{1,19}").fullmatch


class Violation(Exception):
    """What arrived is not HTTP as this module takes it; `Exchange` makes a `DispatchFailure` of it."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


class Head(NamedTuple):
    """A final head that passed the gate. `length` is None unless a Content-Length said it."""

    raw: bytes
    status: int
    headers: Headers
    http10: bool
    chunked: bool
    length: int | None
    close: bool


def read_head(raw: bytes) -> Head:
    """A whole head, CRLF CRLF included, through the gate; raises `Violation`."""
    found = _head(raw.decode("latin-1"))
    if found is None:
        raise Violation("protocol", f"a malformed head: {_bad_line(raw)!r}")
    minor, status, block = found.groups()
    headers = _fields(block)
    if len(headers) > MAX_FIELDS:
        raise Violation("too_large", f"the head of the response has more than {MAX_FIELDS} fields")
    if " \r" in block or "\t\r" in block:
        headers = [(name, value.rstrip(" \t")) for name, value in headers]
    length: int | None = None
    chunked = close = False
    for name, value in headers:
        if (key := name.lower()) not in _FRAMING:
            continue
        if key == "connection":
            close = close or "close" in value.lower().replace(" ", "").replace("\t", "").split(",")
        elif key == "transfer-encoding":
            if chunked or value.lower() != "chunked":
                raise Violation("protocol", "Transfer-Encoding is not exactly 'chunked'")
            chunked = True
        else:
            if length is not None or not _length(value):
                raise Violation("protocol", "Content-Length is not one number of 1 to 19 digits")
            length = int(value)
    if chunked and (length is not None or minor == "0"):
        raise Violation("protocol", "Transfer-Encoding together with Content-Length, or in HTTP/1.0")
    return Head(raw, int(status), tuple(headers), minor == "0", chunked, length, close)


_FRAMING = frozenset(("connection", "transfer-encoding", "content-length"))


def _bad_line(raw: bytes) -> bytes:
    """The first line at fault, cut: a head may be hostile, and an error is for reading."""
    lines = raw[:-4].split(b"\r\n")
    if not re.match(rb"HTTP/1\.[01] [1-9][0-9][0-9](?: |$)", lines[0]):
        return lines[0][:80]
    good = re.compile(FIELD.removesuffix(r"\r\n").encode("latin-1")).fullmatch
    return next((line for line in lines[1:] if not good(line)), lines[0])[:80]
