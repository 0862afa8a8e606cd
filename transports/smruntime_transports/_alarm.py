"""One alarm for all who wait on an event loop: nearly every wait ends well before its time, so a deadline has to cost next to nothing.

What a loop offers, a timer or a cancel scope for each wait, is made, filed and taken back for nothing. Here a wait is written down with
the moment at which it is late, and struck off when it is over; only the alarm itself has a timer of the loop's. It is set for the
earliest moment known, and is not moved when that wait ends: it then rings for nobody, and is set for the earliest of those that are left.
As most waits are as patient as those before them, it rings once in as long as they all would wait, and only then are they looked through.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Alarm(Generic[T]):
    """`arm` is to see that `ring` is called at a moment, or soon after; it is called again if that has to be earlier.

    `late` is told who waited for too long. Nobody waits twice at a time.
    """

    def __init__(self, arm: Callable[[float], object], late: Callable[[T], object]) -> None:
        self._arm = arm
        self._late = late
        self._armed = math.inf
        self._waiting: dict[T, float] = {}

    def add(self, who: T, when: float) -> None:
        """Have `late` told of `who` at `when`, unless `remove` is called before."""
        self._waiting[who] = when
        if when < self._armed:
            self._armed = when
            self._arm(when)

    def remove(self, who: T) -> None:
        """That wait is over; it may have been late, or without a moment."""
        self._waiting.pop(who, None)

    def ring(self, now: float) -> None:
        """Tell of all who are late, in order, and arm for the next."""
        waiting = self._waiting
        self.disarmed()
        for who in sorted([who for who, when in waiting.items() if when <= now], key=waiting.__getitem__):
            if who in waiting and waiting[who] <= now:  # still
                del waiting[who]
                self._late(who)
        if waiting and (soonest := min(waiting.values())) < self._armed:
            self._armed = soonest
            self._arm(soonest)

    def disarmed(self) -> None:
        """What was armed has rung, or is gone: whoever waits next arms it again."""
        self._armed = math.inf

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)
