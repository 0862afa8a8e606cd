"""One deadline over everything that a call waits for.

It gives the seconds left, never a time: every event loop has a clock of its own.
"""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two readings in seconds; the module `time` is a clock."""

    def time(self) -> float:
        """Return seconds since the epoch, which a signature bears."""
        ...

    def monotonic(self) -> float:
        """Return seconds since any moment, never going back; deadlines are measured by it."""
        ...


class Deadline:
    """The end of all waiting, `seconds` from now; None means no end."""

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._limit = seconds
        self._ends_at = None if seconds is None else clock.monotonic() + seconds

    def left(self) -> float | None:
        """Return the seconds left, 0 after the deadline; None means no limit."""
        return None if self._ends_at is None else max(0.0, self._ends_at - self._clock.monotonic())

    def describe_limit(self) -> str:
        """Return the limit of the whole call with its setting, for a message."""
        return f"the setting is timeout={self._limit:g}, or Timeouts(total={self._limit:g})"

    def passed_in(self, seconds: float) -> bool:
        """Return whether the deadline will have passed after that many more seconds."""
        return self._ends_at is not None and self._clock.monotonic() + seconds >= self._ends_at
