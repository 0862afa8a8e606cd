"""Rows 40 to 51, head: only what has one meaning is read, and not more of it than anybody needs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from ..effects import Flow
from ..http1 import MAX_HEAD
from ..values._timeouts import Timeouts
from ._scenario import SPARE, Answer, Failure, Scenario
from ._server import Hear, Pause, Say, answer, keep
from ._ways import NO_BODY, OK, refused, several, whole

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
LIMITED = SPARE + 3 * MAX_HEAD
UNREAD = Failure("too_large", "head", "maybe_sent", reused=False)
LATE = Failure("timeout", "head", "maybe_sent")
MEGABYTE = b"x" * 1_000_000


def pouring(row: str, name: str, pieces: Iterable[bytes], right: Failure = UNREAD) -> Scenario:
    """`pieces`, as fast as they are taken."""
    return _streaming(row, name, pieces, 0.0, right, memory=LIMITED)


def dripping(row: str, name: str, piece: bytes, every: float) -> Scenario:
    """`piece` for ever, so slowly that no pause is a long one."""
    return _streaming(
        row,
        name,
        itertools.repeat(piece),
        every,
        LATE,
        takes=0.3,
        timeouts=Timeouts(response=0.3, idle=0.3),
    )


def _streaming(
    row: str, name: str, pieces: Iterable[bytes], every: float, right: Failure, **more: Any
) -> Scenario:
    def script(number: int) -> Flow[None]:
        if number > 1:
            return (yield from keep())
        yield from Hear()
        for piece in pieces:
            if every:
                yield from Pause(every)
            yield from Say(piece)
        yield from Pause()
        return None

    return Scenario(
        row=row, name=name, script=script, right=(right, Answer()), connections=2, **more
    )


def status(line: bytes) -> bytes:
    return line + b"\r\n" + NO_BODY


def field(raw: bytes) -> bytes:
    return OK + raw + b"\r\n" + NO_BODY


def attributes(value: bytes, read: str) -> Scenario:
    raw = OK + f"{ATTRIBUTES}: ".encode() + value + b"\r\nContent-Length: 3\r\n\r\nabc"
    return whole("46", f"custom attributes {value!r}", raw, b"abc", answer=Answer(b"abc", read))


INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
}
BARE_CR = {
    "in a value": field(b"A: b\rX-Evil: c"),
    "that would be a custom attribute": field(b"A: b\r" + ATTRIBUTES.encode() + b": evil"),
    "at the end of a value": field(b"A: b\r"),
    "in a name": field(b"A\rB: c"),
    "in the reason": status(b"HTTP/1.1 200 OK\rA: b"),
    "instead of CRLF": b"HTTP/1.1 200 OK\rContent-Length: 0\r\r\n\r\n",
}
BAD_FIELDS = {
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
FOLDED = {
    "with a blank": b"A: b\r\n c",
    "with a tab": b"A: b\r\n\tc",
    "in the first line": b" A: b",
    "of a length": b"Content-Length:\r\n 3",
    "a blank line that is not empty": b" ",
}
BARE_LF = {
    "all lines": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    "the status line": b"HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\nabc",
    "a field": OK + b"A: b\nContent-Length: 3\r\n\r\nabc",
    "the last line": OK + b"Content-Length: 3\r\n\nabc",
    "before the blank line": OK + b"Content-Length: 3\n\r\nabc",
}
BAD_STATUS = [
    "abc",
    "99",
    "000",
    "2000",
    "20",
    "2 0",
    "+20",
    "-20",
    "0200",
    "200.0",
    "2OO",
    "\xb2\xb9\xb2",
    "",
]
BAD_VERSIONS = [
    "HTTP/2.0",
    "HTTP/2",
    "HTTP/3",
    "HTTP/1.2",
    "HTTP/1.10",
    "HTTP/0.9",
    "HTTP/11",
    "HTTP/01.1",
    "HTTPS/1.1",
    " HTTP/1.1",
]

HEAD: list[Scenario] = [
    pouring("40", "a field of 100 MB", [OK + b"A: ", *[MEGABYTE] * 100, b"\r\n\r\n"]),
    pouring("40", "a name of 100 MB", [OK, *[MEGABYTE] * 100, b"\r\n\r\n"]),
    pouring("40", "a reason of 100 MB", [b"HTTP/1.1 200 ", *[MEGABYTE] * 100, b"\r\n\r\n"]),
    pouring("40", "a million fields", [OK, *[b"A: b\r\n" * 1000] * 1000, b"\r\n"]),
    pouring("40", "a field without end", [OK + b"A: ", *[MEGABYTE] * 10_000]),
    pouring(
        "40",
        "an interim response of 100 MB",
        [b"HTTP/1.1 103 x\r\nA: ", *[MEGABYTE] * 100, b"\r\n\r\n", OK + NO_BODY],
    ),
    refused("40", "257 fields", OK + b"A: b\r\n" * 257 + b"\r\n", "too_large"),
    refused(
        "40",
        "64 KiB and a byte",
        OK + b"A: " + b"x" * (MAX_HEAD - len(OK) - 6) + b"\r\n\r\n",
        "too_large",
    ),
    whole(
        "41",
        "150 fields",
        answer(b"abc", "200 OK", *[f"X-Field-{n}: {n}" for n in range(149)]),
        b"abc",
    ),
    whole(
        "41",
        "256 fields",
        answer(b"abc", "200 OK", *[f"X-Field-{n}: {n}" for n in range(255)]),
        b"abc",
    ),
    whole("41", "60 KiB", answer(b"abc", "200 OK", "A: " + "x" * 60 * 1024), b"abc"),
    pouring(
        "42",
        "without end",
        itertools.repeat(b"\r\n" * 10_000),
        UNREAD.replace(kind="protocol|too_large"),
    ),
    refused("42", "one", b"\r\n" + OK + NO_BODY),
    *several(refused, "43", BARE_CR),
    *[refused("44", name, field(raw)) for name, raw in BAD_FIELDS.items()],
    *[refused("45", f"folded {name}", field(raw)) for name, raw in FOLDED.items()],
    *[refused("45", f"bare LF: {name}", raw) for name, raw in BARE_LF.items()],
    attributes(b"caf\xe9", "caf\xe9"),
    attributes("café".encode(), "caf\xc3\xa9"),
    attributes(b"\xff\xfe\x80", "\xff\xfe\x80"),
    attributes(b"a=b; c", "a=b; c"),
    *[
        refused("47", f"status {code!a}", status(f"HTTP/1.1 {code} OK".encode("latin-1")))
        for code in BAD_STATUS
    ],
    refused("47", "no status", status(b"HTTP/1.1")),
    *[refused("48", version, status(f"{version} 200 OK".encode())) for version in BAD_VERSIONS],
    refused(
        "49",
        "101",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    ),
    refused("49", "101 and a response", b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK + NO_BODY),
    *[
        pouring(
            "50",
            f"{name} without end",
            itertools.repeat(raw * 100),
            UNREAD.replace(kind="protocol"),
        )
        for name, raw in INTERIM.items()
    ],
    refused("50", "17, then a response", INTERIM["100"] * 17 + OK + NO_BODY),
    whole(
        "50",
        "16, then a response",
        INTERIM["100"] * 16 + OK + b"Content-Length: 3\r\n\r\nabc",
        b"abc",
    ),
    *[dripping("51", f"{name} every 0.1 s", raw, 0.1) for name, raw in INTERIM.items()],
]
