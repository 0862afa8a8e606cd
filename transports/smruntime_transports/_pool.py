"""The connections of a client: who may have one, who waits, and which are kept.

    take ──────────────────────────────────────────> an idle connection ──┐
    enter ──> a place in the queue, or come in ──> kept, or open one ─────┴──> give_back, or leave

At most `most` calls have a connection to one origin at a time; who comes then waits in line, and who leaves calls in the
one that has waited for longest, so nobody starves however many there are. Idle connections are used in turn as well: the one that has
been idle for longest serves next, if it still may.

What is inherited by a forked child belongs to its parent: the child begins with an empty pool and closes its copies without a word,
as soon as it is forked.
No method waits, so none has a colour; any thread may call any of them.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias
from weakref import WeakSet

from smruntime_core import ConstructionError

from ._connection import Connection
from ._waits import Place

MOST = 100  # connections to one origin

Origin: TypeAlias = "tuple[str, str]"  # scheme and authority


class _Door:
    """One origin: who is in, who waits, and what is idle."""

    def __init__(self) -> None:
        self.inside = 0
        self.waiting: deque[Place] = deque()
        self.idle: deque[Connection] = deque()

    def let_out(self) -> Place | None:
        """Somebody leaves; whose turn it is now."""
        if self.waiting:
            return self.waiting.popleft()
        self.inside -= 1
        return None


class Pool:
    """See the top of this file. `clock` tells seconds; `most` is how many connections to one origin there may be."""

    def __init__(self, clock: Callable[[], float], most: int = MOST) -> None:
        if type(most) is not int or most < 1:
            raise ConstructionError("max_connections", "a positive number: of connections to one host")
        self._clock = clock
        self._most = most
        self._closed = False
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a generator that is collected while it is held leaves too
        self._doors: defaultdict[Origin, _Door] = defaultdict(_Door)

    def take(self, origin: Origin) -> Connection | None:
        """Come in at once, with a connection that has served and may serve again; None, and nobody has come in, if there is none."""
        with self._lock:
            door = self._doors[origin]
            if not door.idle or door.waiting or door.inside >= self._most:
                return None
            door.inside += 1
            connection = door.idle.popleft()
        if connection.usable(self._clock()):
            return connection
        connection.drop()
        kept = self.kept(origin)
        if kept is None:
            self.leave(origin)
        return kept

    def enter(self, origin: Origin) -> Place | None:
        """None: come in. Otherwise wait until this place is called, and `give_up` if you do not."""
        self._closed = False  # a call made after close() opens new ones
        with self._lock:
            door = self._doors[origin]
            if door.inside < self._most and not door.waiting:
                door.inside += 1
                return None
            place = Place()
            door.waiting.append(place)
            return place

    def give_up(self, origin: Origin, place: Place) -> None:
        """Nobody waits at `place` any more; if it was called in the meantime, the next one is."""
        with self._lock, suppress(ValueError):
            self._doors[origin].waiting.remove(place)
            return
        self.leave(origin)

    def kept(self, origin: Origin) -> Connection | None:
        """For who has come in: the connection that has been idle for longest and may still serve; others are dropped on the way."""
        while True:
            with self._lock:
                idle = self._doors[origin].idle
                if not idle:
                    return None
                connection = idle.popleft()
            if connection.usable(self._clock()):
                return connection
            connection.drop()

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Leave, and `connection` may serve again, unless that were too many: who asked for a fresh one left others idle."""
        if connection.pid != self._pid:  # it came in before a fork, and is counted there
            connection.drop()
            return
        connection.idle_since = self._clock()
        with self._lock:
            door = self._doors[origin]
            keep = not self._closed and len(door.idle) < self._most
            if keep:
                door.idle.append(connection)
            place = door.let_out()
        if not keep:
            connection.drop()
        if place is not None:
            place.call()

    def leave(self, origin: Origin, connection: Connection | None = None) -> None:
        """Whoever came in, and had `connection`, is done."""
        if connection is not None and connection.pid != self._pid:  # likewise
            return
        with self._lock:
            place = self._doors[origin].let_out()
        if place is not None:
            place.call()

    @property
    def idle(self) -> int:
        """How many connections are kept."""
        return sum(len(door.idle) for door in self._doors.values())

    def close(self) -> None:
        """Drop every idle connection; those in use are dropped when they are done."""
        with self._lock:
            self._closed = True
            dropped = [connection for door in self._doors.values() for connection in door.idle]
            for door in self._doors.values():
                door.idle.clear()
        for connection in dropped:
            connection.drop()

    def disown(self) -> None:
        """This is a forked child."""
        doors = self._doors
        self._begin()
        for door in doors.values():
            for connection in door.idle:
                connection.drop()


_pools: WeakSet[Pool] = WeakSet()


def _forked() -> None:
    for pool in _pools:
        pool.disown()


if hasattr(os, "register_at_fork"):  # not on Windows, where nobody forks
    os.register_at_fork(after_in_child=_forked)
