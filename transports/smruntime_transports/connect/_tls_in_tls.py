"""TLS over something that is not a bare socket: over TLS, for the way through a proxy that speaks it, which Python's `SSLSocket` cannot.

Over a bare socket too, for contexts that look at a certificate after the handshake, as `truststore` does. It has the methods of a
non-blocking `SSLSocket` that a connection uses, and raises what that raises. What is encrypted and has not been taken by the outer
layer yet is sent before anything else, so that a piece counts as sent only when all of it has gone.
"""

from __future__ import annotations

import socket
import ssl

_PIECE = 16 * 1024  # plain bytes in a TLS record
_READ = 64 * 1024


class NestedTLS:
    """TLS with `host` over `outer`, which it owns."""

    def __init__(self, outer: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._arrived = ssl.MemoryBIO()
        self._leaving = ssl.MemoryBIO()
        self._held = b""  # encrypted, and not yet taken by the outer layer
        self._accepted = 0  # plain bytes of the piece that is being sent
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_hostname=host)

    def do_handshake(self) -> None:
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
        if not self._accepted:
            self._flush()
            self._accepted = self._tls.write(data[:_PIECE])
        self._flush()
        accepted, self._accepted = self._accepted, 0
        return accepted

    def recv(self, size: int) -> bytes:
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._fill()

    def recv_into(self, room: memoryview) -> int:
        data = self.recv(len(room))
        room[: len(data)] = data
        return len(data)

    def pending(self) -> int:
        held = self._tls.pending() + self._arrived.pending
        pending = getattr(self._outer, "pending", None)  # of the outer TLS, if there is one
        return held + pending() if pending else held

    @property
    def outer(self) -> socket.socket:
        """The socket below."""
        return self._outer

    def fileno(self) -> int:
        return self._outer.fileno()

    def detach(self) -> int:
        return self._outer.detach()

    def close(self) -> None:
        self._outer.close()

    def _flush(self) -> None:
        """Have the outer layer take what is encrypted, or raise that it must be waited for."""
        self._held += self._leaving.read()
        try:
            while self._held:
                self._held = self._held[self._outer.send(self._held) :]
        except BlockingIOError:
            raise ssl.SSLWantWriteError from None

    def _fill(self) -> None:
        """Some more of what the peer sent; raises that it must be waited for."""
        try:
            data = self._outer.recv(_READ)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None
        if data:
            self._arrived.write(data)
        else:
            self._arrived.write_eof()


Secured = ssl.SSLSocket | NestedTLS
Sock = socket.socket | NestedTLS
