"""The time limits of an exchange: one deadline for the whole and a limit for each phase.

| phase   | limit                                                                            |
|---------|----------------------------------------------------------------------------------|
| connect | `timeouts.connect`, for all steps of opening a connection together               |
| send    | `timeouts.idle` between two moves                                                |
| head    | `timeouts.response` from the last byte of the request                            |
| body    | `timeouts.idle` between two moves, and 1 byte a second on average after that time |

A stream has no average to keep, since a model may take its time between two tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from smruntime_core import Timeouts
from smruntime_core.errors import Phase
from smruntime_core.http1 import Exchange

# seconds; `poll` counts milliseconds in 31 bits, so a later end is no limit
LONGEST_LIMIT: Final = 1e6
SLOWEST_RATE: Final = 1.0  # bytes a second, over a body that has had its idle time


class TimeLimits:
    """The deadlines of one exchange, on the transport's clock."""

    last: float | None = None  # the deadline of the whole
    _phase: Phase | None = None
    _phase_begun = 0.0
    _moved = 0
    _moved_before_phase = 0
    _end: float | None = None
    _sent_at: float | None = None

    def __init__(self, clock: Callable[[], float], timeout: float | None, phases: Timeouts) -> None:
        self._clock = clock
        self.phases: Timeouts = phases
        if timeout is not None:
            self.last = clock() + timeout

    def end(self, limit: float | None) -> float | None:
        """Return the moment `limit` seconds from now, or the deadline if that is sooner."""
        return self._end_of(limit, self._clock())

    def left(self, end: float | None) -> float | None:
        """Return the seconds until `end`, 0 if it has passed, None without a limit."""
        return _left(end, self._clock())

    def countdown(self, limit: float | None) -> Callable[[], float | None]:
        """Return a function that returns the seconds left of `limit` from now, as `left` does."""
        end = self.end(limit)
        return lambda: self.left(end)

    def over(self) -> bool:
        """Return whether the deadline of the whole has passed."""
        return self.last is not None and self._clock() >= self.last

    @property
    def silence(self) -> float | None:
        """Seconds since a wait found the request sent whole; None before."""
        return None if self._sent_at is None else self._clock() - self._sent_at

    def patience(self, exchange: Exchange) -> float | None:
        """Return the seconds to wait for `exchange` to move, None without a limit."""
        phase, now = exchange.phase, self._clock()
        if phase != "head":
            self._follow(exchange, phase, now)
        elif self._sent_at is None:
            self._sent_at, limit = now, self.phases.response
            if self.last is None and limit is not None and limit <= LONGEST_LIMIT:  # the usual case
                self._end = now + limit
                return limit
            self._end = self._end_of(limit, now)
        return _left(self._end, now)

    def _follow(self, exchange: Exchange, phase: Phase, now: float) -> None:
        """Postpone the end if `exchange` has moved."""
        moved = exchange.bytes_sent + exchange.bytes_received
        if phase != self._phase:
            self._phase, self._phase_begun, self._moved_before_phase = phase, now, moved
        elif moved == self._moved:
            return
        self._moved, limit = moved, self.phases.idle
        self._end = self._end_of(limit, now)
        if limit is not None and exchange.until == "end":
            moved_in_phase = moved - self._moved_before_phase
            slowest = self._phase_begun + limit + moved_in_phase / SLOWEST_RATE
            self._end = slowest if self._end is None else min(self._end, slowest)

    def _end_of(self, limit: float | None, now: float) -> float | None:
        """Return the moment `limit` seconds from `now`, or the deadline if that is sooner."""
        last = self.last
        if limit is None:
            return last
        return now + limit if last is None else min(now + limit, last)


def _left(end: float | None, now: float) -> float | None:
    """Return the seconds from `now` to `end`, 0 if it has passed, None without a limit."""
    if end is None or (seconds := end - now) > LONGEST_LIMIT:
        return None
    return seconds if seconds > 0 else 0.0
