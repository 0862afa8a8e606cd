"""One alarm for all who wait on an event loop: nearly every wait ends well before its time, so a deadline has to cost next to nothing.

What a loop offers, a timer or a cancel scope for each wait, is made, filed and taken back for nothing. Here a wait is filed in a heap by
the moment at which it is late, and struck off a dict when it is over; only the alarm itself has a timer of the loop's. It is set for the
earliest moment known, and is not moved when that wait ends: it then rings for nobody, and is set for the earliest of those that are left.
As most waits are as patient as those before them, it rings once in as long as they all would wait.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")

_SPARE = 64  # struck off and still in the heap, at least, before it is worth sorting them out


class Alarm(Generic[T]):
    """`arm` is to see that `ring` is called at a moment, or soon after; it is called again if that has to be earlier.

    `late` is told who waited for too long.
    """

    def __init__(self, arm: Callable[[float], object], late: Callable[[T], object]) -> None:
        self._arm = arm
        self._late = late
        self._armed = math.inf
        self._number = 0
        self._waiting: dict[int, T] = {}
        self._heap: list[tuple[float, int]] = []  # some of it over already

    def add(self, when: float, who: T) -> int:
        """Have `late` told of `who` at `when`, unless `remove` is called before, with the number that is returned."""
        self._number = number = self._number + 1
        self._waiting[number] = who
        heappush(self._heap, (when, number))
        if when < self._armed:
            self._armed = when
            self._arm(when)
        return number

    def remove(self, number: int) -> None:
        """That wait is over; it may have been late."""
        waiting, heap = self._waiting, self._heap
        waiting.pop(number, None)
        if len(heap) > 2 * len(waiting) + _SPARE:
            heap[:] = [entry for entry in heap if entry[1] in waiting]
            heapify(heap)

    def ring(self, now: float) -> None:
        """Tell of all who are late, in order, and arm for the next."""
        waiting, heap = self._waiting, self._heap
        self.disarmed()
        while heap and (heap[0][0] <= now or heap[0][1] not in waiting):
            who = waiting.pop(heappop(heap)[1], None)
            if who is not None:
                self._late(who)
        if heap and heap[0][0] < self._armed:
            self._armed = heap[0][0]
            self._arm(self._armed)

    def disarmed(self) -> None:
        """What was armed has rung, or is gone: whoever waits next arms it again."""
        self._armed = math.inf

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)
