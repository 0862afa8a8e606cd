"""The connections of a client: who may have one, who waits, and which are kept.

    take ──────────────────────────────> one that is idle ──┐
    enter ──> a place: open one ────────────────────────────┴──> give_back, or leave
          └─> a place in line ──> called, with one that came free, or to open one

There are at most `most` connections to one origin, idle ones among them. Who comes then waits in line, and what comes free goes to who
has waited for longest, so nobody starves however many there are. Idle connections are used in turn as well: the one that has
been idle for longest serves next, if it still may.

A connection goes from hand to hand without a lock unless somebody waits in line. Giving back says first that it is idle and looks
then whether somebody waits; waiting says first that it waits and looks then whether one is idle: so one of the two sees the other.

What is inherited by a forked child belongs to its parent: the child begins with an empty pool and closes its copies without a word.
No method waits, so none has a colour; any thread may call any of them.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakSet

from smruntime_core import ConstructionError

from ..nonblocking._connection import Connection, Origin
from ..nonblocking._waiting import Place

MOST = 100  # connections to one origin


class _Door:
    """One origin: how many connections there are or are being opened, which of them are idle, and who waits for one."""

    def __init__(self) -> None:
        self.places = 0
        self.idle: deque[Connection] = deque()
        self.waiting: deque[Place] = deque()


class _Doors(dict[Origin, _Door]):
    """Each origin has its door from the first question on, and all threads the same: what one counts at another is lost."""

    def __missing__(self, origin: Origin) -> _Door:
        return self.setdefault(origin, _Door())


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
        self._doors = _Doors()

    def take(self, origin: Origin) -> Connection | None:
        """The connection that has been idle for longest and may still serve, if there is one and nobody waits for it."""
        door = self._doors[origin]
        while door.idle and not door.waiting:
            try:
                connection = door.idle.popleft()
            except IndexError:  # another thread was faster
                break
            if connection.usable(self._clock()):
                return connection
            self.drop(origin, connection)
        return None

    def enter(self, origin: Origin) -> Place | None:
        """None: open one. Otherwise wait until this place is called, and `give_up` if you do not."""
        self._closed = False  # a call made after close() opens new ones
        with self._lock:
            door = self._doors[origin]
            if door.places < self._most and not door.waiting:
                door.places += 1
                return None
            place = Place()
            door.waiting.append(place)
        self._serve(door)
        return place

    def give_up(self, origin: Origin, place: Place) -> None:
        """Nobody waits at `place` any more; if it was called in the meantime, the next one is."""
        with self._lock, suppress(ValueError):
            self._doors[origin].waiting.remove(place)
            return
        if place.connection is None:
            self.leave(origin)
        else:
            self.give_back(origin, place.connection)

    def give_back(self, origin: Origin, connection: Connection, keep: bool = True) -> None:
        """Nobody uses `connection` any more; it may serve again, if `keep` says so and it is not from before a fork."""
        if not keep or connection.pid != self._pid:
            self.drop(origin, connection)
            return
        connection.idle_since = self._clock()
        door = self._doors[origin]
        door.idle.append(connection)
        if door.waiting or self._closed:
            self._serve(door)

    def drop(self, origin: Origin, connection: Connection) -> None:
        """`connection` may not serve again."""
        try:
            connection.drop()
        finally:
            if connection.pid == self._pid:  # others came before a fork, and are counted there
                self.leave(origin)

    def leave(self, origin: Origin) -> None:
        """Whoever was to open a connection has none."""
        with self._lock:
            door = self._doors[origin]
            if not door.waiting:
                door.places -= 1
                return
            place = door.waiting.popleft()
        place.call()

    def _serve(self, door: _Door) -> None:
        """Hand what is idle to those who wait; or drop it, if the pool is closed."""
        called: list[Place] = []
        dropped: list[Connection] = []
        with self._lock, suppress(IndexError):  # a thread took the last one in between
            while door.idle and door.waiting:
                connection = door.idle.popleft()
                if not door.waiting:  # who was there has been collected in between, and has given up
                    door.idle.appendleft(connection)
                    break
                place = door.waiting.popleft()
                place.connection = connection
                called.append(place)
            while door.idle and self._closed:
                dropped.append(door.idle.popleft())
                door.places -= 1
        for connection in dropped:
            connection.drop()
        for place in called:
            place.call()

    @property
    def idle(self) -> int:
        """How many connections are kept."""
        return sum(len(door.idle) for door in self._doors.values())

    def close(self) -> None:
        """Drop every idle connection; those in use are dropped when they are done."""
        self._closed = True
        for door in list(self._doors.values()):
            self._serve(door)

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
