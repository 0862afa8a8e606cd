"""The flow of a call, driven by hand: what is sent again, what never is, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_core as sm
from smruntime_core.effects import Effect, GetCredentials, Send, Sleep

CREDENTIALS = sm.Credentials("AKID", "secret", "token")
OPERATION = sm.InvokeEndpoint(endpoint_name="churn", body=b"1,2,3", accept="text/csv")
OK = sm.Response(200, (("x-amzn-requestid", "r"),), b"0.5")


class ManualClock:
    """A clock whose two readings move together, by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now - 1_600_000_000.0


def failure(delivery: str = "maybe_sent", kind: str = "timeout", **more: Any) -> sm.DispatchFailure:
    return sm.DispatchFailure(
        "x", kind=cast("Any", kind), phase="head", delivery=cast("Any", delivery), **more
    )


KEPT: dict[str, Any] = {"kind": "reset", "reused": True}


def make_runtime(
    total: float | None = None, random: float = 0.5, **policy: Any
) -> tuple[sm.Runtime, ManualClock]:
    clock = ManualClock()
    config = sm.Config(region="eu-west-1", timeouts=sm.Timeouts(total=total))
    return sm.Runtime(
        config, clock=clock, random=lambda: random, retries=sm.RetryPolicy(**policy)
    ), clock


class Played:
    """A flow whose sends are answered from a script; its last reply repeats.

    Each reply takes `seconds`.
    """

    def __init__(
        self,
        runtime: sm.Runtime,
        clock: ManualClock,
        script: Sequence[object],
        seconds: float = 0.0,
    ) -> None:
        self.effects: list[Effect[Any]] = []
        self.result: sm.InvokeEndpointOutput | None = None
        self.error: sm.SmRuntimeError | None = None
        flow, reply, sent = runtime.call(OPERATION), cast("object", None), 0
        try:
            while True:
                effect = flow.send(reply)
                self.effects.append(effect)
                reply = CREDENTIALS if isinstance(effect, GetCredentials) else None
                if isinstance(effect, Sleep):
                    clock.now += effect.seconds
                if isinstance(effect, Send):
                    clock.now += seconds if effect.timeout is None else min(seconds, effect.timeout)
                    reply = script[min(sent, len(script) - 1)]
                    sent += 1
        except StopIteration as end:
            self.result = end.value
        except sm.SmRuntimeError as error:
            self.error = error
        self.sends = [effect for effect in self.effects if isinstance(effect, Send)]
        self.sleeps = [effect.seconds for effect in self.effects if isinstance(effect, Sleep)]
        self.attempts = (self.result or self.error or OK).metadata.attempts  # type: ignore[union-attr]  # one of them is there


def play(*script: object, **policy: Any) -> Played:
    return Played(*make_runtime(**policy), script)


def test_call_is_signed_and_sent_whole() -> None:
    done = play(OK)
    assert [type(effect) for effect in done.effects] == [GetCredentials, Send]
    request = done.sends[0].request
    assert (
        request.url
        == "https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/churn/invocations"
    )
    received = request.replace(
        headers=(*request.headers, ("host", "runtime.sagemaker.eu-west-1.amazonaws.com"))
    )
    assert (
        sm.verify(received, {"AKID": CREDENTIALS}, sm.Scope("eu-west-1", "sagemaker"), now=1.7e9)
        is CREDENTIALS
    )
    assert done.result == sm.InvokeEndpointOutput(body=b"0.5")
    assert done.attempts == (sm.Attempt("ok", 0.0, 0.0, 200, "r"),)


RETRIED = [
    *map(sm.Response, (429, 500, 502, 503, 504)),
    failure("not_sent", "refused"),
    failure("not_sent", "timeout"),
]
CODE = (("x-amzn-errortype", "ThrottlingException"),)


@pytest.mark.parametrize("reply", [*RETRIED, sm.Response(400, CODE)], ids=repr)
def test_retryable_failure_is_tried_again(reply: object) -> None:
    done = play(reply, OK)
    assert done.result is not None and len(done.sends) == 2 and len(done.sleeps) == 1
    assert done.attempts[1] == sm.Attempt("ok", 0.0, done.sleeps[0], 200, "r")
    assert len(play(reply, max_attempts=5).attempts) == 5


NOT_RETRIED = [
    failure(),
    failure(kind="reset"),
    failure(kind="closed"),
    failure("answered", "truncated"),
    failure("not_sent", "tls"),
    failure("answered", "reset", reused=True, bytes_received=1),
    failure(kind="timeout", reused=True),
    *map(sm.Response, (301, 400, 403, 404, 424, 530)),
    sm.Response(200, truncated=True),
]


@pytest.mark.parametrize("reply", NOT_RETRIED, ids=repr)
def test_other_failure_is_raised_at_once(reply: object) -> None:
    done = play(reply, OK)
    assert done.error is not None and len(done.sends) == len(done.attempts) == 1 and not done.sleeps


def test_kept_connection_that_closed_is_replaced_once_for_free() -> None:
    done = play(failure(**KEPT), OK, max_attempts=1)
    assert [effect.fresh for effect in done.sends] == [False, True]
    assert done.result is not None and not done.sleeps
    assert [attempt.outcome for attempt in done.attempts] == ["reset", "ok"]
    assert len(play(failure(**KEPT), max_attempts=9).sends) == 2


def test_attempts_are_listed_in_order() -> None:
    done = play(
        sm.Response(503, (("x-amzn-requestid", "a"),)),
        failure("not_sent", "refused"),
        sm.Response(424),
        random=1.0,
    )
    assert [(a.outcome, a.waited, a.status, a.request_id) for a in done.attempts] == [
        ("503", 0.0, 503, "a"), ("refused", 0.05, None, None), ("424", 0.1, 424, None),
    ]  # fmt: skip


@pytest.mark.parametrize("seconds", [0.0, 0.4, 3.0])
def test_no_pause_exceeds_the_total(seconds: float) -> None:
    runtime, clock = make_runtime(total=2.0, random=1.0, max_attempts=100)
    begun = clock.now
    done = Played(runtime, clock, [sm.Response(503)], seconds)
    assert done.error is not None and clock.now <= begun + 2.0
    limits = [
        effect.timeout for effect in done.effects if isinstance(effect, (Send, GetCredentials))
    ]
    assert all(limit is not None and 0 < limit <= 2 for limit in limits)


def test_credentials_error_ends_the_call() -> None:
    flow = make_runtime()[0].call(OPERATION)
    next(flow)
    with pytest.raises(sm.CredentialsError):
        flow.send(sm.CredentialsError("none"))


dispatch = st.builds(
    failure,
    st.sampled_from(("not_sent", "maybe_sent", "answered")),
    st.sampled_from(
        ("refused", "timeout", "reset", "closed", "tls", "protocol", "too_large", "truncated")
    ),
    reused=st.booleans(),
    bytes_received=st.integers(0, 1),
)
replies = st.lists(
    st.sampled_from((200, 400, 424, 429, 500, 503)).map(sm.Response) | dispatch,
    min_size=1,
    max_size=8,
)


@given(
    st.lists(replies, min_size=1, max_size=5),
    st.integers(1, 6),
    st.none() | st.floats(0.01, 9),
    st.floats(0, 1, exclude_max=True),
)
def test_every_call_ends_within_its_attempts(
    scripts: list[list[object]], most: int, total: float | None, draw: float
) -> None:
    runtime, clock = make_runtime(total, draw, max_attempts=most)
    for script in scripts:
        done = Played(runtime, clock, script, 0.01)
        assert (done.result is None) != (done.error is None)
        free = any(effect.fresh for effect in done.sends)
        assert 1 <= len(done.sends) == len(done.attempts) <= most + free
        assert len(done.sleeps) <= most - 1
        assert 0 <= runtime.tokens.tokens <= 500
