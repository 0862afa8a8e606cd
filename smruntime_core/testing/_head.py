"""Faults 40 to 51, head: only a head with a single meaning is accepted, and only up to a size."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Final

from ..http1 import MAX_HEAD
from ..values._timeouts import Timeouts
from ._builders import EMPTY_BODY, STATUS_LINE, accept, build_for_each, reject_head, then_recover
from ._scenario import SPARE_MEMORY, ExpectedFailure, ExpectedOutput, Scenario
from ._server_script import build_response, stream_pieces

HEAD_MEMORY: Final = SPARE_MEMORY + 3 * MAX_HEAD
HEAD_TIMEOUT: Final = ExpectedFailure("timeout", "head", "maybe_sent")
THREE_BYTES: Final = STATUS_LINE + b"Content-Length: 3\r\n\r\nabc"
INTERIM_RESPONSES: Final = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
}
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_HUNDRED_MEGABYTES = [b"x" * 1_000_000] * 100
_SWITCHING_PROTOCOLS = b"HTTP/1.1 101 Switching Protocols\r\n"


def _overflow_head(name: str, pieces: Iterable[bytes]) -> Scenario:
    """Return a scenario with a head that is too large."""
    return _flood_head("40", name, pieces, "too_large")


def _flood_head(fault: str, name: str, pieces: Iterable[bytes], kind: str) -> Scenario:
    """Return a scenario where `pieces` of a head come as fast as they are read."""
    expected = ExpectedFailure(kind, "head", "maybe_sent", reused=False)
    return then_recover(fault, name, stream_pieces(pieces), expected, memory_limit=HEAD_MEMORY)


def _drip_interim(status: str, response: bytes) -> Scenario:
    """Return a scenario of endless interim responses without a long pause between them."""
    script = stream_pieces(repeat(response), interval=0.1)
    timeouts = Timeouts(response=0.8, idle=0.8)
    name = f"{status} every 0.1 s"
    return then_recover("51", name, script, HEAD_TIMEOUT, duration=0.8, timeouts=timeouts)


def _with_status(line: bytes) -> bytes:
    return line + b"\r\n" + EMPTY_BODY


def _with_field(line: bytes) -> bytes:
    return STATUS_LINE + line + b"\r\n" + EMPTY_BODY


def _with_fields(number: int) -> bytes:
    return build_response(
        b"abc", "200 OK", *[f"X-Field-{index}: {index}" for index in range(number)]
    )


def _read_attributes(value: bytes, decoded_value: str) -> Scenario:
    field = f"{_ATTRIBUTES}: ".encode() + value
    response = STATUS_LINE + field + b"\r\nContent-Length: 3\r\n\r\nabc"
    expected = ExpectedOutput(b"abc", decoded_value)
    return accept("46", f"custom attributes {value!r}", response, expected)


_BARE_CARRIAGE_RETURNS = {
    "in a value": _with_field(b"A: b\rX-Evil: c"),
    "that would be a custom attribute": _with_field(b"A: b\r%b: evil" % _ATTRIBUTES.encode()),
    "at the end of a value": _with_field(b"A: b\r"),
    "in a name": _with_field(b"A\rB: c"),
    "in the reason": _with_status(b"HTTP/1.1 200 OK\rA: b"),
    "instead of CRLF": b"HTTP/1.1 200 OK\rContent-Length: 0\r\r\n\r\n",
}
_BAD_FIELDS = {
    "NUL in a value": b"A: b\0c",
    "NUL in a name": b"A\0: b",
    "ESC in a value": b"A: \x1b[2J",
    "DEL in a value": b"A: \x7f",
    "no colon": b"abc",
    "blank before the colon": b"A : b",
    "tab before the colon": b"A\t: b",
    "a length, blank before its colon": b"Content-Length : 3",
    "no name": b": b",
    "only a colon": b":",
    "a name in brackets": b"(A): b",
    "a name that is not ASCII": b"caf\xe9: b",
    "a name in quotes": b'"A": b',
}
_FOLDED_FIELDS = {
    "with a blank": b"A: b\r\n c",
    "with a tab": b"A: b\r\n\tc",
    "in the first line": b" A: b",
    "of a length": b"Content-Length:\r\n 3",
    "a blank line that is not empty": b" ",
}
_BARE_LINE_FEEDS = {
    "all lines": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    "the status line": b"HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\nabc",
    "a field": STATUS_LINE + b"A: b\nContent-Length: 3\r\n\r\nabc",
    "the last line": STATUS_LINE + b"Content-Length: 3\r\n\nabc",
    "before the blank line": STATUS_LINE + b"Content-Length: 3\n\r\nabc",
}
_BAD_STATUS = (
    *("abc", "99", "000", "2000", "20", "2 0", "+20", "-20", "0200", "200.0", "2OO"),
    *("\xb2\xb9\xb2", ""),
)
_BAD_VERSIONS = (
    *("HTTP/2.0", "HTTP/2", "HTTP/3", "HTTP/1.2", "HTTP/1.10", "HTTP/0.9", "HTTP/11"),
    *("HTTP/01.1", "HTTPS/1.1", " HTTP/1.1"),
)

HEAD_SCENARIOS: list[Scenario] = [
    _overflow_head("a field of 100 MB", [STATUS_LINE + b"A: ", *_HUNDRED_MEGABYTES, b"\r\n\r\n"]),
    _overflow_head("a name of 100 MB", [STATUS_LINE, *_HUNDRED_MEGABYTES, b"\r\n\r\n"]),
    _overflow_head("a reason of 100 MB", [b"HTTP/1.1 200 ", *_HUNDRED_MEGABYTES, b"\r\n\r\n"]),
    _overflow_head("a million fields", [STATUS_LINE, *[b"A: b\r\n" * 1000] * 1000, b"\r\n"]),
    _overflow_head("a field without end", [STATUS_LINE + b"A: ", *_HUNDRED_MEGABYTES * 100]),
    _overflow_head(
        "an interim response of 100 MB", [b"HTTP/1.1 103 x\r\nA: ", *_HUNDRED_MEGABYTES]
    ),
    reject_head("40", "257 fields", STATUS_LINE + b"A: b\r\n" * 257 + b"\r\n", "too_large"),
    reject_head(
        "40",
        "64 KiB and a byte",
        STATUS_LINE + b"A: " + b"x" * (MAX_HEAD - len(STATUS_LINE) - 6) + b"\r\n\r\n",
        "too_large",
    ),
    accept("41", "150 fields", _with_fields(149), b"abc"),
    accept("41", "256 fields", _with_fields(255), b"abc"),
    accept("41", "60 KiB", build_response(b"abc", "200 OK", "A: " + "x" * 60 * 1024), b"abc"),
    _flood_head("42", "without end", repeat(b"\r\n" * 10_000), "protocol|too_large"),
    reject_head("42", "one", b"\r\n" + STATUS_LINE + EMPTY_BODY),
    *build_for_each(reject_head, "43", _BARE_CARRIAGE_RETURNS),
    *[reject_head("44", name, _with_field(line)) for name, line in _BAD_FIELDS.items()],
    *[
        reject_head("45", f"folded {name}", _with_field(line))
        for name, line in _FOLDED_FIELDS.items()
    ],
    *[reject_head("45", f"bare LF: {name}", head) for name, head in _BARE_LINE_FEEDS.items()],
    _read_attributes(b"caf\xe9", "caf\xe9"),
    _read_attributes("café".encode(), "caf\xc3\xa9"),
    _read_attributes(b"\xff\xfe\x80", "\xff\xfe\x80"),
    _read_attributes(b"a=b; c", "a=b; c"),
    *[
        reject_head("47", f"status {code!a}", _with_status(f"HTTP/1.1 {code} OK".encode("latin-1")))
        for code in _BAD_STATUS
    ],
    reject_head("47", "no status", _with_status(b"HTTP/1.1")),
    *[
        reject_head("48", version, _with_status(f"{version} 200 OK".encode()))
        for version in _BAD_VERSIONS
    ],
    reject_head("49", "101", _SWITCHING_PROTOCOLS + b"Upgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
    reject_head(
        "49", "101 and a response", _SWITCHING_PROTOCOLS + b"\r\n" + STATUS_LINE + EMPTY_BODY
    ),
    *[
        _flood_head("50", f"{status} without end", repeat(response * 100), "protocol")
        for status, response in INTERIM_RESPONSES.items()
    ],
    reject_head(
        "50", "17, then a response", INTERIM_RESPONSES["100"] * 17 + STATUS_LINE + EMPTY_BODY
    ),
    accept("50", "16, then a response", INTERIM_RESPONSES["100"] * 16 + THREE_BYTES, b"abc"),
    *[_drip_interim(status, response) for status, response in INTERIM_RESPONSES.items()],
]
