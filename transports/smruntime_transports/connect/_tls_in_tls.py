"""TLS over a connection that has TLS already, as to an endpoint through an https proxy.

Python's `SSLSocket` works over a bare socket only, so this one encrypts in memory:

    send: plain bytes ──> SSLObject ──> _outgoing ──> _unsent_encrypted ──> outer socket
    recv: plain bytes <── SSLObject <── _incoming <──────────────────────── outer socket

It is used over a bare socket too, for contexts that verify after the handshake (`truststore`). It
has the methods of a non-blocking `SSLSocket` that a connection uses, and raises what that raises.
A piece counts as sent once the outer connection has taken all of it, so encrypted bytes that are
left over are sent before anything else.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final, TypeAlias

_RECORD_SIZE: Final = 16 * 1024  # plain bytes in a TLS record
_RECEIVE_SIZE: Final = 64 * 1024


class NestedTLS:
    """TLS with `host` over `outer_socket`, which it owns."""

    def __init__(self, outer_socket: socket.socket, tls_context: ssl.SSLContext, host: str) -> None:
        self._outer_socket = outer_socket
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent_encrypted = b""  # encrypted, not yet taken by the outer connection
        self._accepted_bytes = 0  # plain bytes of the piece that is being sent
        self._ssl_object = tls_context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=host
        )

    def do_handshake(self) -> None:
        """Take the handshake as far as possible; raises like an `SSLSocket`."""
        while True:
            self._send_encrypted()
            try:
                self._ssl_object.do_handshake()
            except ssl.SSLWantReadError:
                self._send_encrypted()
                self._receive_encrypted()
                continue
            self._send_encrypted()
            return

    def send(self, plain_bytes: bytes | memoryview) -> int:
        """Send a piece of `plain_bytes` and return its size; raises like an `SSLSocket`."""
        if not self._accepted_bytes:
            self._send_encrypted()
            self._accepted_bytes = self._ssl_object.write(plain_bytes[:_RECORD_SIZE])
        self._send_encrypted()
        accepted_bytes, self._accepted_bytes = self._accepted_bytes, 0
        return accepted_bytes

    def recv(self, maximum_size: int) -> bytes:
        """Receive some bytes, b"" after close_notify; raises like an `SSLSocket`."""
        while True:
            try:
                return self._ssl_object.read(maximum_size)
            except ssl.SSLWantReadError:
                self._receive_encrypted()

    def recv_into(self, target_buffer: memoryview) -> int:
        """Receive into `target_buffer` and return the number of bytes."""
        plain_bytes = self.recv(len(target_buffer))
        target_buffer[: len(plain_bytes)] = plain_bytes
        return len(plain_bytes)

    def pending(self) -> int:
        """Return how many bytes can be received without waiting for the descriptor."""
        buffered_bytes = self._ssl_object.pending() + self._incoming.pending
        outer_pending = getattr(self._outer_socket, "pending", None)  # if it has TLS
        return buffered_bytes + outer_pending() if outer_pending else buffered_bytes

    def fileno(self) -> int:
        """Return the descriptor of the socket below."""
        return self._outer_socket.fileno()

    def detach(self) -> int:
        """Return the descriptor, which is no longer closed with this object."""
        return self._outer_socket.detach()

    def close(self) -> None:
        """Close the socket below, without a close_notify."""
        self._outer_socket.close()

    def _send_encrypted(self) -> None:
        """Send what is encrypted; raises `SSLWantWriteError` if the outer connection is full."""
        self._unsent_encrypted += self._outgoing.read()
        try:
            while self._unsent_encrypted:
                sent_count = self._outer_socket.send(self._unsent_encrypted)
                self._unsent_encrypted = self._unsent_encrypted[sent_count:]
        except BlockingIOError:
            raise ssl.SSLWantWriteError from None

    def _receive_encrypted(self) -> None:
        """Receive encrypted bytes; raises `SSLWantReadError` if there are none yet."""
        try:
            encrypted_bytes = self._outer_socket.recv(_RECEIVE_SIZE)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None
        if encrypted_bytes:
            self._incoming.write(encrypted_bytes)
        else:
            self._incoming.write_eof()


Secured: TypeAlias = ssl.SSLSocket | NestedTLS
Sock: TypeAlias = socket.socket | NestedTLS
