"""A failed call names the setting that limits it, whatever the IO; other failures name none."""

from __future__ import annotations

from typing import Any, get_args

import pytest

import smruntime_core as sm
from smruntime_core.effects import GetCredentials, Send
from smruntime_core.errors import Phase

TIMEOUTS = sm.Timeouts(connect=1.0, response=2.0, idle=3.0, pool=4.0)
SETTINGS: dict[Phase, str] = {
    "pool": "pool=4",
    "resolve": "connect=1",
    "connect": "connect=1",
    "proxy": "connect=1",
    "tls": "connect=1",
    "send": "idle=3",
    "head": "response=2",
    "body": "idle=3",
}


class StoppedIO:
    """An IO that fails with `failure`, at which moment `clock` says what time it is."""

    def __init__(self, failure: sm.DispatchFailure, seconds: float = 0.0) -> None:
        self.now = 0.0
        self._failure = failure
        self._seconds = seconds

    def time(self) -> float:
        return 1.8e9 + self.now

    def monotonic(self) -> float:
        return self.now

    def credentials(self, effect: GetCredentials) -> sm.Credentials:
        return sm.Credentials("AKID", "secret")

    def send(self, effect: Send) -> sm.Response:
        self.now += self._seconds
        raise self._failure


def failure_of(phase: Phase, kind: Any, io_seconds: float = 0.0, **options: Any) -> Any:
    failure = sm.DispatchFailure("late", kind=kind, phase=phase, delivery="maybe_sent")
    io = StoppedIO(failure, io_seconds)
    config = sm.Config(region="eu-west-1", timeouts=options.pop("timeouts", TIMEOUTS))
    runtime = sm.Runtime(
        config, clock=io, random=lambda: 0.5, retries=sm.RetryPolicy(max_attempts=1)
    )
    operation = sm.InvokeEndpoint(endpoint_name="e", body=b"")
    with pytest.raises(sm.DispatchFailure) as raised:
        sm.run(runtime.with_options(**options).call(operation), io)
    return raised.value


def test_every_phase_has_a_setting() -> None:
    assert set(SETTINGS) == set(get_args(Phase))


@pytest.mark.parametrize("phase", SETTINGS)
def test_timeout_names_the_setting_of_its_phase_with_its_value(phase: Phase) -> None:
    failure = failure_of(phase, "timeout")
    assert failure.hint == f"the setting is Timeouts({SETTINGS[phase]})"
    assert str(failure).endswith(failure.hint)


def test_timeout_names_the_value_that_the_call_has_changed() -> None:
    io = StoppedIO(sm.DispatchFailure("late", kind="timeout", phase="head", delivery="maybe_sent"))
    runtime = sm.Runtime(
        sm.Config(region="eu-west-1", timeouts=TIMEOUTS), clock=io, random=lambda: 0.5
    ).with_options(timeouts=sm.Timeouts(response=0.2))
    with pytest.raises(sm.DispatchFailure) as raised:
        sm.run(runtime.call(sm.InvokeEndpoint("e", body=b"")), io)
    assert raised.value.hint == "the setting is Timeouts(response=0.2)"


def test_timeout_at_the_end_of_the_call_names_the_limit_of_the_call() -> None:
    failure = failure_of("head", "timeout", 5.0, timeout=5.0)
    assert failure.hint == "the setting is timeout=5, or Timeouts(total=5)"
    timeouts = TIMEOUTS.replace(total=5.0)
    assert failure_of("head", "timeout", 5.0, timeouts=timeouts).hint == failure.hint


def test_timeout_of_an_io_without_such_a_limit_names_no_setting() -> None:
    assert failure_of("head", "timeout", timeouts=sm.Timeouts(response=None)).hint is None


@pytest.mark.parametrize(
    ("phase", "hint"), [("proxy", "check proxy="), ("connect", "check endpoint_url= and region=")]
)
def test_refused_connection_names_what_to_check(phase: Phase, hint: str) -> None:
    assert failure_of(phase, "refused").hint == hint


def test_other_failures_get_no_hint() -> None:
    assert failure_of("head", "reset").hint is None
