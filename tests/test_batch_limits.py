"""The number in flight over real sockets, against servers that throttle or become slower.

`test_concurrency.py` does the same in simulated time, with many more calls. `BATCH_LIMITS=all` runs
every case, as `make test-all` does; else one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import pytest

from smruntime_transports import AsyncClient, batch

from .batch_server import THROTTLED, Answer, BatchServer, serving

RUNS_ALL = os.environ.get("BATCH_LIMITS") == "all"
ONLY_THERE = pytest.mark.skipif(not RUNS_ALL, reason="takes too long for CI; see `make test-all`")


async def run_calls(server: BatchServer, count: int, at_half: Callable[[], None]) -> batch.Progress:
    """Send records one by one, and call `at_half` when half of them have answers."""
    answered = 0

    def sink(_result: batch.Result) -> None:
        nonlocal answered
        answered += 1
        if 2 * answered == count:
            at_half()

    async with AsyncClient(
        region=server.region,
        endpoint_url=server.url,
        credentials=server.credentials,
        max_connections=128,
    ) as client:
        return await batch.run_async(client, range(count), sink, endpoint="e")


@pytest.mark.parametrize(
    ("quota", "seconds", "count", "most_throttled"),
    [
        pytest.param(5, 0.1, 1600, 0.06, marks=ONLY_THERE),
        (20, 0.15, 2000, 0.03),
        pytest.param(20, 0.15, 4000, 0.03, marks=ONLY_THERE),
        pytest.param(80, 0.3, 8000, 0.03, marks=ONLY_THERE),
    ],
)
def test_throttling_server_is_used_fully_and_rarely_refuses(
    quota: int, seconds: float, count: int, most_throttled: float
) -> None:
    def model(body: bytes, in_flight: int) -> Answer:
        return THROTTLED if in_flight > quota else Answer(body, seconds=seconds)

    with serving(model) as server:
        progress = asyncio.run(run_calls(server, count, server.forget))
        mean, share = server.mean_in_flight, server.throttled / server.requests
    print(f"quota {quota}: {mean:.1f} in flight, {100 * share:.1f} % throttled")
    assert progress.answered == count
    assert 0.8 * quota <= mean <= quota
    assert share <= most_throttled


LATENCIES: dict[str, tuple[Callable[[int], float], int]] = {
    "square": (lambda n: 0.04 * (1 + (n / 20) ** 2), 4000),
    "linear": (lambda n: 0.04 * (1 + n / 20), 6000),
    "capacity": (lambda n: 0.04 * max(1.0, n / 20), 6000),
}


@ONLY_THERE
@pytest.mark.parametrize("name", LATENCIES)
def test_server_that_becomes_slower_is_used_at_80_percent_of_the_best(name: str) -> None:
    latency, count = LATENCIES[name]
    best = max(limit / latency(limit) for limit in range(1, 101))
    half_at = 0.0

    def note_half() -> None:
        nonlocal half_at
        half_at = time.monotonic()

    with serving(lambda body, in_flight: Answer(body, seconds=latency(in_flight))) as server:
        asyncio.run(run_calls(server, count, note_half))
        throughput = count / 2 / (time.monotonic() - half_at)
    print(f"{name}: {throughput:.0f} calls a second of at most {best:.0f}")
    assert throughput >= 0.8 * best
