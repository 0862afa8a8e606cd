"""What a server may do to a connection: effects, like those of a client's flow, so that a misbehaviour reads like a story.

    def early(number: int) -> Flow[None]:          # on the connection of this number, from 1
        yield from Hear(part=1_000_000)
        yield from Say(answer(b"no", "413 x"))
        yield from Pause()                          # and neither reads nor closes

The end of the script closes the connection: with a FIN, or with the kernel's RST if something was left unread. Who plays a script (on
sockets: `smruntime_local.hostile`) ends it where it stands when the client has gone or the scenario is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from ..effects import Effect, Flow

Script: TypeAlias = "Callable[[int], Flow[None]]"

WELL = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nx-amzn-RequestId: r-1\r\nContent-Length: 4\r\n\r\nwell"
POISON = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"POISON":1}'
)
MOMENT = 0.1  # seconds in which what was sent is there, on loopback and on a busy machine
LATER = 0.5


class Hear(Effect[bytes]):
    """A whole request, or the first `part` bytes of one; b"" if the client has closed."""

    method = "hear"

    part: int | None = None


class Say(Effect[None]):
    """Send `data`. `$PORT` in it becomes the server's own port."""

    method = "say"

    data: bytes


class Pause(Effect[None]):
    """Neither read nor send nor close for `seconds`; None: until the scenario is over."""

    method = "pause"

    seconds: float | None = None


class Reset(Effect[None]):
    """Close so that the client gets an RST."""

    method = "reset"


class Finish(Effect[None]):
    """Send nothing more, and read what comes until the client closes too (a lingering close)."""

    method = "finish"


class Now(Effect[float]):
    """What time it is, in seconds since the epoch."""

    method = "now"


def answer(body: bytes = b"{}", status: str = "200 OK", *fields: str) -> bytes:
    """A whole and harmless answer."""
    return (
        "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]).encode(
            "latin-1"
        )
        + body
    )


# ── how a connection ends ──


def keep() -> Flow[None]:
    """It stays open, and serves on as it should."""
    while (yield from Hear()):
        yield from Say(WELL)


def fin() -> Flow[None]:
    """It is closed."""
    yield from ()


def rst() -> Flow[None]:
    """It breaks, once what was sent has been read."""
    yield from Pause(MOMENT)
    yield from Reset()


End: TypeAlias = "Callable[[], Flow[None]]"


def first(*said: bytes | float, end: End = keep, kept: int = 0) -> Script:
    """After `kept` good answers, the next request on the first connection is answered with what is `said` (a number is a pause), and then
    the connection comes to its `end`. Other connections are good ones.
    """

    def script(number: int) -> Flow[None]:
        if number > 1:
            return (yield from keep())
        for _ in range(kept):
            yield from Hear()
            yield from Say(WELL)
        yield from Hear()
        yield from saying(said)
        return (yield from end())

    return script


def saying(said: Iterable[bytes | float]) -> Flow[None]:
    """Bytes are sent, numbers are pauses."""
    for item in said:
        yield from Say(item) if isinstance(item, bytes) else Pause(item)


def on_each(act: Callable[[], Flow[None]]) -> Script:
    """The same on every connection."""
    return lambda number: act()
