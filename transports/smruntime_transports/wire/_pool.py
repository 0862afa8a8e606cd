"""The connections of one client: which are in use, which are idle, and which calls wait for one.

At most `most` connections may exist for one route, so a call needs a slot before it uses or opens
one. A call that finds no free slot waits, first in, first out. Idle connections are used in turn as
well: the one that has been idle for longest serves next, if it still may.

    acquire ──> waiting ──> in use ──> release ──> idle, or closed
                   ^                      │
                   └── the next one is ───┘ called

A signal handler may raise an exception between any two bytecodes of a caller, and no slot may be
lost by it:

- Nothing is counted. A slot is in use while it is in the set `in_use`, whose size is the limit.
- `release` may be called at any time and any number of times: it finishes what an interrupted one
  began. Callers make the slot before the `try`, acquire it inside, and release it in `finally`, twice:

      slot = Slot()
      try:
          try:
              pool.acquire(slot, route)
              ... wait until it is called, then pool.take(slot) or open slot.connection
          finally:
              pool.release(slot)
      finally:
          pool.release(slot)  # has nothing to do unless an interrupt cut the first one short

- A connection is in one place at a time. An interrupt can lose it (then it is closed when it is
  collected), but never hand it out twice.

No method waits, so sync and async callers use the same pool, from any thread. The lock is reentrant
because the garbage collector may run the finalizer of a stream, which releases a slot, inside a
critical section. A forked child begins with an empty pool: inherited connections are its parent's.
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

MOST = 100  # connections of one route


class Slot(Ticket):
    """The right of one call to one connection, from `Pool.acquire` to `Pool.release`.

    It is `called` when it is granted.
    """

    connection: Connection | None = None
    reusable = False  # the connection may serve another call
    shared: Connections | None = None  # the collections of its route
    finalizer: object = None  # of the stream that it belongs to


class Connections:
    """The slots and idle connections of one route."""

    def __init__(self) -> None:
        self.waiting: dict[Slot, None] = {}  # in order
        self.in_use: set[Slot] = set()
        self.idle: deque[Connection] = deque()  # the one that has been idle for longest first


class Pool:
    """The connections of one client; `clock` returns seconds.

    `most` is the limit of connections per route, `kept` of those that are idle.
    """

    def __init__(
        self, clock: Callable[[], float], most: int = MOST, kept: int | None = None
    ) -> None:
        if type(most) is not int or most < 1:
            rule = "a positive number: of connections to one host"
            raise ConstructionError("max_connections", rule)
        self._clock = clock
        self._most = most
        self._kept = most if kept is None else kept
        self._closed = False
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._routes: defaultdict[Route, Connections] = defaultdict(Connections)

    def acquire(self, slot: Slot, route: Route) -> None:
        """Grant `slot` now, or in its turn."""
        with self._lock:
            shared = slot.shared = self._routes[route]
            if shared.waiting or len(shared.in_use) >= self._most:
                shared.waiting[slot] = None
                self._grant(
                    shared
                )  # another may have been released since, by the garbage collector
            else:
                shared.in_use.add(slot)
                slot.called = True

    def take(self, slot: Slot, fresh: bool = False) -> Connection | None:
        """Return an idle connection for a granted `slot`; if there is none that may serve, None.

        None means: open one. So does `fresh`, for which an idle one is closed if there would be too
        many.
        """
        shared = slot.shared
        assert shared is not None, "not acquired yet"  # noqa: S101 - a mistake of ours
        while shared.idle:
            if fresh and len(shared.in_use) + len(shared.idle) <= self._most:
                break
            try:
                connection = slot.connection = shared.idle.popleft()
            except IndexError:  # another thread took the last one
                break
            if not fresh and connection.usable(self._clock()):
                return connection
            connection.drop()
            slot.connection = None
        self._closed = False  # the caller opens one: a client may be used after `close`
        return None

    def release(self, slot: Slot) -> None:
        """End the use of `slot`, granted or not. Keep its connection if it is reusable, else close it."""
        shared = slot.shared
        if shared is None:
            return
        with self._lock:
            shared.waiting.pop(slot, None)
            connection, slot.connection = slot.connection, None
            if connection is not None:
                connection.idle_since = self._clock()
                keep = slot.reusable and not self._closed and connection.pid == self._pid
                if keep and len(shared.idle) < self._kept:
                    shared.idle.append(connection)
                else:
                    connection.drop()
            shared.in_use.discard(slot)
            if shared.waiting:
                self._grant(shared)
            slot.shared = None

    def _grant(self, shared: Connections) -> None:
        """Call the slots whose turn it is.

        A slot leaves the queue last, so that the next call completes an interrupted one.
        """
        while shared.waiting:
            slot = next(iter(shared.waiting))
            if slot not in shared.in_use:
                if len(shared.in_use) >= self._most:
                    return
                shared.in_use.add(slot)
            slot.call()
            shared.waiting.pop(slot, None)

    @property
    def idle(self) -> int:
        """The number of idle connections."""
        return sum(len(shared.idle) for shared in self._routes.values())

    def close(self) -> None:
        """Close every idle connection; those in use are closed when they are released."""
        with self._lock:
            self._closed = True
            for shared in self._routes.values():
                while shared.idle:
                    shared.idle.popleft().drop()

    def disown(self) -> None:
        """Begin anew in a forked child."""
        inherited = self._routes
        self._begin()
        for shared in inherited.values():
            while shared.idle:
                shared.idle.popleft().drop()


_pools: WeakSet[Pool] = WeakSet()


def _forked() -> None:
    for pool in _pools:
        pool.disown()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forked)
