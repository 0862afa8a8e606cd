"""The open connections of one endpoint, at most `max_connections`.

A connection either waits for the head of a request or serves one. When all slots are taken, a new
connection closes the one that has waited longest, provided that it has waited for a second. While
all connections serve requests, the new one waits for a slot, and further ones wait in the listen
queue.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Final

GRACE_SECONDS: Final = 1.0  # a burst of clients connects first and sends then


class ConnectionSlots:
    """A slot for each open connection. Thread-safe."""

    def __init__(self, max_connections: int) -> None:
        self._max_connections = max_connections
        self._slots_changed = threading.Condition()
        self._is_closed = False
        self._serving_threads: dict[socket.socket, threading.Thread] = {}
        # When each connection began to wait for a head; the longest wait is first.
        self._waiting_since: dict[socket.socket, float] = {}

    def acquire(self, connection: socket.socket, thread: threading.Thread) -> bool:
        """Take a slot for `connection`, which `thread` serves; wait until one is free.

        Return False after `close`.
        """
        with self._slots_changed:
            while len(self._serving_threads) >= self._max_connections and not self._is_closed:
                self._slots_changed.wait(self._evict_longest_waiting())
            if self._is_closed:
                return False
            self._serving_threads[connection] = thread
            self._waiting_since[connection] = time.monotonic()
            return True

    def release(self, connection: socket.socket) -> None:
        """Free the slot of `connection`."""
        with self._slots_changed:
            self._serving_threads.pop(connection, None)
            self._waiting_since.pop(connection, None)
            self._slots_changed.notify()

    def start_request(self, connection: socket.socket) -> bool:
        """Protect `connection` from eviction; return False if it was evicted before."""
        with self._slots_changed:
            return self._waiting_since.pop(connection, None) is not None

    def end_request(self, connection: socket.socket) -> None:
        """Let `connection` wait for its next request."""
        with self._slots_changed:
            self._waiting_since[connection] = time.monotonic()
            self._slots_changed.notify()

    def close(self) -> list[threading.Thread]:
        """Shut all connections down, refuse new ones, and return the threads that serve them."""
        with self._slots_changed:
            self._is_closed = True
            self._slots_changed.notify_all()
            for connection in self._serving_threads:
                _shut_down(connection)
            return list(self._serving_threads.values())

    def _evict_longest_waiting(self) -> float | None:
        """Shut down the connection that has waited longest, if it has for `GRACE_SECONDS`.

        Otherwise return the seconds until it has; None if no connection waits.
        """
        for connection, waiting_since in self._waiting_since.items():
            remaining_seconds = waiting_since + GRACE_SECONDS - time.monotonic()
            if remaining_seconds > 0:
                return remaining_seconds
            del self._waiting_since[connection]
            _shut_down(connection)
            return None
        return None


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):
        # Not the shutdown of TLS: another thread is using the connection.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
