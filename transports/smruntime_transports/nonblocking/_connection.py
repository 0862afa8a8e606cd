"""A non-blocking socket, and the rules by which it may serve another request.

A connection may be used again if it was idle for at most `MAX_IDLE_SECONDS` and open for at most
`MAX_AGE_SECONDS`, and if nothing can be read from it: unasked bytes or an end mean that the server
is done with it.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

from smruntime_core import ConstructionError

if TYPE_CHECKING:
    from ..connect._proxies import Proxy
    from ..connect._tls_in_tls import Secured, Sock

READ: Final = 1  # as select.POLLIN
WRITE: Final = 4  # as select.POLLOUT

# seconds: load balancers close at 60, and some NATs drop a connection without an RST
MAX_IDLE_SECONDS: Final = 45.0
MAX_AGE_SECONDS: Final = 600.0

Origin: TypeAlias = "tuple[str, str]"  # scheme and authority
# scheme, authority and proxy: two connections of a client are alike if these are
Route: TypeAlias = "tuple[str, str, Proxy | None]"
Option: TypeAlias = "tuple[int, int, int | bytes]"  # level, name, value: see socket.setsockopt


class Connection:
    """A connection, plain or through TLS. It belongs to one call at a time."""

    watcher: Watcher | None = None

    def __init__(self, sock: socket.socket, opened_at: float) -> None:
        sock.setblocking(False)
        self.sock: Sock = sock
        self.opened_at: float = opened_at
        self.idle_since: float = opened_at
        self.pid: int = os.getpid()
        # how many decrypted bytes TLS holds
        self.pending: Callable[[], int] | None = getattr(sock, "pending", None)
        self._poll_object = _new_poll()
        self._registered_mask = 0

    def secured(self, sock: Secured) -> None:
        """Use `sock`, which has TLS over the same descriptor, from now on."""
        self.sock, self.pending = sock, sock.pending

    def poll(self, mask: int, seconds: float | None) -> int:
        """Block until ready for some of `mask`; return for what, 0 after `seconds`."""
        if self._registered_mask != mask:
            self._poll_object.register(self.sock, mask)
            self._registered_mask = mask
        return _ready_mask(self._poll_object, mask, seconds)

    def usable(self, current_time: float) -> bool:
        """Return whether another request may be sent, by the rules above."""
        if current_time - self.idle_since > MAX_IDLE_SECONDS:
            return False
        if current_time - self.opened_at > MAX_AGE_SECONDS:
            return False
        return not (self.poll(READ, 0.0) or (self.pending is not None and self.pending()))

    def duplicate(self) -> Connection:
        """Return another descriptor of the socket, to poll in a thread.

        The original may be closed meanwhile, and the number of its descriptor used again.
        """
        family, kind = socket.AF_INET, socket.SOCK_STREAM  # which polling does not look at
        return Connection(socket.fromfd(self.sock.fileno(), family, kind), self.opened_at)

    def hang_up(self) -> None:
        """End the connection for both sides; the task that waits on it wakes and drops it."""
        if self.pid == os.getpid():
            with suppress(OSError, ValueError):  # the peer was faster, or it has been dropped
                # not on the `SSLSocket`, which would go on without TLS
                plain_socket = socket.socket(fileno=self.sock.fileno())
                try:
                    plain_socket.shutdown(socket.SHUT_RDWR)
                finally:
                    plain_socket.detach()

    def drop(self) -> None:
        """Close at once, without waiting. A forked child only closes its copy of the descriptor."""
        watcher, self.watcher = self.watcher, None
        if watcher is None:
            self._close_socket()
        else:
            watcher.release(self._close_socket)

    def _close_socket(self) -> None:
        if self.pid == os.getpid():
            self.sock.close()
        else:  # a close_notify would end the parent's connection
            with suppress(OSError):
                os.close(self.sock.detach())

    def __del__(self) -> None:
        if self.watcher is not None:  # a client was not closed; its loop still watches the socket
            self.drop()


class Watcher(Protocol):
    """An event loop's registration of a connection, to be ended before the socket is closed."""

    def release(self, close: Callable[[], None], /) -> None:
        """End the registration, then call `close`, without waiting."""


class _PollObject(Protocol):
    """The methods of `select.poll` that are used."""

    def register(self, sock: Sock, mask: int, /) -> None: ...
    def poll(self, milliseconds: float | None, /) -> list[tuple[int, int]]: ...


class _SelectPoll:
    """A replacement for `select.poll` where there is none, as on Windows."""

    def __init__(self) -> None:
        # by descriptor, which stays the same when TLS wraps a socket
        self._interest_masks: dict[int, int] = {}

    def register(self, sock: Sock, mask: int) -> None:
        self._interest_masks[sock.fileno()] = mask

    def poll(self, milliseconds: float | None) -> list[tuple[int, int]]:
        interest = self._interest_masks
        seconds = None if milliseconds is None else milliseconds / 1000
        reading = [descriptor for descriptor, mask in interest.items() if mask & READ]
        writing = [descriptor for descriptor, mask in interest.items() if mask & WRITE]
        readable_descriptors, writable_descriptors, failed_descriptors = select.select(
            reading, writing, list(interest), seconds
        )
        ready_masks = dict.fromkeys(failed_descriptors, READ | WRITE)
        for descriptor in readable_descriptors:
            ready_masks[descriptor] = ready_masks.get(descriptor, 0) | READ
        for descriptor in writable_descriptors:
            ready_masks[descriptor] = ready_masks.get(descriptor, 0) | WRITE
        return list(ready_masks.items())


def _new_poll() -> _PollObject:
    """Return a `select.poll`, looked up late since gevent and eventlet replace or remove it."""
    return select.poll() if hasattr(select, "poll") else _SelectPoll()


def poll_any(connections: Iterable[Connection], mask: int, seconds: float | None) -> int:
    """Block until one is ready for some of `mask`; return for what, 0 after `seconds`."""
    poll_object = _new_poll()
    for connection in connections:
        poll_object.register(connection.sock, mask)
    return _ready_mask(poll_object, mask, seconds)


def poll_and_drop(duplicates: Iterable[Connection], mask: int, seconds: float | None) -> int:
    """Poll duplicates of connections like `poll_any`, then close them."""
    try:
        return poll_any(duplicates, mask, seconds)
    finally:
        for duplicate in duplicates:
            duplicate.drop()


def _ready_mask(poll_object: _PollObject, mask: int, seconds: float | None) -> int:
    ready_events = poll_object.poll(None if seconds is None else seconds * 1000)
    # an error or a hang-up shows when the socket is used
    return (ready_events[0][1] & mask or mask) if ready_events else 0


# After a minute of silence probe the peer every ten seconds: a load balancer drops connections
# without an RST. TCP_KEEPALIVE is macOS's name of TCP_KEEPIDLE.
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 5}

OPTIONS: tuple[Option, ...] = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),  # send small packets at once
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    # not every system has all of them
    *(
        (socket.IPPROTO_TCP, getattr(socket, option_name), seconds)
        for option_name, seconds in _KEEPALIVE.items()
        if hasattr(socket, option_name)
    ),
)


def options_of(given_options: object) -> tuple[Option, ...]:
    """Return `OPTIONS` and then `given_options`, which raise `ConstructionError` if malformed."""
    socket_options: list[Option] = []
    try:
        for option_level, option_name, option_value in cast("Iterable[Option]", given_options):
            are_integers = isinstance(option_level, int) and isinstance(option_name, int)
            if not (are_integers and isinstance(option_value, int | bytes)):
                raise ValueError
            socket_options.append((option_level, option_name, option_value))
    except (TypeError, ValueError):
        requirement = "triples of a level, an option and a value, as socket.setsockopt takes them"
        raise ConstructionError("socket_options", requirement) from None
    return (*OPTIONS, *socket_options)
