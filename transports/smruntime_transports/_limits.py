"""How long an exchange may take, part by part: one deadline for the whole and caps for its phases."""

from __future__ import annotations

from collections.abc import Callable

from smruntime_core import Timeouts
from smruntime_core._errors import Phase
from smruntime_core._http1 import Exchange

LONGEST = 1e6  # seconds; `poll` counts milliseconds in 31 bits, so what is further off is no limit
SLOWEST = 1.0  # bytes a second, over a body that has had its idle time for grace


class Limits:
    """Moments of this transport's own clock after which something has taken too long."""

    _phase: Phase | None = None
    _begun = 0.0
    _moved = 0
    _moved_before = 0
    _end: float | None = None
    _sent: float | None = None

    def __init__(self, clock: Callable[[], float], timeout: float | None, phases: Timeouts) -> None:
        self._clock = clock
        self._last = None if timeout is None else clock() + timeout
        self.phases = phases

    def end(self, cap: float | None) -> float | None:
        """The moment `cap` seconds from now, or the end of the whole if that is sooner; None if neither is limited."""
        if cap is None:
            return self._last
        end = self._clock() + cap
        return end if self._last is None else min(end, self._last)

    def left(self, end: float | None) -> float | None:
        """Seconds until `end`, 0 if it has passed; None if there is no limit."""
        if end is None or (left := end - self._clock()) > LONGEST:
            return None
        return max(0.0, left)

    @property
    def over(self) -> bool:
        """The deadline of the whole has passed."""
        return self._last is not None and self._clock() >= self._last

    @property
    def silence(self) -> float | None:
        """Seconds since the request was sent whole, as far as this was seen; None if it was not."""
        return None if self._sent is None else self._clock() - self._sent

    def patience(self, exchange: Exchange) -> float | None:
        """Seconds to wait for `exchange` to move.

        The head has to be there in time, however it drips. A body may pause for so long, and has to come at a byte a second
        on the average besides, or a drip would keep a caller for ever; a stream may come as slowly as the model thinks.
        """
        phase = exchange.phase
        if phase == "head":
            if self._phase != phase:
                self._phase, self._sent, self._end = phase, self._clock(), self.end(self.phases.response)
            return self.left(self._end)
        moved = exchange.bytes_sent + exchange.bytes_received
        if phase != self._phase:
            self._phase, self._begun, self._moved_before = phase, self._clock(), moved
        elif moved == self._moved:
            return self.left(self._end)
        self._moved = moved
        cap = self.phases.idle
        self._end = self.end(cap)
        if cap is not None and exchange.until == "end":
            slowest = self._begun + cap + (moved - self._moved_before) / SLOWEST
            self._end = slowest if self._end is None else min(self._end, slowest)
        return self.left(self._end)
