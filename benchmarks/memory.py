"""How far the memory of this process grows (Linux: what the kernel says of its resident pages)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

STATUS = Path("/proc/self/status")
REFS = Path("/proc/self/clear_refs")


def resident(which: str) -> float:
    """Megabytes resident now (`VmRSS`) or at most since the last `forget` (`VmHWM`)."""
    return int(STATUS.read_text("ascii").partition(f"{which}:")[2].split()[0]) * 1024 / 1e6


def forget() -> None:
    """From now on, the most is what is resident now."""
    REFS.write_text("5", "ascii")


class Growth:
    """Megabytes by which the peak of `do` lies above what was resident when it said `begin`."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._do = do
        self._before = 0.0

    def begin(self) -> None:
        """What is resident now does not count."""
        forget()
        self._before = resident("VmRSS")

    def measure(self, number: int) -> float:
        """Once, whatever the number: a second time would use what the first left behind."""
        del number
        self.begin()
        self._do()
        return resident("VmHWM") - self._before
