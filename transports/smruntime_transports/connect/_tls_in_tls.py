"""TLS over a connection that has TLS already, as to an endpoint through an https proxy.

Python's `SSLSocket` works over a bare socket only, so this one encrypts in memory:

    send: plain bytes ──> SSLObject ──> _outgoing ──> _unsent ──> outer.send
    recv: plain bytes <── SSLObject <── _incoming <────────────── outer.recv

It is used over a bare socket too, for contexts that verify after the handshake (`truststore`). It
has the methods of a non-blocking `SSLSocket` that a connection uses, and raises what that raises.
A piece counts as sent once the outer connection has taken all of it, so encrypted bytes that are
left over are sent before anything else.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final, TypeAlias

_PIECE: Final = 16 * 1024  # plain bytes in a TLS record
_RECEIVE_SIZE: Final = 64 * 1024


class NestedTLS:
    """TLS with `host` over `outer`, which it owns."""

    def __init__(self, outer: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = b""  # encrypted, not yet taken by the outer connection
        self._accepted = 0  # plain bytes of the piece that is being sent
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def do_handshake(self) -> None:
        """Take the handshake as far as possible; raises like an `SSLSocket`."""
        while True:
            self._flush()
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
                continue
            self._flush()
            return

    def send(self, data: bytes | memoryview) -> int:
        """Send a piece of `data` and return its size; raises like an `SSLSocket`."""
        if not self._accepted:
            self._flush()
            self._accepted = self._tls.write(data[:_PIECE])
        self._flush()
        accepted, self._accepted = self._accepted, 0
        return accepted

    def recv(self, size: int) -> bytes:
        """Receive at most `size` bytes, b"" after close_notify; raises like an `SSLSocket`."""
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._fill()

    def recv_into(self, buffer: memoryview) -> int:
        """Receive into `buffer` and return the number of bytes."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def pending(self) -> int:
        """Return how many bytes can be received without waiting for the descriptor."""
        buffered = self._tls.pending() + self._incoming.pending
        outer_pending = getattr(self._outer, "pending", None)  # of the outer TLS, if there is one
        return buffered + outer_pending() if outer_pending else buffered

    def fileno(self) -> int:
        """Return the descriptor of the socket below."""
        return self._outer.fileno()

    def detach(self) -> int:
        """Return the descriptor, which is no longer closed with this object."""
        return self._outer.detach()

    def close(self) -> None:
        """Close the socket below, without a close_notify."""
        self._outer.close()

    def _flush(self) -> None:
        """Send what is encrypted; raises `SSLWantWriteError` if the outer connection is full."""
        self._unsent += self._outgoing.read()
        try:
            while self._unsent:
                self._unsent = self._unsent[self._outer.send(self._unsent) :]
        except BlockingIOError:
            raise ssl.SSLWantWriteError from None

    def _fill(self) -> None:
        """Receive encrypted bytes; raises `SSLWantReadError` if there are none yet."""
        try:
            data = self._outer.recv(_RECEIVE_SIZE)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


Secured: TypeAlias = ssl.SSLSocket | NestedTLS
Sock: TypeAlias = socket.socket | NestedTLS
