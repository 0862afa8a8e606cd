"""An endpoint in simulated time: what a concurrency limit does with it, in no real time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from smruntime_core.conversation import CallOutcome, CallTicket, ConcurrencyLimit


class Observed(NamedTuple):
    """The second half of a run."""

    mean_in_flight: float
    throttled_share: float
    throughput: float


def simulate(
    limit: ConcurrencyLimit | None,
    latency: Callable[[int], float],
    *,
    throttles_above: float = float("inf"),
    calls: int = 20_000,
    fixed: int = 0,
    jitter: float = 0.05,
    seed: int = 1,
) -> Observed:
    """Keep as many calls in flight as `limit` (or `fixed`) says until `calls` have succeeded.

    A call takes `latency(n)` seconds with `n` in flight when it arrives, and is refused within
    2 ms above `throttles_above`.
    """
    random = Random(seed)  # noqa: S311 - a test is repeatable
    now = integral = 0.0
    in_flight = done = refused = attempts = 0
    half_time: float | None = None
    events: list[tuple[float, int, CallOutcome, CallTicket | None]] = []
    while done < calls:
        while in_flight < (limit.limit if limit else fixed):
            ticket = limit.start(now) if limit else None
            in_flight += 1
            attempts += 1
            is_refused = in_flight > throttles_above
            seconds = 0.002 if is_refused else latency(in_flight)
            end = now + seconds * random.uniform(1 - jitter, 1 + jitter)
            outcome: CallOutcome = "overloaded" if is_refused else "succeeded"
            heapq.heappush(events, (end, attempts, outcome, ticket))
        then, _, outcome, ticket = heapq.heappop(events)
        integral += in_flight * (then - now)
        now = then
        in_flight -= 1
        if limit is not None and ticket is not None:
            limit.finish(ticket, outcome, now)
        done += outcome == "succeeded"
        refused += outcome == "overloaded"
        if half_time is None and 2 * done >= calls:
            half_time, integral, refused, attempts, half_done = now, 0.0, 0, in_flight, done
    assert half_time is not None
    elapsed = now - half_time
    return Observed(integral / elapsed, refused / attempts, (done - half_done) / elapsed)
