"""Delays, costs and the bucket: numbers in, numbers out."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, DispatchFailure, ModelNotReadyException, RetryPolicy, ServiceError, ServiceUnavailable
from smruntime_core._retries import NoLock, TokenBucket

POLICY = RetryPolicy()
REFUSED = DispatchFailure("x", kind="refused", phase="connect", delivery="not_sent")
FAILURES = st.sampled_from((ServiceUnavailable(), ModelNotReadyException(), ServiceError(status=429), REFUSED))


@given(FAILURES, st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_delays_stay_within_their_cap(failure: ServiceError | DispatchFailure, attempt: int, draw: float) -> None:
    longest = POLICY.delay(attempt, failure, 1.0)
    assert 0 <= POLICY.delay(attempt, failure, draw) <= longest <= POLICY.max_delay
    assert longest <= POLICY.delay(attempt + 1, failure, 1.0)


def test_delays_double_and_throttling_waits_longer() -> None:
    assert [POLICY.delay(attempt, ServiceUnavailable(), 1.0) for attempt in (1, 2, 3, 20)] == [0.05, 0.1, 0.2, 20.0]
    assert [POLICY.delay(attempt, ModelNotReadyException(), 1.0) for attempt in (1, 2, 6)] == [1.0, 2.0, 20.0]
    assert (POLICY.cost(ModelNotReadyException()), POLICY.cost(ServiceUnavailable()), POLICY.cost(REFUSED)) == (5, 14, 14)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=50))
def test_a_bucket_holds_from_nothing_to_its_capacity(moves: list[tuple[bool, float]]) -> None:
    bucket = TokenBucket(500, NoLock())
    for take, amount in moves:
        before = bucket.tokens
        if not take:
            bucket.give(amount)
        elif not bucket.take(amount):
            assert bucket.tokens == before < amount
        assert 0 <= bucket.tokens <= 500


def test_threads_share_a_bucket() -> None:
    bucket = TokenBucket(500, threading.Lock())
    taken: list[bool] = []
    threads = [threading.Thread(target=lambda: taken.extend(bucket.take(1) for _ in range(200))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(taken), bucket.tokens) == (500, 0)


REFUSED_POLICIES: list[dict[str, Any]] = [
    {"max_attempts": 0}, {"max_attempts": 101}, {"max_attempts": True}, {"max_attempts": 1.5}, {"base_delay": -1},
    {"max_delay": float("nan")}, {"capacity": float("inf")}, {"retry_cost": "1"}, {"throttling_cost": True}, {"throttling_delay": None},
]  # fmt: skip


@pytest.mark.parametrize("policy", REFUSED_POLICIES, ids=repr)
def test_refused_policies(policy: dict[str, Any]) -> None:
    with pytest.raises(ConstructionError, match=next(iter(policy))):
        RetryPolicy(**policy)
