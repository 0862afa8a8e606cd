"""Retry delays, their costs and the token bucket: numbers in, numbers out."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import (
    Config,
    ConstructionError,
    Credentials,
    DispatchFailure,
    InvokeEndpoint,
    Metadata,
    ModelNotReadyException,
    Response,
    ResponseError,
    RetryPolicy,
    Runtime,
    ServiceError,
    ServiceUnavailable,
    SmRuntimeError,
    ValidationError,
)
from smruntime_core.conversation._retries import NoLock, Retry, RetryQuota
from smruntime_core.effects import GetCredentials, Send, Sleep
from smruntime_core.testing import FrozenClock, script
from smruntime_core.values._record import unchecked

POLICY = RetryPolicy()
REFUSED = DispatchFailure("x", kind="refused", phase="connect", delivery="not_sent")
FAILURES = st.sampled_from(
    (ServiceUnavailable(), ModelNotReadyException(), ServiceError(status=429), REFUSED)
)


def delay(
    attempt: int, failure: SmRuntimeError, draw: float, policy: RetryPolicy = POLICY
) -> float:
    plan = unchecked(RetryPolicy, {**vars(policy), "max_attempts": 10**9}).plan(
        attempt, failure, 500, draw
    )
    assert plan is not None
    return plan.delay


@given(FAILURES, st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_delay_stays_below_its_maximum(
    failure: ServiceError | DispatchFailure, attempt: int, draw: float
) -> None:
    longest = delay(attempt, failure, 1.0)
    assert 0 <= delay(attempt, failure, draw) <= longest <= POLICY.max_delay
    assert longest <= delay(attempt + 1, failure, 1.0)


def test_delay_doubles_and_throttling_waits_longer() -> None:
    assert [delay(attempt, ServiceUnavailable(), 1.0) for attempt in (1, 2, 3, 20)] == [
        0.05,
        0.1,
        0.2,
        20.0,
    ]
    assert [delay(attempt, ModelNotReadyException(), 1.0) for attempt in (1, 2, 6)] == [
        1.0,
        2.0,
        20.0,
    ]
    assert [
        POLICY.plan(1, failure, 500, 0.0)
        for failure in (ModelNotReadyException(), ServiceUnavailable(), REFUSED)
    ] == [Retry(0.0, 5), Retry(0.0, 14), Retry(0.0, 14)]


def retry_after(name: str, value: str) -> ServiceError:
    return ServiceUnavailable(metadata=Metadata(headers=((name, value),)))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("x-amz-retry-after", "1500", 1.5),
        ("X-Amz-Retry-After", "0", 0.05),
        ("x-amz-retry-after", "10000", 5.05),
        ("x-amz-retry-after", "soon", 0.05),
        ("x-amz-retry-after", "-1", 0.05),
        ("x-amz-retry-after", "9" * 4000, 0.05),
        ("Retry-After", "2", 2.0),
        ("Retry-After", "86400", 5.05),
        ("Retry-After", "Sun, 06 Nov 2094 08:49:37 GMT", 0.05),
    ],
)
def test_server_may_request_a_delay_within_bounds(name: str, value: str, expected: float) -> None:
    assert delay(1, retry_after(name, value), 1.0) == pytest.approx(expected)


def test_no_retry_without_attempts_tokens_or_permission() -> None:
    assert POLICY.plan(3, ServiceUnavailable(), 500, 0.5) is None
    assert POLICY.plan(1, ServiceUnavailable(), 13, 0.5) is None
    assert POLICY.plan(1, ValidationError(), 500, 0.5) is None


MAYBE = [
    DispatchFailure("x", kind=kind, phase="head", delivery="maybe_sent")
    for kind in ("timeout", "reset", "closed")
]
CUT = DispatchFailure("x", kind="truncated", phase="body", delivery="answered")


def test_request_that_may_have_arrived_is_sent_again_only_with_resend() -> None:
    for failure in (*MAYBE, CUT, ResponseError("cut")):
        assert POLICY.plan(1, failure, 500, 0.5) is None
        assert RetryPolicy.aws_standard().plan(1, failure, 500, 0.5) == Retry(0.025, 14)
    for never in (
        DispatchFailure("x", kind="tls", phase="tls", delivery="not_sent"),
        DispatchFailure("x", kind="protocol", phase="proxy", delivery="not_sent"),
    ):
        assert RetryPolicy.aws_standard().plan(1, never, 500, 0.5) is None


VECTORS = Path(__file__).parents[2] / "shared" / "vectors" / "retries.json"


def vectors() -> list[Any]:
    if not VECTORS.exists():
        return [
            pytest.param(
                None,
                None,
                marks=pytest.mark.skip(reason="the shared vectors are not beside this checkout"),
            )
        ]
    return [
        pytest.param(kind, case, id=f"{kind}: {name}")
        for kind, cases in json.loads(VECTORS.read_text()).items()
        for name, case in cases.items()
    ]


@pytest.mark.parametrize(("kind", "case"), vectors())
def test_retry_follows_the_shared_vectors(kind: str, case: Any) -> None:
    given = case["given"]
    numbers: dict[str, Any] = (
        {"base_delay": 1, "throttling_delay": 1, "retry_cost": 5}
        if kind == "legacy_numbers"
        else {}
    )
    policy = RetryPolicy(
        max_attempts=given.get("max_attempts", 3),
        max_delay=given.get("max_backoff_time", 20),
        capacity=given.get("initial_retry_tokens", 500),
        **numbers,
    )
    runtime = Runtime(Config(region="r-1"), clock=FixedClock, random=lambda: 1.0, retries=policy)
    flow = runtime.call(InvokeEndpoint(endpoint_name="e", body=b""))
    effect = flow.send(None)
    for step in case["responses"]:
        assert isinstance(effect, GetCredentials)
        assert isinstance(flow.send(Credentials("A", "s")), Send)
        said, expected = step["response"], step["expected"]
        headers = [
            *said.get("headers", {}).items(),
            *([("x-amzn-errortype", said["error_code"])] if "error_code" in said else []),
        ]
        if expected["outcome"] == "retry_request":
            sleep = flow.send(Response(said["status_code"], tuple(headers)))
            assert isinstance(sleep, Sleep)
            assert sleep.seconds == pytest.approx(expected["delay"])
            assert runtime.tokens.tokens == expected["retry_quota"]
            effect = flow.send(None)
        else:
            with pytest.raises(StopIteration if expected["outcome"] == "success" else ServiceError):
                flow.send(Response(said["status_code"], tuple(headers)))
            assert runtime.tokens.tokens == expected["retry_quota"]


class FixedClock:
    """A clock that never moves."""

    @staticmethod
    def time() -> float:
        return 1.8e9

    monotonic = time


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=50))
def test_bucket_holds_between_zero_and_its_capacity(moves: list[tuple[bool, float]]) -> None:
    bucket = RetryQuota(500, NoLock())
    for take, amount in moves:
        before = bucket.tokens
        if not take:
            bucket.give(amount)
        elif not bucket.take(amount):
            assert bucket.tokens == before < amount
        assert 0 <= bucket.tokens <= 500


def test_threads_take_each_token_once() -> None:
    bucket = RetryQuota(500, threading.Lock())
    taken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: taken.extend(bucket.take(1) for _ in range(200)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(taken), bucket.tokens) == (500, 0)


def test_policy_accepts_its_bounds() -> None:
    for most in (1, 100):
        assert RetryPolicy.aws_standard(most).max_attempts == most
    for member in (
        "base_delay",
        "throttling_delay",
        "max_delay",
        "retry_cost",
        "throttling_cost",
        "capacity",
    ):
        for value in (0, 0.5, 1e9 - 1):
            policy: dict[str, Any] = {member: value}
            assert getattr(RetryPolicy(**policy), member) == value


def test_last_tokens_are_spent() -> None:
    assert POLICY.plan(1, ServiceUnavailable(), 14, 0.5) == Retry(0.025, 14)


UNFIT_POLICIES: list[dict[str, Any]] = [
    {"max_attempts": 0},
    {"max_attempts": 101},
    {"max_attempts": True},
    {"max_attempts": 1.5},
    {"base_delay": -1},
    {"max_delay": float("nan")},
    {"capacity": float("inf")},
    {"retry_cost": "1"},
    {"throttling_cost": True},
    {"throttling_delay": None},
    {"max_delay": 1e9},
]


@pytest.mark.parametrize("policy", UNFIT_POLICIES, ids=repr)
def test_unfit_policy_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ConstructionError, match=next(iter(policy))):
        RetryPolicy(**policy)


def test_longest_pause_limits_every_wait_of_a_runtime() -> None:
    clock = FrozenClock()
    runtime = Runtime(
        Config(region="eu-west-1"),
        clock=clock,
        random=lambda: 1.0,
        retries=RetryPolicy(throttling_delay=30, max_delay=30),
        longest_pause=0.01,
    ).with_options(wait_for_capacity=60)
    keys = Credentials("AKID", "secret")
    conversation = script(runtime.call(InvokeEndpoint("churn", body=b"")))
    asks_to_wait = (("Retry-After", "20"),)
    for response in (
        Response(429),
        Response(503, asks_to_wait),
        Response(429, (("x-amzn-ErrorType", "ModelNotReadyException"),)),
    ):
        conversation.expects(GetCredentials()).replies(keys).expects(Send).replies(response)
        conversation.expects(Sleep(0.01)).replies(None)
    conversation.expects(GetCredentials()).replies(keys).expects(Send).replies(Response(200))
    conversation.returns()
