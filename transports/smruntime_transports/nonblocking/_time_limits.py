"""How long an exchange may take: one deadline for the whole and a cap for each phase."""

from __future__ import annotations

from collections.abc import Callable

from smruntime_core import Timeouts
from smruntime_core.errors import Phase
from smruntime_core.http1 import Exchange

LONGEST = 1e6  # seconds; `poll` counts milliseconds in 31 bits, so what is further off is no limit
SLOWEST = 1.0  # bytes a second, over a body that has had its idle time for grace


class TimeLimits:
    """The deadlines of one exchange, on the transport's clock."""

    last: float | None = None  # the end of the whole
    _phase: Phase | None = None
    _begun = 0.0
    _moved = 0
    _moved_before = 0
    _end: float | None = None
    _sent: float | None = None

    def __init__(self, clock: Callable[[], float], timeout: float | None, phases: Timeouts) -> None:
        self._clock = clock
        self.phases = phases
        if timeout is not None:
            self.last = clock() + timeout

    def end(self, cap: float | None) -> float | None:
        """Return the moment `cap` seconds from now, or the end of the whole if that is sooner."""
        return self._end_of(cap, self._clock())

    def left(self, end: float | None) -> float | None:
        """Return the seconds until `end`, 0 if it has passed, None without a limit."""
        return _left(end, self._clock())

    def countdown(self, cap: float | None) -> Callable[[], float | None]:
        """Return a function that returns the seconds left of `cap` from now, as `left` does."""
        end = self.end(cap)
        return lambda: self.left(end)

    def over(self) -> bool:
        """Return whether the deadline of the whole has passed."""
        return self.last is not None and self._clock() >= self.last

    @property
    def silence(self) -> float | None:
        """Seconds since the request was sent whole, as far as this was seen; None if it was not."""
        return None if self._sent is None else self._clock() - self._sent

    def patience(self, exchange: Exchange) -> float | None:
        """Return the seconds to wait for `exchange` to move.

        The head has to arrive within `timeouts.response`. A body may pause for `timeouts.idle`, and has
        to arrive at one byte per second on average, or a drip would last for ever; a stream may come as
        slowly as the model thinks.
        """
        phase, now = exchange.phase, self._clock()
        if phase != "head":
            self._follow(exchange, phase, now)
        elif self._sent is None:
            self._sent, cap = now, self.phases.response
            if self.last is None and cap is not None and cap <= LONGEST:  # as nearly always
                self._end = now + cap
                return cap
            self._end = self._end_of(cap, now)
        return _left(self._end, now)

    def _follow(self, exchange: Exchange, phase: Phase, now: float) -> None:
        """Postpone the end if `exchange` has moved."""
        moved = exchange.bytes_sent + exchange.bytes_received
        if phase != self._phase:
            self._phase, self._begun, self._moved_before = phase, now, moved
        elif moved == self._moved:
            return
        self._moved, cap = moved, self.phases.idle
        self._end = self._end_of(cap, now)
        if cap is not None and exchange.until == "end":
            slowest = self._begun + cap + (moved - self._moved_before) / SLOWEST
            self._end = slowest if self._end is None else min(self._end, slowest)

    def _end_of(self, cap: float | None, now: float) -> float | None:
        """Return the moment `cap` seconds from `now`, or the end of the whole if that is sooner."""
        last = self.last
        if cap is None:
            return last
        return now + cap if last is None else min(now + cap, last)


def _left(end: float | None, now: float) -> float | None:
    """Return the seconds from `now` to `end`, 0 if it has passed, None without a limit."""
    if end is None or (left := end - now) > LONGEST:
        return None
    return left if left > 0 else 0.0
