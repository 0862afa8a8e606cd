"""The open connections of one endpoint, at most so many.

A connection either waits for the head of a request or works on one. When all slots are taken, a new
connection closes the one that has waited longest, provided it had a second to send its head. While
every connection works, the new one waits, and further ones wait in the listen queue.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

GRACE = 1.0  # seconds: a burst of clients connects first and sends then


class Slots:
    """A slot for each open connection. Safe for threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._closed = False
        self._open: dict[socket.socket, threading.Thread] = {}
        self._waiting: dict[socket.socket, float] = {}  # since when, the longest wait first

    def enter(self, connection: socket.socket, thread: threading.Thread) -> bool:
        """Take a slot for `connection`, which `thread` serves; wait for one if need be.

        Return False after `close`.
        """
        with self._changed:
            while len(self._open) >= self._most and not self._closed:
                self._changed.wait(self._evict())
            if self._closed:
                return False
            self._open[connection] = thread
            self._waiting[connection] = time.monotonic()
            return True

    def leave(self, connection: socket.socket) -> None:
        """Give the slot of `connection` back."""
        with self._changed:
            self._open.pop(connection, None)
            self._waiting.pop(connection, None)
            self._changed.notify()

    def start_request(self, connection: socket.socket) -> bool:
        """Protect `connection` while its request is worked on.

        Return False if it was closed for another connection before.
        """
        with self._changed:
            return self._waiting.pop(connection, None) is not None

    def end_request(self, connection: socket.socket) -> None:
        """Let `connection` wait for its next request."""
        with self._changed:
            self._waiting[connection] = time.monotonic()
            self._changed.notify()

    def close(self) -> list[threading.Thread]:
        """Shut all connections down, let no other enter, and return the threads that serve them."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for connection in self._open:
                _shut_down(connection)
            return list(self._open.values())

    def _evict(self) -> float | None:
        """Shut the longest waiting connection down, if it has waited for `GRACE`.

        Otherwise return the seconds until it has; None if no connection waits.
        """
        for connection, since in self._waiting.items():
            remaining = since + GRACE - time.monotonic()
            if remaining > 0:
                return remaining
            del self._waiting[connection]
            _shut_down(connection)
            return None
        return None


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):
        # Not TLS's own shutdown: another thread is using the connection.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
