"""What a misbehaving server does on a connection, written as a flow of effects.

    def refuse_early(number: int) -> Flow[None]:        # the connection's number, from 1
        yield from ReceiveRequest(1_000_000)
        yield from SendBytes(build_response(b"no", "413 x"))
        yield from StayIdle()                           # neither read nor close

When a script returns, its connection is closed: with a FIN, or with an RST if the kernel still
holds unread bytes. `smruntime_local.hostile` runs scripts on sockets; it stops a script when the
client has closed the connection or the scenario has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from ..effects import Effect, Flow

Script: TypeAlias = "Callable[[int], Flow[None]]"

HEALTHY_RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nx-amzn-RequestId: r-1\r\n"
    b"Content-Length: 4\r\n\r\nwell"
)
STRAY_RESPONSE: Final = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"POISON":1}'
)
SHORT_DELAY: Final = 0.1  # seconds in which sent bytes arrive, on loopback and on a busy machine
LONG_DELAY: Final = 0.5


class ReceiveRequest(Effect[bytes]):
    """Receive a whole request, or its first `size` bytes; b"" if the client has closed."""

    method = "receive_request"

    size: int | None = None


class SendBytes(Effect[None]):
    """Send `data`, in which `$PORT` stands for the server's own port."""

    method = "send_bytes"

    data: bytes


class StayIdle(Effect[None]):
    """Neither read nor send nor close for `seconds`; None: until the scenario has ended."""

    method = "stay_idle"

    seconds: float | None = None


class ResetConnection(Effect[None]):
    """Close the connection with an RST."""

    method = "reset_connection"


class FinishSending(Effect[None]):
    """Shut down sending, then read until the client closes too (a lingering close)."""

    method = "finish_sending"


class ReadClock(Effect[float]):
    """Read the server's clock, in seconds since the epoch."""

    method = "read_clock"


def build_response(body: bytes = b"{}", status: str = "200 OK", *fields: str) -> bytes:
    """Return a complete and valid response."""
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


# ── how a connection ends ──

ConnectionEnding: TypeAlias = "Callable[[], Flow[None]]"


def keep_serving() -> Flow[None]:
    """Answer each further request with a healthy response."""
    while (yield from ReceiveRequest()):
        yield from SendBytes(HEALTHY_RESPONSE)


def close_connection() -> Flow[None]:
    """Close the connection with a FIN."""
    yield from ()


def reset_later() -> Flow[None]:
    """Close the connection with an RST when the client has read what was sent."""
    yield from StayIdle(SHORT_DELAY)
    yield from ResetConnection()


def reset_at_once() -> Flow[None]:
    """Close the connection with an RST."""
    yield from ResetConnection()


def keep_open_unread() -> Flow[None]:
    """Keep the connection open and read nothing more."""
    yield from StayIdle()


def finish_sending() -> Flow[None]:
    """Shut down sending and read what still arrives."""
    yield from FinishSending()


# ── scripts ──


def on_each_connection(serve_connection: Callable[[], Flow[None]]) -> Script:
    """Return a script that does the same on every connection."""
    return lambda number: serve_connection()


def on_first_connection(serve_connection: Callable[[], Flow[None]]) -> Script:
    """Return a script that misbehaves on the first connection and serves the others well."""
    return lambda number: serve_connection() if number == 1 else keep_serving()


def respond(
    *steps: bytes | float, ending: ConnectionEnding = keep_serving, served: int = 0
) -> Script:
    """Return a script that answers a request on the first connection with `steps`.

    A step is bytes to send or a pause in seconds. `served` requests get healthy responses before;
    the connection ends with `ending`. Other connections are served well.
    """

    def serve_connection() -> Flow[None]:
        for _ in range(served):
            yield from ReceiveRequest()
            yield from SendBytes(HEALTHY_RESPONSE)
        yield from ReceiveRequest()
        yield from perform_steps(steps)
        return (yield from ending())

    return on_first_connection(serve_connection)


def stream_pieces(
    pieces: Iterable[bytes],
    *,
    head: bytes = b"",
    interval: float = 0.0,
    ending: ConnectionEnding = keep_open_unread,
) -> Script:
    """Return a script that sends `head` and then `pieces`, each after `interval` seconds.

    Scripts run several times, so `pieces` must not be an iterator that is used up.
    """

    def serve_connection() -> Flow[None]:
        yield from ReceiveRequest()
        if head:
            yield from SendBytes(head)
        for stream_piece in pieces:
            if interval:
                yield from StayIdle(interval)
            yield from SendBytes(stream_piece)
        return (yield from ending())

    return on_first_connection(serve_connection)


def perform_steps(steps: Iterable[bytes | float]) -> Flow[None]:
    """Send the bytes among `steps`, and pause for the numbers among them (seconds)."""
    for script_step in steps:
        yield from (
            SendBytes(script_step) if isinstance(script_step, bytes) else StayIdle(script_step)
        )
