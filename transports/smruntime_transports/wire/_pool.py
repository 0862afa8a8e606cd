"""The connections of one client: those in use, those that are idle, and the calls that wait for one.

A route may have at most `max_connections` connections, so a call needs a slot before it uses or
opens one. Without a free slot it waits, first in, first out. Idle connections serve in turn as well:
the one that has been idle for longest comes first, if it is still usable.

    acquire ──> waiting ──> in use ──> release ──> idle, or closed
                   ^                      │
                   └── the next call is ──┘ granted its slot

A signal handler may raise an exception in any caller at any time, and no slot may be lost by it:

- Nothing is counted. A slot is in use while it is in the set `in_use`, whose size is limited.
- `release` may be called at any time and any number of times; it finishes what an interrupted call
  of it began. So callers create the slot before the `try` and release it in `finally`, twice:

      slot = Slot()
      try:
          try:
              pool.acquire(slot, route)
              ... wait until it is granted, then pool.take(slot) or open slot.connection
          finally:
              pool.release(slot)
      finally:
          pool.release(slot)  # does something only if an interrupt ended the first one

- A connection is in one collection at a time. An interrupt can lose it (it is closed when it is
  collected), but it never serves two calls at once.
- The lock is always released: Python runs signal handlers after calls and at the ends of loops, so
  never between the last statement of a `with lock` block and the release.

No method waits, so sync and async callers use the same pool, from any thread. The lock is reentrant
because a signal handler may make a call, and the garbage collector may release the slot of a
forgotten stream, inside a critical section. A forked child begins with an empty pool: the
connections that it inherits are its parent's.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from weakref import WeakSet

from smruntime_core import ConstructionError

from ..nonblocking._connection import Connection, Route
from ..nonblocking._waiting import Ticket

DEFAULT_MAX_CONNECTIONS = 100  # of one route


class Slot(Ticket):
    """The right of one call to one connection, from `Pool.acquire` to `Pool.release`.

    It is `called` when it is granted.
    """

    connection: Connection | None = None
    reusable: bool = False  # the connection may serve another call
    route_connections: RouteConnections | None = None  # until it is released
    body_finalizer: object = None  # releases the slot of a stream that is forgotten


class RouteConnections:
    """The slots and idle connections of one route."""

    def __init__(self) -> None:
        self.waiting: dict[Slot, None] = {}  # in order
        self.in_use: set[Slot] = set()
        self.idle: deque[Connection] = deque()  # the one that has been idle for longest first


class Pool:
    """The connections of one client; `clock` returns seconds.

    `max_connections` limits the connections of a route, `max_idle_connections` those that are idle.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        max_idle_connections: int | None = None,
    ) -> None:
        if type(max_connections) is not int or max_connections < 1:
            rule = "a positive number: of connections to one host"
            raise ConstructionError("max_connections", rule)
        self._clock = clock
        self._max_connections = max_connections
        self._max_idle_connections = (
            max_connections if max_idle_connections is None else max_idle_connections
        )
        self._closed = False
        self._begin_empty()
        _all_pools.add(self)

    def _begin_empty(self) -> None:
        self._process_id = os.getpid()
        self._lock = threading.RLock()
        self._routes: defaultdict[Route, RouteConnections] = defaultdict(RouteConnections)

    def acquire(self, slot: Slot, route: Route) -> None:
        """Grant `slot` now, or in its turn."""
        with self._lock:
            connections = slot.route_connections = self._routes[route]
            if connections.waiting or len(connections.in_use) >= self._max_connections:
                connections.waiting[slot] = None
                # the garbage collector may have released another one since
                self._grant_waiting(connections)
            else:
                connections.in_use.add(slot)
                slot.called = True

    def take(self, slot: Slot, fresh: bool = False) -> Connection | None:
        """Return a usable idle connection for a granted `slot`, or None: then open one.

        With `fresh` it is always None, and an idle one is closed if there would be too many.
        """
        connections = slot.route_connections
        assert connections is not None, "not acquired yet"  # noqa: S101 - a mistake of ours
        while connections.idle:
            existing = len(connections.in_use) + len(connections.idle)
            if fresh and existing <= self._max_connections:
                break
            try:
                connection = slot.connection = connections.idle.popleft()
            except IndexError:  # another thread took the last one
                break
            if not fresh and connection.usable(self._clock()):
                return connection
            connection.drop()
            slot.connection = None
        self._closed = False  # the caller opens one: a client may be used after `close`
        return None

    def release(self, slot: Slot) -> None:
        """End the use of `slot`, granted or not; keep its connection if it is reusable."""
        connections = slot.route_connections
        if connections is None:
            return
        with self._lock:
            connections.waiting.pop(slot, None)
            connection, slot.connection = slot.connection, None
            if connection is not None:
                connection.idle_since = self._clock()
                inherited = connection.pid != self._process_id
                keep = slot.reusable and not (inherited or self._closed)
                if keep and len(connections.idle) < self._max_idle_connections:
                    connections.idle.append(connection)
                else:
                    connection.drop()
            connections.in_use.discard(slot)
            if connections.waiting:
                self._grant_waiting(connections)
            slot.route_connections = None

    def _grant_waiting(self, connections: RouteConnections) -> None:
        """Grant the slots whose turn it is.

        A slot leaves the queue last, so that the next call of this completes an interrupted one.
        """
        while connections.waiting:
            slot = next(iter(connections.waiting))
            if slot not in connections.in_use:
                if len(connections.in_use) >= self._max_connections:
                    return
                connections.in_use.add(slot)
            slot.call()
            connections.waiting.pop(slot, None)

    @property
    def idle_connections(self) -> int:
        """The number of idle connections."""
        return sum(len(connections.idle) for connections in self._routes.values())

    def close(self) -> None:
        """Close every idle connection; those in use are closed when they are released."""
        with self._lock:
            self._closed = True
            self._drop_idle(self._routes)

    def disown(self) -> None:
        """Begin anew in a forked child."""
        inherited = self._routes
        self._begin_empty()
        self._drop_idle(inherited)

    def _drop_idle(self, routes: defaultdict[Route, RouteConnections]) -> None:
        for connections in routes.values():
            while connections.idle:
                connections.idle.popleft().drop()


_all_pools: WeakSet[Pool] = WeakSet()


def _disown_in_child() -> None:
    for pool in _all_pools:
        pool.disown()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_disown_in_child)
