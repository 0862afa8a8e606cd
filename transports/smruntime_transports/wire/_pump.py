"""The pump: moves bytes between a non-blocking socket and an exchange until neither side moves.

It returns what to wait for (`READ`, `WRITE` or both), with `AGAIN` if it should only be polled, and 0
when the exchange has received what it was to. It does not try to read before the socket is readable,
since a response never precedes its request: a small call costs one send, one wait, one receive. Both
directions run together, so a response that comes during an upload is seen, and the upload stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smruntime_core.http1 import Exchange

from ..nonblocking._connection import READ, WRITE, Connection
from ..nonblocking._socket_errors import fault, wanted

if TYPE_CHECKING:
    from ..connect._tls_in_tls import Sock

REFUSED = 0  # nothing to wait for: the peer takes no more
AGAIN = 8  # read on after a poll: there may be more, perhaps held by TLS, unknown to the socket
_READ_ON = READ | AGAIN
_PIECE = 64 * 1024
_UPLOAD_PIECE = 4 * 1024 * 1024  # more than a socket takes at once
_AT_ONCE = 16  # pieces; then the caller checks its deadline, which a fast peer must not outrun


def pump(exchange: Exchange, connection: Connection, ready: int) -> int:
    """Send and receive until `connection` would block; return what to wait for.

    `ready` is what it is ready for, 0 at the start, with `AGAIN` if the last return had that.
    Raises `DispatchFailure`.
    """
    data = exchange.data_to_send()
    waiting = READ if data is None else _send(exchange, connection.sock, data)
    pending = connection.pending  # TLS may have read what the socket then says nothing of
    if not (ready & _READ_ON or waiting == REFUSED or (pending is not None and pending())):
        return waiting | READ
    more = _receive(exchange, connection.sock)
    return more and (more | waiting & WRITE)


def _send(exchange: Exchange, sock: Sock, data: memoryview | None) -> int:
    """Send until there is nothing more or `sock` would block.

    Returns what to wait for, `REFUSED` if the peer takes no more.
    """
    try:
        while data is not None:
            if len(data) > _UPLOAD_PIECE:
                data = data[:_UPLOAD_PIECE]
            data = exchange.sent(sock.send(data))
    except OSError as error:
        if want := wanted(error, WRITE):
            return want
        exchange.stop_sending()  # it takes no more, but may have said why before
        return REFUSED
    return READ


def _receive(exchange: Exchange, sock: Sock) -> int:
    """Receive until the exchange has enough, `sock` would block, or `_AT_ONCE` pieces came.

    Returns what to wait for, 0 if the exchange has enough.
    """
    for _ in range(_AT_ONCE):
        room, received = exchange.head and exchange.get_buffer(), b""
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
                exchange.fail(
                    "truncated" if exchange.bytes_received else "closed",
                    "TLS was cut without close_notify",
                )
            else:
                exchange.fail("reset", f"the connection broke: {reason}")
            return 0
        try:
            if not count:
                exchange.receive_eof()
            elif room is None:
                exchange.receive_data(received)
            else:
                exchange.buffer_updated(count)
        finally:
            del received  # what a traceback with locals would show
        if exchange.done or not exchange.needs_data():
            return 0
    return READ | AGAIN
