"""The pump: moves bytes between a non-blocking socket and an exchange until neither side moves.

It returns what to wait for (`READ`, `WRITE` or both), with `AGAIN` if only for a glance, 0 when the exchange has what it was to receive.
Reading is tried only once something is said to be there, since an answer never awaits a fresh request: a small call costs one send, one
wait, one receive. Both directions run together, so an answer that comes before the upload is through is seen, and the upload stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smruntime_core.http1 import Exchange

from ..nonblocking._connection import READ, WRITE, Connection
from ..nonblocking._socket_errors import fault, wanted

if TYPE_CHECKING:
    from ..connect._tls_in_tls import Sock

DEAF = 0  # nothing to wait for: the peer takes no more
AGAIN = 8  # read on, after a glance: there may be more, which the socket need not know of if TLS has read it
_READ_ON = READ | AGAIN
_PIECE = 64 * 1024
_UPLOAD_PIECE = 4 * 1024 * 1024  # more than a socket takes at once
_AT_ONCE = 16  # pieces, then whoever waits may look at the clock: a fast peer must not outrun a deadline


def pump(exchange: Exchange, connection: Connection, ready: int) -> int:
    """Send and receive what `connection` takes and gives; `ready` is what it was said to be ready for, 0 at the start,
    with `AGAIN` if that was said to be waited for.

    Raises `DispatchFailure`.
    """
    data = exchange.data_to_send()
    waiting = READ if data is None else _send(exchange, connection.sock, data)
    pending = connection.pending  # TLS may have read what the socket then says nothing of
    if not (ready & _READ_ON or waiting == DEAF or (pending is not None and pending())):
        return waiting | READ
    more = _receive(exchange, connection.sock)
    return more and (more | waiting & WRITE)


def _send(exchange: Exchange, sock: Sock, data: memoryview | None) -> int:
    """Send until there is nothing more, or `sock` takes no more at once: what to wait for, `DEAF` if it never will."""
    try:
        while data is not None:
            data = exchange.sent(sock.send(data if len(data) <= _UPLOAD_PIECE else data[:_UPLOAD_PIECE]))
    except OSError as error:
        if want := wanted(error, WRITE):
            return want
        exchange.stop_sending()  # it takes no more, but may have said why before
        return DEAF
    return READ


def _receive(exchange: Exchange, sock: Sock) -> int:
    """Receive until the exchange has enough (0), `sock` is dry, or others want their turn: what to wait for."""
    for _ in range(_AT_ONCE):
        room, received = exchange.head and exchange.room(), b""
        try:
            if room is None:
                received = sock.recv(_PIECE)
                count = len(received)
            else:
                with room:
                    count = sock.recv_into(room)
        except OSError as error:
            if want := wanted(error, READ):
                return want
            kind, reason = fault(error)
            if kind == "closed":
                exchange.fail("truncated" if exchange.bytes_received else "closed", "TLS was cut without close_notify")
            else:
                exchange.fail("reset", f"the connection broke: {reason}")
            return 0
        try:
            if not count:
                exchange.receive_eof()
            elif room is None:
                exchange.receive_data(received)
            else:
                exchange.filled(count)
        finally:
            del received  # what a traceback with locals would show
        if exchange.done or not exchange.hungry():
            return 0
    return READ | AGAIN
