"""Rows 60 to 66, early: an answer, or an end, before the request is through."""

from __future__ import annotations

from ..effects import Flow
from ._head import INTERIM
from ._scenario import Answer, Failure, Refusal, Scenario
from ._server import (
    WELL,
    End,
    Finish,
    Hear,
    Pause,
    Reset,
    Say,
    Script,
    answer,
    fin,
    first,
    keep,
    rst,
)
from ._time import BIG

PART = 1_000_000
SMALL = BIG.replace(body=b"1")


def hold_unread() -> Flow[None]:
    """It stays open, and nothing more is read."""
    yield from Pause()


def linger() -> Flow[None]:
    """It is closed for sending, and what comes is read."""
    yield from Finish()


def reset() -> Flow[None]:
    """It breaks."""
    yield from Reset()


def early(said: bytes, end: End, part: int = PART) -> Script:
    """After the first bytes of a request something is `said`; other connections are good ones."""

    def script(number: int) -> Flow[None]:
        if number > 1:
            return (yield from keep())
        yield from Hear(part)
        if said:
            yield from Say(said)
        return (yield from end())

    return script


def refusal(row: str, name: str, status: str, end: End, part: int = PART) -> Scenario:
    """Uploading stops, the refusal is what the caller gets, and 30 MB are not sent again."""
    said = answer(b'{"Message":"no"}', status)
    right = (Refusal(status[:3], int(status[:3]), "no"), Answer())
    return Scenario(
        row=row,
        name=name,
        script=early(said, end, part),
        operations=(BIG, SMALL),
        right=right,
        connections=2,
    )


def success(name: str, end: End, said: bytes = WELL) -> Scenario:
    right = (Answer(), Answer())
    return Scenario(
        row="64",
        name=name,
        script=early(said, end),
        operations=(BIG, SMALL),
        right=right,
        connections=2,
    )


def broken(name: str, end: End, right: Failure, part: int = PART) -> Scenario:
    return Scenario(
        row="65",
        name=name,
        script=early(b"", end, part),
        operations=(BIG, SMALL),
        right=(right, Answer()),
        connections=2,
    )


def hinting(name: str, right: Failure, end: End, kept: int = 0) -> Scenario:
    return Scenario(
        row="66",
        name=name,
        script=first(INTERIM["100"], end=end, kept=kept),
        right=(Answer(),) * kept + (right.replace(reused=bool(kept)), Answer()),
        connections=2,
    )


EARLY: list[Scenario] = [
    refusal("60", "the body unread", "413 x", fin),
    refusal("60", "nothing but the head read", "413 x", fin, 200),
    refusal("61", "the body read", "413 x", linger),
    refusal("62", "the body unread", "413 x", hold_unread),
    refusal("62", "nothing but the head read", "413 x", hold_unread, 200),
    refusal("63", "closed", "403 x", fin),
    refusal("63", "kept open", "403 x", hold_unread),
    refusal("63", "400, closed for sending", "400 x", linger),
    success("kept open, the body unread", hold_unread),
    success("closed for sending, the body read", linger),
    success(
        "in chunks",
        hold_unread,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n",
    ),
    success("after an interim response", hold_unread, INTERIM["100"] + WELL),
    broken("RST", reset, Failure("reset", "send", "maybe_sent", reused=False)),
    broken("RST at once", reset, Failure("reset", "send", "maybe_sent", reused=False), part=1),
    broken("FIN, the body unread", fin, Failure("reset", "send", "maybe_sent", reused=False)),
    hinting("FIN", Failure("truncated"), fin),
    hinting("RST", Failure("reset"), rst),
    hinting("FIN on a kept connection", Failure("truncated"), fin, kept=1),
    hinting("RST on a kept connection", Failure("reset"), rst, kept=1),
]
