"""A socket and what decides whether it may serve again."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from smruntime_core import ConstructionError

if TYPE_CHECKING:
    from ..connect._tls_in_tls import Secured, Sock

READ = 1
WRITE = 4

MAX_IDLE = 45.0  # seconds: load balancers close at 60 and some NATs forget without a word
MAX_AGE = 600.0

Origin: TypeAlias = "tuple[str, str]"  # scheme and authority
Option: TypeAlias = "tuple[int, int, int | bytes]"  # level, name and value, as `socket.setsockopt` takes them


class Connection:
    """One connection, plain or through TLS. It belongs to one call at a time."""

    def __init__(self, sock: socket.socket, born: float) -> None:
        sock.setblocking(False)
        self.sock: Sock = sock
        self.born = self.idle_since = born
        self.pid = os.getpid()
        self.pending: Callable[[], int] | None = getattr(sock, "pending", None)  # what TLS has read and nobody taken yet, in bytes
        self._poll: _Poll = _poll()
        self._registered = 0

    def secured(self, sock: Secured) -> None:
        """From now on through TLS, on the same descriptor."""
        self.sock, self.pending = sock, sock.pending
        self._registered = 0  # `select` would look at the socket that has been wrapped, which is closed

    def poll(self, mask: int, seconds: float | None) -> int:
        """Block until ready; what for, or 0 after `seconds`."""
        if self._registered != mask:
            self._register(mask)
        found = self._poll.poll(None if seconds is None else seconds * 1000)
        return (found[0][1] & mask or mask) if found else 0  # an error or a hang-up shows itself when used

    def usable(self, now: float) -> bool:
        """Young, and silent: bytes or an end that nobody asked for mean that the peer is done."""
        if now - self.idle_since > MAX_IDLE or now - self.born > MAX_AGE:
            return False
        if self._registered != READ:
            self._register(READ)
        return not (self._poll.poll(0) or (self.pending is not None and self.pending()))

    def _register(self, mask: int) -> None:
        self._poll.register(self.sock, mask)
        self._registered = mask

    def hang_up(self) -> None:
        """End it for the peer, and so wake whoever waits for it, who then has to `drop` it."""
        if self.pid == os.getpid():
            sock = self.sock if isinstance(self.sock, socket.socket) else self.sock.outer
            with suppress(OSError):  # the peer was faster
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # an `SSLSocket`'s own would go on without TLS

    def drop(self) -> None:
        """Close without ceremony; never waits. In a forked child the parent's socket is only let go of."""
        if self.pid == os.getpid():
            self.sock.close()
        else:  # no farewell of TLS on what is the parent's
            with suppress(OSError):
                os.close(self.sock.detach())


class _Poll(Protocol):
    """What is used of a `select.poll`."""

    def register(self, sock: Sock, mask: int, /) -> None: ...
    def poll(self, milliseconds: float | None, /) -> list[tuple[int, int]]: ...


class _Select:
    """It where there is none, as on Windows; for one socket."""

    def register(self, sock: Sock, mask: int) -> None:
        self._sock, self._mask = sock, mask

    def poll(self, milliseconds: float | None) -> list[tuple[int, int]]:
        sock, mask, seconds = [self._sock], self._mask, None if milliseconds is None else milliseconds / 1000
        readable, writable, failed = select.select(sock * bool(mask & READ), sock * bool(mask & WRITE), sock, seconds)
        ready = (READ * bool(readable) | WRITE * bool(writable)) or mask * bool(failed)
        return [(sock[0].fileno(), ready)] if ready else []


_poll: Callable[[], _Poll] = getattr(select, "poll", _Select)


# After a minute of silence ask the peer every ten seconds whether it is there: a load balancer that dropped a connection says nothing.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 5}  # the second is macOS's name of the first

OPTIONS: tuple[Option, ...] = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),  # no waiting for a fuller packet
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    # not every system has all of them
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _KEEPALIVE.items() if hasattr(socket, name)),
)


def options_of(given: object) -> tuple[Option, ...]:
    """`OPTIONS`, and those `given` after them; raises `ConstructionError` if they are none."""
    made: list[Option] = []
    try:
        for level, name, value in cast("Iterable[Option]", given):
            if not (isinstance(level, int) and isinstance(name, int) and isinstance(value, int | bytes)):
                raise ValueError
            made.append((level, name, value))
    except (TypeError, ValueError):
        raise ConstructionError("socket_options", "triples of a level, an option and a value, as socket.setsockopt takes them") from None
    return (*OPTIONS, *made)
