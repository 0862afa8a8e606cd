"""The number of calls in flight, decided in simulated time against endpoints of known behaviour."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smruntime_core import ConstructionError
from smruntime_core.conversation import CallOutcome, CallTicket, ConcurrencyLimit

from .simulated_endpoint import simulate

SECONDS = 0.05
LATENCIES: dict[str, Callable[[int], float]] = {
    "grows with the number": lambda n: SECONDS * (1 + n / 20),
    "grows with its square": lambda n: SECONDS * (1 + (n / 20) ** 2),
    "grows with its square, small": lambda n: SECONDS * (1 + (n / 4) ** 2),
    "fixed capacity": lambda n: SECONDS * max(1.0, n / 20),
    "overload": lambda n: SECONDS * (1.0 if n <= 30 else (n / 30) ** 3),
    "constant": lambda n: SECONDS,
}
FIXED_LIMITS = (1, 2, 4, 8, 12, 16, 20, 24, 30, 40, 64, 128)


@pytest.mark.parametrize("jitter", [0.02, 0.3])
@pytest.mark.parametrize(("quota", "most_throttled"), [(5, 0.06), (20, 0.03), (80, 0.03)])
def test_limit_stays_below_the_quota_and_near_it(
    quota: int, most_throttled: float, jitter: float
) -> None:
    for seed in range(3):
        observed = simulate(
            ConcurrencyLimit(256),
            LATENCIES["constant"],
            throttles_above=quota,
            calls=10_000,
            jitter=jitter,
            seed=seed,
        )
        assert 0.8 * quota <= observed.mean_in_flight <= quota, observed
        assert observed.throttled_share <= most_throttled, observed


@pytest.mark.parametrize("jitter", [0.02, 0.3])
@pytest.mark.parametrize("name", LATENCIES)
def test_throughput_is_at_least_80_percent_of_the_best_fixed_limit(
    name: str, jitter: float
) -> None:
    latency = LATENCIES[name]
    best_throughput = max(
        simulate(None, latency, fixed=fixed, calls=2000, jitter=jitter).throughput
        for fixed in FIXED_LIMITS
    )
    observed = simulate(ConcurrencyLimit(128), latency, calls=10_000, jitter=jitter)
    assert observed.throughput >= 0.8 * best_throughput, (observed, best_throughput)


def test_limit_rises_again_after_the_quota_has_grown() -> None:
    limit = ConcurrencyLimit(256)
    simulate(limit, LATENCIES["constant"], throttles_above=10, calls=2000)
    assert limit.limit <= 12
    observed = simulate(_Idle(limit), LATENCIES["constant"], throttles_above=40, calls=20_000)
    assert observed.mean_in_flight >= 32, observed


class _Idle(ConcurrencyLimit):
    """A limit that served an earlier run, whose calls have ended."""

    def __init__(self, limit: ConcurrencyLimit) -> None:
        self.__dict__.update(limit.__dict__)
        self._in_flight = 0


def test_limit_does_not_grow_while_there_is_little_to_do() -> None:
    limit = ConcurrencyLimit(100)
    for step in range(1000):
        ticket = limit.start(now=step * 0.1)
        limit.finish(ticket, "succeeded", now=step * 0.1 + 0.05)
    assert limit.limit == 8


def test_refusals_of_calls_that_began_earlier_lower_the_limit_once() -> None:
    limit = ConcurrencyLimit(40, initial=40)
    tickets = [limit.start(now=0.0) for _ in range(40)]
    limit.finish(tickets[0], "overloaded", now=0.1)
    lowered = limit.limit
    assert lowered == 34
    for ticket in tickets[1:]:
        limit.finish(ticket, "overloaded", now=0.2)
    assert limit.limit == lowered


@settings(max_examples=60, deadline=None)
@given(
    maximum=st.integers(1, 50),
    initial=st.integers(1, 60),
    steps=st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from(["succeeded", "overloaded", "failed"]),
            st.floats(0, 5, allow_nan=False),
            st.integers(0, 100),
        ),
        max_size=300,
    ),
)
def test_limit_is_within_its_bounds_whatever_happens(
    maximum: int, initial: int, steps: list[tuple[bool, CallOutcome, float, int]]
) -> None:
    limit = ConcurrencyLimit(maximum, initial=initial)
    tickets: list[CallTicket] = []
    now = 0.0
    for starts, outcome, seconds, which in steps:
        now += seconds
        if starts or not tickets:
            tickets.append(limit.start(now))
        else:
            limit.finish(tickets.pop(which % len(tickets)), outcome, now)
        assert 1 <= limit.limit <= maximum
        assert limit.in_flight == len(tickets)
        assert limit.is_full == (len(tickets) >= limit.limit)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "8"])
def test_a_limit_that_is_no_count_is_refused(value: int) -> None:
    with pytest.raises(ConstructionError, match="maximum"):
        ConcurrencyLimit(value)
    with pytest.raises(ConstructionError, match="initial"):
        ConcurrencyLimit(10, initial=value)
