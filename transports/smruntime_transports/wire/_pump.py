"""The pump: moves bytes between a non-blocking socket and an exchange until neither side moves.

It returns what to wait for (`READ`, `WRITE` or both), with `AGAIN` if it should only be polled, and
0 when the exchange has received what it was to. It does not try to read before the socket is
readable, since a response never precedes its request: a small call costs one send, one wait, one
receive. Both directions run together, so a response that comes during an upload is seen, and the
upload stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smruntime_core.http1 import Exchange

from ..nonblocking._connection import READ, WRITE, Connection
from ..nonblocking._socket_errors import describe_error, mask_to_retry

if TYPE_CHECKING:
    from ..connect._tls_in_tls import Sock

PEER_STOPPED_READING = 0  # nothing to wait for: the peer takes no more
AGAIN = 8  # read on after a poll: there may be more, perhaps held by TLS, unknown to the socket
_READ_AGAIN = READ | AGAIN
_RECEIVE_SIZE = 64 * 1024
_SEND_SIZE = 4 * 1024 * 1024  # more than a socket takes at once
_RECEIVES_PER_RUN = 16  # then the caller checks its deadline, which a fast peer must not outrun


def pump(exchange: Exchange, connection: Connection, ready_for: int) -> int:
    """Send and receive until `connection` would block; return what to wait for.

    `ready_for` is what it is ready for, 0 at the start, with `AGAIN` if the last return had that.
    Raises `DispatchFailure`.
    """
    unsent_data = exchange.data_to_send()
    waiting_for = (
        READ if unsent_data is None else _send_unsent(exchange, connection.sock, unsent_data)
    )
    pending_bytes = connection.pending  # TLS may have read what the socket then says nothing of
    peer_stopped = waiting_for == PEER_STOPPED_READING
    if not (
        ready_for & _READ_AGAIN or peer_stopped or (pending_bytes is not None and pending_bytes())
    ):
        return waiting_for | READ
    also_reading = _receive_until_enough(exchange, connection.sock)
    return also_reading and (also_reading | waiting_for & WRITE)


def _send_unsent(exchange: Exchange, sock: Sock, unsent_data: memoryview | None) -> int:
    """Send until nothing is left or `sock` would block.

    Returns what to wait for, `PEER_STOPPED_READING` if the peer takes no more.
    """
    try:
        while unsent_data is not None:
            if len(unsent_data) > _SEND_SIZE:
                unsent_data = unsent_data[:_SEND_SIZE]
            unsent_data = exchange.sent(sock.send(unsent_data))
    except OSError as error:
        if wanted_mask := mask_to_retry(error, WRITE):
            return wanted_mask
        exchange.stop_sending()  # it may have said why before
        return PEER_STOPPED_READING
    return READ


def _receive_until_enough(exchange: Exchange, sock: Sock) -> int:
    """Receive until the exchange has enough, `sock` would block, or `_RECEIVES_PER_RUN` times.

    Returns what to wait for, 0 if the exchange has enough.
    """
    for _ in range(_RECEIVES_PER_RUN):
        body_buffer, received_data = exchange.head and exchange.get_buffer(), b""
        try:
            if body_buffer is None:
                received_data = sock.recv(_RECEIVE_SIZE)
                byte_count = len(received_data)
            else:
                with body_buffer:
                    byte_count = sock.recv_into(body_buffer)
        except OSError as error:
            if wanted_mask := mask_to_retry(error, READ):
                return wanted_mask
            _end_exchange(exchange, error)
            return 0
        if not byte_count:
            exchange.receive_eof()
        elif body_buffer is None:
            exchange.receive_data(received_data)
        else:
            exchange.buffer_updated(byte_count)
        if exchange.done or not exchange.needs_data():
            return 0
    return READ | AGAIN


def _end_exchange(exchange: Exchange, error: OSError) -> None:
    """End the exchange because of `error`; raises `DispatchFailure` unless enough has come."""
    failure_kind, failure_reason = describe_error(error)
    if failure_kind == "closed":
        failure_kind = "truncated" if exchange.bytes_received else "closed"
        exchange.fail(failure_kind, "TLS was cut without close_notify")
    else:
        exchange.fail("reset", f"the connection broke: {failure_reason}")
