"""A thousand tasks that call at the same time: how many calls a second, and who waits how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from time import perf_counter

from measuring import Call

TASKS = 1000


class Crowd:
    """Wall microseconds a call; the latencies of the last measurement stay in `latencies`, in milliseconds, sorted."""

    def __init__(self, making: Callable[[], AbstractAsyncContextManager[Call]]) -> None:
        self._making = making
        self.latencies: list[float] = []

    def measure(self, number: int) -> float:
        """`number` calls, shared out evenly, after one of each task that does not count."""
        return asyncio.run(self._run(max(1, number // TASKS)))

    async def _run(self, each: int) -> float:
        latencies: list[float] = []

        async def one(times: int) -> None:
            for _ in range(times):
                begun = perf_counter()
                await call()
                latencies.append((perf_counter() - begun) * 1e3)

        async with self._making() as call:
            await asyncio.gather(*(one(1) for _ in range(TASKS)))
            latencies.clear()
            begun = perf_counter()
            await asyncio.gather(*(one(each) for _ in range(TASKS)))
            seconds = perf_counter() - begun
        self.latencies = sorted(latencies)
        return seconds / len(latencies) * 1e6

    def percentile(self, percent: int) -> float:
        """That many of the calls took no longer, in milliseconds."""
        return self.latencies[len(self.latencies) * percent // 100]
