"""What follows a failure: signing again, other credentials, a new connection, waiting, retries."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_core as sm
from smruntime_core.credentials import ANONYMOUS
from smruntime_core.effects import GetCredentials, Send, Sleep
from smruntime_core.testing import FrozenClock, ScriptedIO, script
from smruntime_core.values._dates import format_timestamp

CREDENTIALS = sm.Credentials("AKID", "secret")
OTHER_CREDENTIALS = sm.Credentials("AKID2", "secret2")
OPERATION = sm.InvokeEndpoint(endpoint_name="churn", body=b"1,2,3")
OPENING = sm.InvokeEndpoint(endpoint_name="churn", body=b"", session_id="NEW_SESSION")
OK = sm.Response(200, (), b"0.5")
GET = GetCredentials()


def format_http_date(seconds: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


def make_runtime(clock: FrozenClock | None = None, **options: Any) -> sm.Runtime:
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
def test_wrong_clock_is_corrected_for_all_later_calls(code: str, off: float) -> None:
    clock = FrozenClock()
    runtime = make_runtime(clock)
    flow = script(runtime.call(OPERATION)).expects(GET).replies(CREDENTIALS)
    assert signed_at(flow) == format_timestamp(clock.now)
    flow.replies(refused(code, ("Date", format_http_date(clock.now + off)))).expects(GET).replies(
        CREDENTIALS
    )
    assert signed_at(flow) == format_timestamp(clock.now + off)
    output = flow.replies(OK).returns()
    assert [attempt.outcome for attempt in output.metadata.attempts] == [code, "ok"]
    assert signed_at(script(runtime.call(OPERATION)).replies(CREDENTIALS)) == format_timestamp(
        clock.now + off
    )
    assert runtime.tokens.tokens == 500, "correcting the clock is free"


@pytest.mark.parametrize("off", [990.0, -990.0])
def test_wrong_clock_is_repaired_for_calls_at_the_same_time(off: float) -> None:
    clock = FrozenClock()
    runtime = make_runtime(clock)
    refusal = refused("InvalidSignatureException", ("Date", format_http_date(clock.now + off)))
    flows = [script(runtime.call(OPERATION)).replies(CREDENTIALS) for _ in range(3)]
    for flow in flows:
        flow.replies(refusal).expects(GET).replies(CREDENTIALS)
        assert signed_at(flow) == format_timestamp(clock.now + off)
        assert flow.replies(OK).returns().body == b"0.5"


def test_clock_is_corrected_by_the_middle_of_sending_and_receiving() -> None:
    clock = FrozenClock()
    runtime = make_runtime(clock)
    flow = script(runtime.call(OPERATION)).replies(CREDENTIALS)
    date = clock.now + 1000
    clock.now += 20
    flow.replies(refused("RequestTimeTooSkewed", ("date", format_http_date(date)))).expects(GET)
    assert runtime.skew.seconds == pytest.approx(990, abs=1)


@pytest.mark.parametrize(
    ("headers", "took"),
    [
        ((), 0.0),
        ((("Date", "yesterday"),), 0.0),
        ((("Date", format_http_date(1.8e9 + 200)),), 0.0),
        ((("Date", format_http_date(1.8e9 + 6000)), ("Age", "1")), 0.0),
        ((("Date", format_http_date(1.8e9 + 6000)),), 901.0),
    ],
)
def test_clock_is_not_corrected_without_a_believable_date(
    headers: tuple[tuple[str, str], ...], took: float
) -> None:
    clock = FrozenClock()
    flow = script(make_runtime(clock).call(OPERATION)).replies(CREDENTIALS)
    clock.now += took
    flow.replies(refused("InvalidSignatureException", *headers)).raises(sm.ServiceError)


@pytest.mark.parametrize("minutes", [6, 10, 14, 20])
def test_wait_after_signing_is_not_taken_for_a_wrong_clock(minutes: int) -> None:
    """The `Date` of the refusal is inside the exchange, so the clock is right: sign again."""
    clock = FrozenClock()
    runtime = make_runtime(clock)
    flow = script(runtime.call(OPERATION)).replies(CREDENTIALS)
    clock.now += minutes * 60
    expired = refused("InvalidSignatureException", ("Date", format_http_date(clock.now)))
    flow.replies(expired).expects(GET).replies(CREDENTIALS)
    assert signed_at(flow) == format_timestamp(clock.now)
    flow.replies(OK).returns()
    assert runtime.skew.seconds == 0
    assert signed_at(script(runtime.call(OPERATION)).replies(CREDENTIALS)) == format_timestamp(
        clock.now
    )
    assert runtime.tokens.tokens == 500, "signing again is free"


def test_request_that_waited_is_signed_again_once_a_call() -> None:
    clock = FrozenClock()
    flow = script(make_runtime(clock).call(OPERATION)).replies(CREDENTIALS)
    for _ in range(2):
        clock.now += 600
        flow.replies(refused("InvalidSignatureException", ("Date", format_http_date(clock.now))))
        if not flow.ended:
            flow.replies(CREDENTIALS)
    assert len(flow.raises(sm.ServiceError).metadata.attempts) == 2


def test_wait_after_signing_keeps_an_earlier_correction() -> None:
    clock = FrozenClock()
    runtime = make_runtime(clock)
    runtime.skew.seconds = 3600.0
    flow = script(runtime.call(OPERATION)).replies(CREDENTIALS)
    clock.now += 600
    expired = refused("InvalidSignatureException", ("Date", format_http_date(clock.now + 3600)))
    flow.replies(expired).expects(GET).replies(CREDENTIALS)
    assert signed_at(flow) == format_timestamp(clock.now + 3600)
    assert runtime.skew.seconds == 3600.0


def test_absurd_date_is_not_learned() -> None:
    runtime = make_runtime()
    flow = script(runtime.call(OPERATION)).replies(CREDENTIALS)
    flow.replies(refused("RequestExpired", ("Date", "Fri, 31 Dec 2099 23:59:59 GMT")))
    flow.raises(sm.ServiceError)
    assert runtime.skew.seconds == 0


def test_clock_is_not_learned_from_the_refusal_of_an_unsigned_request() -> None:
    clock = FrozenClock()
    runtime = make_runtime(clock)
    late = refused("RequestTimeTooSkewed", ("Date", format_http_date(clock.now + 3600)))
    script(runtime.call(OPERATION)).replies(ANONYMOUS).replies(late).raises(sm.ServiceError)
    assert runtime.skew.seconds == 0.0, "an unsigned request proves nothing about the clock"


def test_signature_is_renewed_when_a_connection_is_available() -> None:
    clock = FrozenClock()
    flow = script(make_runtime(clock, timeout=900.0).call(OPERATION)).replies(CREDENTIALS)
    effect = flow.effects[-1]
    assert isinstance(effect, Send)
    assert effect.renew is not None
    clock.now += 0.9
    assert effect.renew() is effect.request, "a signature has whole seconds"
    clock.now += 600
    renewed = effect.renew()
    before, after = dict(effect.request.headers), dict(renewed.headers)
    assert after["x-amz-date"] == format_timestamp(clock.now)
    assert after["amz-sdk-invocation-id"] == before["amz-sdk-invocation-id"]
    assert after["amz-sdk-request"] == before["amz-sdk-request"], "the deadline has not moved"
    assert renewed.body is effect.request.body
    known, scope = {"AKID": CREDENTIALS}, sm.Scope("eu-west-1", "sagemaker")
    host = renewed.url.split("/")[2]
    arrived = renewed.replace(headers=(("Host", host), *renewed.headers))
    assert sm.verify(arrived, known, scope, now=clock.now) is CREDENTIALS
    date = format_http_date(clock.now)
    flow.replies(refused("InvalidSignatureException", ("Date", date))).raises(sm.ServiceError)


MODEL_ERROR = (
    b'{"Message":"Received server error (%d) from primary with message \\"no worker\\". '
    b'See https://logs in account 1 for more."}'
)


def model_error(status: int) -> sm.Response:
    return sm.Response(424, (("x-amzn-errortype", "ModelError"),), MODEL_ERROR % status)


@pytest.mark.parametrize("status", [0, 429, 502, 503, 504])
def test_error_of_an_unavailable_container_is_retried_if_the_model_may_run_twice(
    status: int,
) -> None:
    flow = script(make_runtime(idempotent=True).call(OPERATION)).replies(CREDENTIALS)
    flow.replies(model_error(status)).expects(Sleep).replies(None).replies(CREDENTIALS)
    assert flow.replies(OK).returns().body == b"0.5"
    once = script(make_runtime().call(OPERATION)).replies(CREDENTIALS).replies(model_error(status))
    assert len(once.raises(sm.ModelError).metadata.attempts) == 1
    standard = make_runtime(retries=sm.RetryPolicy.aws_standard())
    flow = script(standard.call(OPERATION)).replies(CREDENTIALS).replies(model_error(status))
    flow.raises(sm.ModelError)


@pytest.mark.parametrize("status", [400, 404, 413, 500, 501])
def test_error_of_the_model_itself_is_not_retried(status: int) -> None:
    flow = script(make_runtime(idempotent=True).call(OPERATION)).replies(CREDENTIALS)
    assert flow.replies(model_error(status)).raises(sm.ModelError).original_status_code == status


def test_request_that_opens_a_session_is_not_repeated_after_a_model_error() -> None:
    flow = script(make_runtime(idempotent=True).call(OPENING)).replies(CREDENTIALS)
    flow.replies(model_error(503)).raises(sm.ModelError)


def test_clock_is_corrected_once_a_call() -> None:
    flow = script(make_runtime().call(OPERATION)).replies(CREDENTIALS)
    flow.replies(refused("RequestTimeTooSkewed", ("Date", format_http_date(1.8e9 + 600)))).replies(
        CREDENTIALS
    )
    error = flow.replies(
        refused("RequestTimeTooSkewed", ("Date", format_http_date(1.8e9 - 600)))
    ).raises(sm.ServiceError)
    assert len(error.metadata.attempts) == 2


def test_expired_credentials_are_replaced_once() -> None:
    expired = refused("ExpiredTokenException")
    flow = script(make_runtime().call(OPERATION)).expects(GET).replies(CREDENTIALS).replies(expired)
    flow.expects(GetCredentials(rejected=CREDENTIALS)).replies(OTHER_CREDENTIALS)
    effect = flow.effects[-1]
    assert isinstance(effect, Send)
    assert "Credential=AKID2/" in dict(effect.request.headers)["authorization"]
    flow.replies(expired).raises(sm.ServiceError)


def test_same_credentials_are_not_tried_again() -> None:
    flow = (
        script(make_runtime().call(OPERATION)).replies(CREDENTIALS).replies(refused("ExpiredToken"))
    )
    error = (
        flow.expects(GetCredentials(rejected=CREDENTIALS))
        .replies(CREDENTIALS)
        .raises(sm.ServiceError)
    )
    assert len(error.metadata.attempts) == 1
    assert "new credentials" in str(error)


def closed_while_idle(silence: float | None) -> sm.DispatchFailure:
    failure = sm.DispatchFailure(
        "x", kind="closed", phase="head", delivery="maybe_sent", reused=True, bytes_sent=9
    )
    failure.silence = silence
    return failure


def test_kept_connection_that_closes_late_is_not_replaced() -> None:
    flow = (
        script(make_runtime().call(OPERATION)).replies(CREDENTIALS).replies(closed_while_idle(0.9))
    )
    flow.expects(GET).replies(CREDENTIALS)
    effect = flow.effects[-1]
    assert isinstance(effect, Send)
    assert effect.fresh
    script(make_runtime().call(OPERATION)).replies(CREDENTIALS).replies(
        closed_while_idle(1.1)
    ).raises(sm.DispatchFailure)
    clock = FrozenClock()
    slow = script(make_runtime(clock).call(OPERATION)).replies(CREDENTIALS)
    clock.now += 1.5
    slow.replies(closed_while_idle(None)).raises(sm.DispatchFailure)


NO_CAPACITY = refused(
    "ValidationError",
    status=400,
    message="Inference component ic has no capacity to serve requests",
)
NOT_READY = refused("ModelNotReadyException", status=429)


@pytest.mark.parametrize("answer", [NO_CAPACITY, NOT_READY])
def test_starting_model_is_waited_for(answer: sm.Response) -> None:
    clock = FrozenClock()
    runtime = make_runtime(clock, wait_for_capacity=120)
    flow = script(runtime.call(OPERATION))
    waits: list[float] = []
    for _ in range(9):
        flow.expects(GET).replies(CREDENTIALS).expects(Send).replies(answer)
        effect = flow.effects[-1]
        assert isinstance(effect, Sleep)
        waits.append(effect.seconds)
        clock.now += effect.seconds
        flow.replies(None)
    output = flow.expects(GET).replies(CREDENTIALS).replies(OK).returns()
    assert waits == sorted(waits)
    assert max(waits) <= 15
    assert runtime.tokens.tokens == 500, "waiting costs nothing"
    assert [attempt.waited for attempt in output.metadata.attempts] == [0.0, *waits]


def test_waiting_for_capacity_ends_after_its_limit() -> None:
    clock = FrozenClock()
    flow = script(make_runtime(clock, wait_for_capacity=20).call(OPERATION))
    while not flow.ended:
        effect = flow.replies(CREDENTIALS).replies(NO_CAPACITY).effects[-1]
        if isinstance(effect, Sleep):
            clock.now += effect.seconds
            flow.replies(None)
    error = flow.raises(sm.ValidationError)
    assert sum(attempt.waited for attempt in error.metadata.attempts) == pytest.approx(20, abs=2)
    assert "wait_for_capacity" in str(error)
    script(make_runtime().call(OPERATION)).replies(CREDENTIALS).replies(NO_CAPACITY).raises(
        sm.ValidationError
    )


failures = st.sampled_from(
    [
        sm.Response(503),
        NOT_READY,
        refused("RequestTimeTooSkewed", ("Date", format_http_date(1.8e9 + 999))),
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
def test_request_that_opens_a_session_is_sent_once_unless_it_never_arrived(
    script_of: list[Any], idempotent: bool, capacity: float, timeout: float | None
) -> None:
    clock = FrozenClock()
    flow = script(
        make_runtime(
            clock, idempotent=idempotent, wait_for_capacity=capacity, timeout=timeout
        ).call(OPENING)
    )
    replies = iter([*script_of, OK])
    arrived = 0
    while not flow.ended:
        effect = flow.effects[-1]
        if isinstance(effect, Send):
            reply = next(replies, OK)
            repaired = isinstance(reply, sm.Response) and reply.status == 403
            arrived += not repaired and not (
                isinstance(reply, sm.DispatchFailure) and reply.delivery == "not_sent"
            )
            flow.replies(reply)
        else:
            clock.now += effect.seconds if isinstance(effect, Sleep) else 0.0
            flow.replies(CREDENTIALS if isinstance(effect, GetCredentials) else None)
    assert arrived <= 1
