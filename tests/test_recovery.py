"""What happens after a failure, as conversations: the clock corrected, credentials renewed, a dead connection, a model coming up."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_core as sm
from smruntime_core.effects import GetCredentials, Send, Sleep
from smruntime_core.testing import FrozenClock, ScriptedIO, script
from smruntime_core.values._dates import format_timestamp

KEYS = sm.Credentials("AKID", "secret")
OTHERS = sm.Credentials("AKID2", "secret2")
OPERATION = sm.InvokeEndpoint(endpoint_name="churn", body=b"1,2,3")
OPENING_BODY = sm.InvokeEndpoint(endpoint_name="churn", body=b"", session_id="NEW_SESSION")
OK = sm.Response(200, (), b"0.5")
GET = GetCredentials()


def http_date(seconds: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


def a_runtime(clock: FrozenClock | None = None, **options: Any) -> sm.Runtime:
    runtime = sm.Runtime(
        sm.Config(region="eu-west-1"), clock=clock or FrozenClock(), random=lambda: 0.5
    )
    return runtime.with_options(**options)


def refused(
    code: str, *headers: tuple[str, str], status: int = 403, message: str = "no"
) -> sm.Response:
    return sm.Response(
        status, (("x-amzn-errortype", code), *headers), b'{"Message": "%b"}' % message.encode()
    )


def signed_at(flow: ScriptedIO[Any]) -> str:
    effect = flow.effects[-1]
    assert isinstance(effect, Send)
    return dict(effect.request.headers)["x-amz-date"]


@pytest.mark.parametrize("off", [600.0, -600.0, 86_400.0])
@pytest.mark.parametrize(
    "code",
    [
        "RequestTimeTooSkewed",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "RequestInTheFuture",
    ],
)
def test_a_clock_that_is_off_is_corrected_and_stays_so(code: str, off: float) -> None:
    clock = FrozenClock()
    runtime = a_runtime(clock)
    flow = script(runtime.call(OPERATION)).expects(GET).replies(KEYS)
    assert signed_at(flow) == format_timestamp(clock.now)
    flow.replies(refused(code, ("Date", http_date(clock.now + off)))).expects(GET).replies(KEYS)
    assert signed_at(flow) == format_timestamp(clock.now + off)
    output = flow.replies(OK).returns()
    assert [attempt.outcome for attempt in output.metadata.attempts] == [code, "ok"]
    assert signed_at(script(runtime.call(OPERATION)).replies(KEYS)) == format_timestamp(
        clock.now + off
    )
    assert runtime.tokens.tokens == 500, "mending the clock is free"


def test_the_clock_is_corrected_by_the_middle_of_sending_and_receiving() -> None:
    clock = FrozenClock()
    runtime = a_runtime(clock)
    flow = script(runtime.call(OPERATION)).replies(KEYS)
    told = clock.now + 1000
    clock.now += 20
    flow.replies(refused("RequestTimeTooSkewed", ("date", http_date(told)))).expects(GET)
    assert runtime.skew.seconds == pytest.approx(990, abs=1)


@pytest.mark.parametrize(
    ("headers", "took"),
    [
        ((), 0.0),
        ((("Date", "yesterday"),), 0.0),
        ((("Date", http_date(1.8e9 + 200)),), 0.0),
        ((("Date", http_date(1.8e9 + 6000)), ("Age", "1")), 0.0),
        ((("Date", http_date(1.8e9 + 6000)),), 901.0),
    ],
)
def test_a_clock_is_not_corrected_without_good_reason(
    headers: tuple[tuple[str, str], ...], took: float
) -> None:
    clock = FrozenClock()
    flow = script(a_runtime(clock).call(OPERATION)).replies(KEYS)
    clock.now += took
    flow.replies(refused("InvalidSignatureException", *headers)).raises(sm.ServiceError)


def test_the_clock_is_corrected_once_a_call() -> None:
    flow = script(a_runtime().call(OPERATION)).replies(KEYS)
    flow.replies(refused("RequestTimeTooSkewed", ("Date", http_date(1.8e9 + 600)))).replies(KEYS)
    error = flow.replies(refused("RequestTimeTooSkewed", ("Date", http_date(1.8e9 - 600)))).raises(
        sm.ServiceError
    )
    assert len(error.metadata.attempts) == 2


def test_expired_credentials_are_fetched_anew_once() -> None:
    expired = refused("ExpiredTokenException")
    flow = script(a_runtime().call(OPERATION)).expects(GET).replies(KEYS).replies(expired)
    flow.expects(GetCredentials(rejected=KEYS)).replies(OTHERS)
    effect = flow.effects[-1]
    assert isinstance(effect, Send)
    assert "Credential=AKID2/" in dict(effect.request.headers)["authorization"]
    flow.replies(expired).raises(sm.ServiceError)


def test_the_same_credentials_again_are_not_tried() -> None:
    flow = script(a_runtime().call(OPERATION)).replies(KEYS).replies(refused("ExpiredToken"))
    error = flow.expects(GetCredentials(rejected=KEYS)).replies(KEYS).raises(sm.ServiceError)
    assert len(error.metadata.attempts) == 1
    assert "new credentials" in str(error)


def dead(silence: float | None) -> sm.DispatchFailure:
    failure = sm.DispatchFailure(
        "x", kind="closed", phase="head", delivery="maybe_sent", reused=True, bytes_sent=9
    )
    failure.silence = silence
    return failure


def test_a_kept_connection_that_died_late_is_not_replaced() -> None:
    flow = script(a_runtime().call(OPERATION)).replies(KEYS).replies(dead(0.9))
    flow.expects(GET).replies(KEYS)
    effect = flow.effects[-1]
    assert isinstance(effect, Send)
    assert effect.fresh
    script(a_runtime().call(OPERATION)).replies(KEYS).replies(dead(1.1)).raises(sm.DispatchFailure)
    clock = FrozenClock()
    slow = script(a_runtime(clock).call(OPERATION)).replies(KEYS)
    clock.now += 1.5
    slow.replies(dead(None)).raises(sm.DispatchFailure)


NO_CAPACITY = refused(
    "ValidationError",
    status=400,
    message="Inference component ic has no capacity to serve requests",
)
NOT_READY = refused("ModelNotReadyException", status=429)


@pytest.mark.parametrize("answer", [NO_CAPACITY, NOT_READY])
def test_a_model_that_is_coming_up_is_waited_for(answer: sm.Response) -> None:
    clock = FrozenClock()
    runtime = a_runtime(clock, wait_for_capacity=120)
    flow = script(runtime.call(OPERATION))
    waits: list[float] = []
    for _ in range(9):
        flow.expects(GET).replies(KEYS).expects(Send).replies(answer)
        effect = flow.effects[-1]
        assert isinstance(effect, Sleep)
        waits.append(effect.seconds)
        clock.now += effect.seconds
        flow.replies(None)
    output = flow.expects(GET).replies(KEYS).replies(OK).returns()
    assert waits == sorted(waits)
    assert max(waits) <= 15
    assert runtime.tokens.tokens == 500, "waiting costs nothing"
    assert [attempt.waited for attempt in output.metadata.attempts] == [0.0, *waits]


def test_waiting_for_capacity_ends() -> None:
    clock = FrozenClock()
    flow = script(a_runtime(clock, wait_for_capacity=20).call(OPERATION))
    while not flow.ended:
        effect = flow.replies(KEYS).replies(NO_CAPACITY).effects[-1]
        if isinstance(effect, Sleep):
            clock.now += effect.seconds
            flow.replies(None)
    error = flow.raises(sm.ValidationError)
    assert sum(attempt.waited for attempt in error.metadata.attempts) == pytest.approx(20, abs=2)
    assert "wait_for_capacity" in str(error)
    script(a_runtime().call(OPERATION)).replies(KEYS).replies(NO_CAPACITY).raises(
        sm.ValidationError
    )


failures = st.sampled_from(
    [
        sm.Response(503),
        NOT_READY,
        refused("RequestTimeTooSkewed", ("Date", http_date(1.8e9 + 999))),
        *(
            sm.DispatchFailure("x", kind=kind, phase="head", delivery=delivery, reused=reused)
            for kind in ("timeout", "reset", "closed", "truncated")
            for delivery in ("not_sent", "maybe_sent", "answered")
            for reused in (True, False)
        ),
    ]
)


@given(
    st.lists(failures, max_size=6),
    st.booleans(),
    st.sampled_from([0.0, 30.0]),
    st.sampled_from([None, 5.0]),
)
def test_what_opens_a_session_is_sent_once_unless_it_never_arrived(
    script_of: list[Any], idempotent: bool, capacity: float, timeout: float | None
) -> None:
    clock = FrozenClock()
    flow = script(
        a_runtime(clock, idempotent=idempotent, wait_for_capacity=capacity, timeout=timeout).call(
            OPENING_BODY
        )
    )
    replies = iter([*script_of, OK])
    arrived = 0
    while not flow.ended:
        effect = flow.effects[-1]
        if isinstance(effect, Send):
            reply = next(replies, OK)
            mended = isinstance(reply, sm.Response) and reply.status == 403
            arrived += not mended and not (
                isinstance(reply, sm.DispatchFailure) and reply.delivery == "not_sent"
            )
            flow.replies(reply)
        else:
            clock.now += effect.seconds if isinstance(effect, Sleep) else 0.0
            flow.replies(KEYS if isinstance(effect, GetCredentials) else None)
    assert arrived <= 1
