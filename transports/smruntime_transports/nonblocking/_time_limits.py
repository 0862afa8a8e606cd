"""The time limits of an exchange: one deadline for the whole and a limit for each phase.

| phase   | limit                                                                            |
|---------|----------------------------------------------------------------------------------|
| connect | `timeouts.connect`, for all steps of opening a connection together               |
| send    | `timeouts.idle` between two moves; in total, that and 1 s for each byte          |
| head    | `timeouts.response` from the last byte of the request                            |
| body    | like send                                                                        |

A move is a byte sent or received. A streamed response has no total limit, since a model may take
its time between two tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from smruntime_core import Timeouts
from smruntime_core.errors import Phase
from smruntime_core.http1 import Exchange

# seconds; `poll` counts milliseconds in 31 bits, so a later end is no limit
LONGEST_LIMIT: Final = 1e6
SLOWEST_RATE: Final = 1.0  # bytes a second, on average, after the first `timeouts.idle`


class TimeLimits:
    """The deadlines of one exchange, on the transport's clock."""

    deadline: float | None = None  # of the whole exchange
    _current_phase: Phase | None = None
    _phase_begun = 0.0
    _moved_bytes = 0
    _moved_before_phase = 0
    _current_end: float | None = None
    _request_sent_at: float | None = None

    def __init__(
        self, monotonic_clock: Callable[[], float], timeout: float | None, phases: Timeouts
    ) -> None:
        self._monotonic_clock = monotonic_clock
        self.phases: Timeouts = phases
        if timeout is not None:
            self.deadline = monotonic_clock() + timeout

    def end_of(self, phase_limit: float | None) -> float | None:
        """Return the moment `phase_limit` seconds from now, or the deadline if that is sooner."""
        return self._earlier_end(phase_limit, self._monotonic_clock())

    def seconds_until(self, end: float | None) -> float | None:
        """Return the seconds until `end`, 0 if it has passed, None without a limit."""
        return _seconds_between(self._monotonic_clock(), end)

    def countdown(self, phase_limit: float | None) -> Callable[[], float | None]:
        """Return a function that returns the seconds left of `phase_limit` from now."""
        end = self.end_of(phase_limit)
        return lambda: self.seconds_until(end)

    def is_over(self) -> bool:
        """Return whether the deadline of the whole has passed."""
        return self.deadline is not None and self._monotonic_clock() >= self.deadline

    @property
    def silence(self) -> float | None:
        """Seconds since a wait found the request sent whole; None before."""
        sent_at = self._request_sent_at
        return None if sent_at is None else self._monotonic_clock() - sent_at

    def seconds_to_wait(self, exchange: Exchange) -> float | None:
        """Return the seconds to wait for `exchange` to move, None without a limit."""
        phase, current_time = exchange.phase, self._monotonic_clock()
        if phase != "head":
            self._follow_exchange(exchange, phase, current_time)
        elif self._request_sent_at is None:
            self._request_sent_at = current_time
            self._current_end = self._earlier_end(self.phases.response, current_time)
        return _seconds_between(current_time, self._current_end)

    def _follow_exchange(self, exchange: Exchange, phase: Phase, current_time: float) -> None:
        """Postpone the end if `exchange` has moved."""
        moved_bytes = exchange.bytes_sent + exchange.bytes_received
        if phase != self._current_phase:
            self._current_phase, self._phase_begun = phase, current_time
            self._moved_before_phase = moved_bytes
        elif moved_bytes == self._moved_bytes:
            return
        self._moved_bytes, phase_limit = moved_bytes, self.phases.idle
        self._current_end = self._earlier_end(phase_limit, current_time)
        if phase_limit is not None and exchange.until == "end":
            moved_in_phase = moved_bytes - self._moved_before_phase
            slowest_end = self._phase_begun + phase_limit + moved_in_phase / SLOWEST_RATE
            current_end = self._current_end
            self._current_end = (
                slowest_end if current_end is None else min(current_end, slowest_end)
            )

    def _earlier_end(self, phase_limit: float | None, current_time: float) -> float | None:
        """Return `current_time` plus `phase_limit`, or the deadline if that is sooner."""
        if phase_limit is None:
            return self.deadline
        phase_end = current_time + phase_limit
        return phase_end if self.deadline is None else min(phase_end, self.deadline)


def _seconds_between(current_time: float, end: float | None) -> float | None:
    """Return the seconds from `current_time` to `end`, 0 if it has passed, None without a limit."""
    if end is None or (seconds := end - current_time) > LONGEST_LIMIT:
        return None
    return max(0.0, seconds)
