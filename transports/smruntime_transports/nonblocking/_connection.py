"""A non-blocking socket, and what decides whether it may serve another request."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from smruntime_core import ConstructionError

if TYPE_CHECKING:
    from ..connect._proxies import Proxy
    from ..connect._tls_in_tls import Secured, Sock

READ = 1
WRITE = 4

MAX_IDLE = 45.0  # seconds: load balancers close at 60, and some NATs forget without telling
MAX_AGE = 600.0

Origin: TypeAlias = "tuple[str, str]"  # scheme and authority
Route: TypeAlias = (
    "tuple[str, str, Proxy | None]"  # all that makes two connections of one client differ
)
Option: TypeAlias = "tuple[int, int, int | bytes]"  # level, name, value: see socket.setsockopt


class Connection:
    """One connection, plain or through TLS. It belongs to one call at a time."""

    watcher: Watcher | None = None

    def __init__(self, sock: socket.socket, born: float) -> None:
        sock.setblocking(False)
        self.sock: Sock = sock
        self.born = self.idle_since = born
        self.pid = os.getpid()
        # how many bytes TLS holds, decrypted
        self.pending: Callable[[], int] | None = getattr(sock, "pending", None)
        self._poll = _new_poll()
        self._registered = 0

    def secured(self, sock: Secured) -> None:
        """Go on through TLS, on the same descriptor."""
        self.sock, self.pending = sock, sock.pending

    def poll(self, mask: int, seconds: float | None) -> int:
        """Block until ready for some of `mask`; return for what, 0 after `seconds`."""
        if self._registered != mask:
            self._register(mask)
        return _ready(self._poll, mask, seconds)

    def usable(self, now: float) -> bool:
        """Return whether it is young and silent: unasked bytes or an end mean the peer is done."""
        if now - self.idle_since > MAX_IDLE or now - self.born > MAX_AGE:
            return False
        if self._registered != READ:
            self._register(READ)
        return not (self._poll.poll(0) or (self.pending is not None and self.pending()))

    def _register(self, mask: int) -> None:
        self._poll.register(self.sock, mask)
        self._registered = mask

    def hang_up(self) -> None:
        """End the connection for both sides; the task that waits on it wakes and drops it."""
        if self.pid == os.getpid():
            with suppress(OSError, ValueError):  # the peer was faster, or it has been dropped
                # on a plain socket: an `SSLSocket` that is shut down goes on without TLS
                plain = socket.socket(fileno=self.sock.fileno())
                try:
                    plain.shutdown(socket.SHUT_RDWR)
                finally:
                    plain.detach()

    def drop(self) -> None:
        """Close at once, without waiting. A forked child only closes its copy of the descriptor."""
        watcher, self.watcher = self.watcher, None
        if watcher is None:
            self._close()
        else:
            watcher.release(self._close)

    def _close(self) -> None:
        if self.pid == os.getpid():
            self.sock.close()
        else:  # an orderly end of TLS would end the parent's connection
            with suppress(OSError):
                os.close(self.sock.detach())

    def __del__(self) -> None:
        if self.watcher is not None:  # a client was forgotten; its loop still watches the socket
            self.drop()


class Watcher(Protocol):
    """An event loop's registration of a connection, to be ended before the socket is closed."""

    def release(self, close: Callable[[], None], /) -> None:
        """End the registration, then call `close`; never waits."""


class _Poll(Protocol):
    """The methods of `select.poll` that are used."""

    def register(self, sock: Sock, mask: int, /) -> None: ...
    def poll(self, milliseconds: float | None, /) -> list[tuple[int, int]]: ...


class _Select:
    """A replacement for `select.poll` where there is none, as on Windows."""

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}  # by descriptor: the same after TLS wraps a socket

    def register(self, sock: Sock, mask: int) -> None:
        self._masks[sock.fileno()] = mask

    def poll(self, milliseconds: float | None) -> list[tuple[int, int]]:
        masks, seconds = self._masks, None if milliseconds is None else milliseconds / 1000
        reading = [descriptor for descriptor, mask in masks.items() if mask & READ]
        writing = [descriptor for descriptor, mask in masks.items() if mask & WRITE]
        readable, writable, failed = select.select(reading, writing, list(masks), seconds)
        found = dict.fromkeys(failed, READ | WRITE)
        for descriptor in readable:
            found[descriptor] = found.get(descriptor, 0) | READ
        for descriptor in writable:
            found[descriptor] = found.get(descriptor, 0) | WRITE
        return list(found.items())


def _new_poll() -> _Poll:
    """Look `select.poll` up late, since gevent and eventlet replace or remove it."""
    return select.poll() if hasattr(select, "poll") else _Select()


def poll_any(connections: Iterable[Connection], mask: int, seconds: float | None) -> int:
    """Block until one is ready for some of `mask`; return for what, 0 after `seconds`."""
    poll = _new_poll()
    for connection in connections:
        poll.register(connection.sock, mask)
    return _ready(poll, mask, seconds)


def _ready(poll: _Poll, mask: int, seconds: float | None) -> int:
    found = poll.poll(None if seconds is None else seconds * 1000)
    # an error or a hang-up shows when the socket is used
    return (found[0][1] & mask or mask) if found else 0


# After a minute of silence ask the peer every ten seconds: a load balancer does not tell that it
# dropped a connection. TCP_KEEPALIVE is macOS's name of TCP_KEEPIDLE.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 5}

OPTIONS: tuple[Option, ...] = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),  # send small packets at once
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    # not every system has all of them
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), seconds)
        for name, seconds in _KEEPALIVE.items()
        if hasattr(socket, name)
    ),
)


def options_of(given: object) -> tuple[Option, ...]:
    """Return `OPTIONS` and then those `given`; raises `ConstructionError` for anything else."""
    made: list[Option] = []
    try:
        for level, name, value in cast("Iterable[Option]", given):
            numbers = isinstance(level, int) and isinstance(name, int)
            if not (numbers and isinstance(value, int | bytes)):
                raise ValueError
            made.append((level, name, value))
    except (TypeError, ValueError):
        rule = "triples of a level, an option and a value, as socket.setsockopt takes them"
        raise ConstructionError("socket_options", rule) from None
    return (*OPTIONS, *made)
