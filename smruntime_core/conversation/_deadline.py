"""One deadline over everything that a call waits for, told in seconds left: every event loop has a clock of its own."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two readings in seconds; the module `time` is one."""

    def time(self) -> float:
        """Since the epoch: what a signature says."""
        ...

    def monotonic(self) -> float:
        """Since any moment, never going back: what deadlines are measured by."""
        ...


class Deadline:
    """A moment after which nothing more is waited for; never, if `seconds` is None."""

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._end = None if seconds is None else clock.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds until then, 0 if it has passed; None if there is no limit."""
        return None if self._end is None else max(0.0, self._end - self._clock.monotonic())

    def passed_in(self, seconds: float) -> bool:
        """It will have passed after that many more seconds."""
        return self._end is not None and self._clock.monotonic() + seconds >= self._end
