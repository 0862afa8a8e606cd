"""The connections of one client, in use or idle, and the calls that wait for one.

A route may have at most `max_connections` connections, so a call needs a slot before it uses or
opens one. The slots of a route are in one queue, in the order of the calls, until they are
released. The first `max_connections` in the queue are granted; the others wait:

    acquire ──> [ granted | granted | waiting | waiting ] ──> release ──> idle connection, or closed
                          max_connections = 2                             │
    take: an idle connection, or open one  <──────────────────────────────┘

Idle connections serve in turn as well: the one that has been idle for longest comes first, if it is
still usable.

A signal handler may raise an exception in any caller at any time, and no slot may be lost by it.
Nothing is counted, there is no lock to be left locked, and each change of a collection is one
operation that Python carries out at once. `release` may be called at any time and any number of
times; it finishes what an interrupted call of it began. So callers create the slot before the `try`
and release it in `finally`, twice:

    slot = Slot()
    try:
        try:
            pool.acquire(slot, route)
            ... wait until it is granted, then pool.take(slot) or open slot.connection
        finally:
            pool.release(slot)
    finally:
        pool.release(slot)  # does something only if an interrupt ended the first one

A connection is in one collection at a time. An interrupt can lose it (it is closed when it is
collected), but it never serves two calls at once.

No method waits, so sync and async callers use the same pool, from any thread; the garbage collector
may release the slot of a forgotten stream anywhere. A forked child begins with an empty pool: the
connections that it inherits are its parent's.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from itertools import islice
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
    was_woken: bool = False  # if it had to wait
    body_finalizer: object = None  # releases the slot of a stream that is forgotten


class RouteConnections:
    """The slots and idle connections of one route."""

    def __init__(self) -> None:
        self.slot_queue: dict[Slot, None] = {}  # in order; the first of them are granted
        self.idle_connections: deque[Connection] = deque()  # the longest idle one first
        self.was_full: bool = False  # a slot has had to wait

    def first_slots(self, slot_count: int) -> tuple[Slot, ...]:
        """Return the first `slot_count` slots of the queue, or all."""
        while True:
            try:
                return tuple(islice(self.slot_queue, slot_count))
            except RuntimeError:  # the garbage collector released a slot meanwhile
                continue


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
            requirement = "a positive number: of connections to one host"
            raise ConstructionError("max_connections", requirement)
        self._clock = clock
        self._max_connections = max_connections
        if max_idle_connections is None:
            max_idle_connections = max_connections
        self._max_idle_connections = max_idle_connections
        self._is_closed = False
        self._begin_empty()
        _all_pools.add(self)

    def _begin_empty(self) -> None:
        self._process_id = os.getpid()
        self._connections_by_route: dict[Route, RouteConnections] = {}

    def acquire(self, slot: Slot, route: Route) -> None:
        """Grant `slot` now, or in its turn."""
        connections = self._connections_by_route.get(route)
        if connections is None:
            connections = self._connections_by_route.setdefault(route, RouteConnections())
        slot.route_connections = connections
        connections.slot_queue[slot] = None
        if len(connections.slot_queue) > self._max_connections:
            connections.was_full = True  # before looking: a later release grants what is missed
            if slot not in connections.first_slots(self._max_connections):
                return
        slot.called = True

    def take(self, slot: Slot, fresh: bool = False) -> Connection | None:
        """Return a usable idle connection for a granted `slot`, or None: then open one.

        With `fresh` it is always None, and an idle one is closed if there would be too many.
        """
        connections = slot.route_connections
        assert connections is not None, "not acquired yet"  # noqa: S101 - a mistake of ours
        while connections.idle_connections:
            if fresh and self._has_room(connections):
                break
            try:
                connection = slot.connection = connections.idle_connections.popleft()
            except IndexError:  # another thread took the last one
                break
            if not fresh and connection.usable(self._clock()):
                return connection
            connection.drop()
            slot.connection = None
        self._is_closed = False  # the caller opens one: a client may be used after `close`
        return None

    def _has_room(self, connections: RouteConnections) -> bool:
        """Return whether the granted slots may have new connections beside the idle ones."""
        granted_count = min(len(connections.slot_queue), self._max_connections)
        return granted_count + len(connections.idle_connections) <= self._max_connections

    def release(self, slot: Slot) -> None:
        """End the use of `slot`, granted or not; keep its connection if it is reusable."""
        connections = slot.route_connections
        if connections is None:
            return
        connection, slot.connection = slot.connection, None
        if connection is not None:
            if slot.reusable and connection.pid == self._process_id:
                self._keep_idle(connection, connections)
            else:
                connection.drop()
        connections.slot_queue.pop(slot, None)  # after that, so that the next call finds it idle
        if connections.was_full:  # not the queue's length: two releases at once find it too short
            self._grant_first(connections)
        slot.route_connections = None

    def _keep_idle(self, connection: Connection, connections: RouteConnections) -> None:
        connection.idle_since = self._clock()
        connections.idle_connections.append(connection)
        max_idle = 0 if self._is_closed else self._max_idle_connections
        if len(connections.idle_connections) > max_idle:
            _drop_idle(connections, max_idle)

    def _grant_first(self, connections: RouteConnections) -> None:
        """Grant the first slots of the queue, unless that was done and not interrupted."""
        for slot in connections.first_slots(self._max_connections):
            if not slot.was_woken:
                slot.call()
                slot.was_woken = True

    def close(self) -> None:
        """Close every idle connection; those in use are closed when they are released."""
        self._is_closed = True
        for connections in tuple(self._connections_by_route.values()):
            _drop_idle(connections)

    def begin_in_child(self) -> None:
        """Begin anew in a forked child."""
        inherited_routes = self._connections_by_route
        self._begin_empty()
        for connections in inherited_routes.values():
            _drop_idle(connections)


def _drop_idle(connections: RouteConnections, max_idle: int = 0) -> None:
    """Close the connections that have been idle for longest until `max_idle` are left."""
    while len(connections.idle_connections) > max_idle:
        try:
            connections.idle_connections.popleft().drop()
        except IndexError:  # another thread took the last one
            break


_all_pools: WeakSet[Pool] = WeakSet()


def _begin_in_child() -> None:
    for pool in _all_pools:
        pool.begin_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_begin_in_child)
