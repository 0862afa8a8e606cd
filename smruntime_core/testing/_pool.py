"""Rows 12 to 18, pool: what has become of a connection that served before, and what is on it that nobody asked for."""

from __future__ import annotations

from ..conversation._retries import RetryPolicy
from ..effects import Flow
from ..protocol._operations import InvokeEndpoint
from ._head import INTERIM
from ._scenario import Answer, Failure, Scenario
from ._server import (
    LATER,
    MOMENT,
    POISON,
    WELL,
    Hear,
    Pause,
    Reset,
    Say,
    Script,
    answer,
    first,
    keep,
    on_each,
    saying,
)
from ._ways import CHUNKED, OK, whole

OPENING_BODY = InvokeEndpoint(endpoint_name="iris", body=b"", session_id="NEW_SESSION")
BUSY = answer(b"", "408 Request Timeout", "Connection: close")
ONCE = RetryPolicy(max_attempts=1)
SURE = RetryPolicy(max_attempts=3, base_delay=0.0, resend=True)
KINDS = {"FIN": "closed", "RST": "reset"}


def leave(way: str) -> Flow[None]:
    """Close, once everything was read, or break."""
    if way == "RST":
        yield from Reset()


def dying(way: str, *, served: int, good: bool = True, heard: int | None = None) -> Script:
    """A connection that has `served` dies of the next request (of the first `heard` bytes of it); others are `good` or die at once."""

    def script(number: int) -> Flow[None]:
        if number > 1 and good:
            return (yield from keep())
        for _ in range(served if number == 1 else 0):
            yield from Hear()
            yield from Say(WELL)
        yield from Hear(heard)
        return (yield from leave(way))

    return script


def left_over(name: str, raw: bytes, body: bytes = b"abc") -> Scenario:
    """Bytes after a whole answer: it stands, and its connection is not used again."""
    return whole("16", name, raw, body, kept=False, gap=LATER)


def unasked(row: str, name: str, *said: bytes | float) -> Scenario:
    """What is `said` when nobody has asked anything; the next call comes later, and on another connection."""
    right = (Answer(attempts=("ok",)), Answer(attempts=("ok",)))
    return Scenario(
        row=row, name=name, script=first(WELL, *said), right=right, gap=LATER, connections=2
    )


def closing(*said: bytes | float) -> Script:
    """Each connection answers once and is closed a little later."""

    def act() -> Flow[None]:
        yield from Hear()
        yield from saying((WELL, MOMENT, *said))

    return on_each(act)


def at_once() -> Flow[None]:
    """One answer, then it is closed."""
    yield from Hear()
    yield from Say(WELL)


def breaking() -> Flow[None]:
    """The same, broken."""
    yield from Hear()
    yield from Say(WELL)
    yield from Pause(MOMENT)
    yield from Reset()


def _reused() -> list[Scenario]:
    """A kept connection that dies of a request: replaced once, at once, even for who asked for one attempt."""
    found: list[Scenario] = []
    for way, kind in KINDS.items():
        right = (Answer(attempts=("ok",)), Answer(attempts=(kind, "ok")))
        dead = Failure(kind, reused=False, attempts=(kind, kind))
        found += [
            Scenario(
                row="13",
                name=f"{way}",
                script=dying(way, served=1),
                right=right,
                requests=3,
                connections=2,
            ),
            Scenario(
                row="13",
                name=f"{way}, one attempt",
                script=dying(way, served=1),
                right=right,
                requests=3,
                connections=2,
                retries=ONCE,
            ),
            Scenario(
                row="13",
                name=f"{way}, and so does the next",
                script=dying(way, served=1, good=False),
                right=(Answer(), dead),
                requests=3,
            ),
        ]
    return found


def _fresh() -> list[Scenario]:
    """A fresh connection that dies of a request: the model may have run."""
    found: list[Scenario] = []
    for way, kind in KINDS.items():
        dead = (Failure(kind, reused=False, attempts=(kind,)),)
        each = dying(way, served=0, good=False)
        found += [
            Scenario(row="14", name=way, script=each, right=dead),
            Scenario(
                row="14",
                name=f"{way}, opening a session",
                script=each,
                operations=(OPENING_BODY,),
                right=dead,
            ),
            Scenario(
                row="14",
                name=f"{way}, opening a session, though it may be sent again",
                script=each,
                operations=(OPENING_BODY,),
                right=dead,
                retries=SURE,
            ),
            Scenario(
                row="14",
                name=f"{way}, and it may be sent again",
                script=dying(way, served=0),
                right=(Answer(attempts=(kind, "ok")),),
                requests=2,
                retries=SURE,
            ),
            Scenario(
                row="14",
                name=f"{way} inside the request",
                script=dying("RST", served=0, good=False, heard=20),
                right=(Failure("reset", "send|head"),),
                requests=1,
            ),
        ]
    found.append(
        Scenario(
            row="14",
            name="closed unread",
            script=lambda number: leave("FIN"),
            right=(UNREAD,),
            requests=0,
            retries=ONCE,
        )
    )
    found.append(
        Scenario(
            row="14",
            name="broken unread",
            script=lambda number: leave("RST"),
            right=(UNREAD,),
            requests=0,
            retries=ONCE,
        )
    )
    return found


UNREAD = Failure("closed|reset|refused", "connect|send|head", "maybe_sent|not_sent", reused=False)

POOL: list[Scenario] = [
    Scenario(
        row="12",
        name="FIN",
        script=closing(),
        right=(Answer(attempts=("ok",)),) * 3,
        gap=LATER,
        connections=3,
    ),
    Scenario(row="12", name="FIN at once", script=on_each(at_once), right=(Answer(),) * 3),
    Scenario(
        row="12",
        name="RST",
        script=on_each(breaking),
        right=(Answer(attempts=("ok",)),) * 3,
        gap=LATER,
        connections=3,
    ),
    Scenario(
        row="12",
        name="408 and FIN",
        script=closing(BUSY),
        right=(Answer(attempts=("ok",)),) * 3,
        gap=LATER,
        connections=3,
    ),
    Scenario(
        row="12",
        name="the server says close and does not",
        script=first(answer(b"well", "200 OK", "Connection: close")),
        right=(Answer(), Answer()),
        connections=2,
    ),
    *_reused(),
    *_fresh(),
    unasked("15", "a response", MOMENT, POISON),
    unasked("15", "the beginning of one", MOMENT, b"HTTP/1.1 200 OK\r\n"),
    unasked("15", "an interim response", MOMENT, INTERIM["100"]),
    unasked("15", "CRLF", MOMENT, b"\r\n"),
    left_over("a response, after a length", OK + b"Content-Length: 3\r\n\r\nabc" + POISON),
    left_over("a byte, after a length", OK + b"Content-Length: 3\r\n\r\nabcd"),
    left_over("CRLF, after a length", OK + b"Content-Length: 3\r\n\r\nabc\r\n"),
    left_over("a response, after chunks", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + POISON),
    left_over("CRLF, after chunks", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n\r\n"),
    left_over("a response, after no body", OK + b"Content-Length: 0\r\n\r\n" + POISON, b""),
    left_over("a body, after 204", b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", b""),
    left_over(
        "chunks, after 204",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"",
    ),
    *[
        Scenario(
            row="18",
            name=f"{name}, then a late 200",
            script=first(raw, LATER, WELL),
            right=(Answer(),) * 3,
            connections=1,
        )
        for name, raw in INTERIM.items()
    ],
    Scenario(
        row="18",
        name="all of them at once",
        script=first(b"".join(INTERIM.values()) + WELL),
        right=(Answer(),) * 3,
        short=True,
    ),
    Scenario(
        row="18",
        name="100 before each of two",
        script=first(INTERIM["100"] + WELL, kept=1),
        right=(Answer(),) * 3,
        connections=1,
    ),
]
