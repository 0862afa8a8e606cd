"""The contract's table is complete, and its check and its server detect wrong transports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from smruntime_core import (
    DispatchFailure,
    InvokeEndpointOutput,
    ResponseError,
    RetryPolicy,
    ServiceError,
    SmRuntimeError,
    ValidationError,
)
from smruntime_core.effects import Flow, Sleep
from smruntime_core.testing import (
    CONTRACT,
    FAULTS,
    Expectation,
    ExpectedError,
    ExpectedFailure,
    ExpectedOutput,
    ExpectedStream,
    Observation,
    Scenario,
    StreamedCall,
    StreamOutcome,
    find_differences,
    outcomes,
    script,
)
from smruntime_core.testing._server_script import HEALTHY_RESPONSE, respond
from smruntime_local.hostile import check, play, serve_scenario

from .callers import CONTRACTED

ROOT = Path(__file__).parents[1]
SCENARIOS = {str(scenario): scenario for scenario in CONTRACT}
HEALTHY = Scenario(fault="12", name="a healthy server", script=respond(HEALTHY_RESPONSE))


def test_scenario_names_are_unique_and_printable() -> None:
    assert len(SCENARIOS) == len(CONTRACT)
    assert all(name.isprintable() for name in SCENARIOS)


def test_each_fault_is_proved_by_scenarios_or_by_existing_tests() -> None:
    assert len({fault.number for fault in FAULTS}) == len(FAULTS)
    with_scenarios = {scenario.fault for scenario in CONTRACT}
    for fault in FAULTS:
        assert bool(fault.tests) != (fault.number in with_scenarios), fault
        for test in fault.tests:
            path, _, function = test.partition("::")
            source = (ROOT / path).read_text("utf-8")
            assert re.search(rf"^(async )?def {function}\(", source, re.MULTILINE), test


def dispatch_failure(phase: str = "head") -> DispatchFailure:
    details: Any = {"kind": "reset", "phase": phase, "delivery": "maybe_sent"}
    return DispatchFailure("x", **details)


def service_error(**details: Any) -> ServiceError:
    return ValidationError("no", **details)


OUTPUT = InvokeEndpointOutput(body=b"a")
EXPECTED_ERROR = ExpectedError("ValidationError", 400)
DIFFERENT: list[tuple[Expectation, object, str]] = [
    (ExpectedOutput(b"b"), OUTPUT, "body should be b'b'"),
    (ExpectedOutput(b"a", custom_attributes="x"), OUTPUT, "custom_attributes should be 'x'"),
    (ExpectedOutput(b"a", attempts=("ok",)), OUTPUT, "attempts should be"),
    (ExpectedOutput(), dispatch_failure(), "expected ExpectedOutput"),
    (ExpectedFailure("reset"), OUTPUT, "expected ExpectedFailure"),
    (ExpectedFailure("closed|truncated"), dispatch_failure(), "kind should be"),
    (ExpectedFailure("reset", "send"), dispatch_failure(), "phase should be 'send', is 'head'"),
    (ExpectedFailure("reset", "head", "answered"), dispatch_failure(), "delivery should be"),
    (ExpectedFailure("reset", reused=True), dispatch_failure(), "reused should be"),
    (EXPECTED_ERROR, dispatch_failure(), "expected ExpectedError"),
    (EXPECTED_ERROR, service_error(status=401), "status should be 400"),
    (EXPECTED_ERROR, service_error(truncated=True), "truncated should be False"),
    (EXPECTED_ERROR.replace(error_type=ServiceError), service_error(), "error_type should be"),
    (EXPECTED_ERROR.replace(message="yes"), service_error(), "message should be"),
    (EXPECTED_ERROR.replace(members=(("a", 1),)), service_error(), "members should be"),
    (ExpectedFailure("reset"), ConnectionResetError(), "an error that is no SmRuntimeError"),
    (ExpectedStream(1), OUTPUT, "expected ExpectedStream"),
    (ExpectedOutput(), StreamOutcome(1), "expected ExpectedOutput"),
    (ExpectedStream(2), StreamOutcome(1), "items should be 2 or more, are 1"),
    (ExpectedStream(1), StreamOutcome(1, dispatch_failure()), "expected no error, found"),
    (ExpectedStream(1, ExpectedFailure("reset")), StreamOutcome(1), "expected ExpectedFailure"),
    (
        ExpectedStream(1, ExpectedFailure("reset", "body")),
        StreamOutcome(1, dispatch_failure()),
        "phase should be 'body'",
    ),
]


@pytest.mark.parametrize(("expected", "outcome", "message"), DIFFERENT)
def test_different_outcome_is_described(
    expected: Expectation, outcome: object, message: str
) -> None:
    scenario = HEALTHY.replace(expected=(expected,))
    differences = find_differences(scenario, [outcome], Observation(1, 1, 0.0))
    assert message in "".join(differences)


def test_different_observation_is_described() -> None:
    scenario = HEALTHY.replace(connections=1, memory_limit=10)
    output = InvokeEndpointOutput(body=b"well")
    assert find_differences(scenario, [output], Observation(1, 1, 0.1, 10)) == []
    for observation in (
        Observation(2, 1, 0.1),
        Observation(1, 2, 0.1),
        Observation(1, 1, 2.1),
        Observation(1, 1, 0.1, 11),
    ):
        assert len(find_differences(scenario, [output], observation)) == 1
    missing = find_differences(scenario, [], Observation(1, 1, 0.1))
    assert "expected 1 outcomes, found 0" in missing


@pytest.mark.parametrize(
    "name",
    [
        "13 FIN",
        "14 RST",
        "31 two, different",
        "60 the body unread",
        "74 200 MB",
        "80 ten minutes ahead",
    ],
)
def test_wrong_transport_fails_the_contract(name: str) -> None:
    """Check a transport that opens a client for each call and returns None for an output."""
    send = CONTRACTED["sockets"]

    def call(url: str, operations: Any, **_: object) -> list[object]:
        once = RetryPolicy(max_attempts=1)
        return [send(url, [operation], retries=once)[0] and None for operation in operations]

    with pytest.raises(AssertionError, match=re.escape(f"fault {name}:")):
        check(SCENARIOS[name], call)


def test_memory_is_measured_only_if_the_scenario_limits_it() -> None:
    def call(url: str, operations: Any, **_: object) -> list[object]:
        return [len(bytearray(50_000_000)) for _ in operations]

    assert play(HEALTHY, call)[1].peak_memory is None
    _, observation = play(HEALTHY.replace(memory_limit=1), call)
    assert observation.peak_memory is not None
    assert observation.peak_memory > 50_000_000


def test_server_threads_end_with_the_scenario() -> None:
    with serve_scenario(SCENARIOS["52 never"]) as server:
        threads = server._threads
    assert not any(thread.is_alive() for thread in threads)


def test_outcomes_are_results_or_exceptions() -> None:
    assert outcomes(int, ["1", "2"]) == [1, 2]
    (error,) = outcomes(int, ["x"])
    assert isinstance(error, ValueError)


def test_streamed_call_needs_a_client_that_streams() -> None:
    (error,) = outcomes(int, [StreamedCall()])
    assert isinstance(error, TypeError)
    assert "pass stream=" in str(error)
    streamed = [scenario.name for scenario in CONTRACT if scenario.is_streamed]
    assert "of empty arrays, until timeouts.total" in streamed
    assert "FIN" not in streamed


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("24 left after the first part", "expected 2 connections"),
        ("80 a refusal of an unsigned request", "expected ExpectedError"),
    ],
)
def test_new_kinds_of_scenario_can_fail(name: str, wrong: str) -> None:
    """A client that reads a stream to its end, and one that signs an anonymous request."""
    send = CONTRACTED["sockets"]

    def call(url: str, operations: Any, **settings: Any) -> list[object]:
        settings.pop("anonymous", None)
        return send(
            url,
            [
                operation.replace(leave_after=None)
                if isinstance(operation, StreamedCall)
                else operation
                for operation in operations
            ],
            **settings,
        )

    with pytest.raises(AssertionError, match=wrong):
        check(SCENARIOS[name], call)


def test_faults_page_lists_the_same_faults_and_scenarios() -> None:
    """Compare `docs/faults.md` (`make fault-table`) with the table; ours must have passed."""
    page = (ROOT / "docs" / "faults.md").read_text("utf-8")
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines()}
    for fault in FAULTS:
        names = [scenario.name for scenario in CONTRACT if scenario.fault == fault.number]
        line = lines[fault.number]
        start = f"| {fault.number} | {fault.description} | {fault.correct_behaviour} | "
        assert line.startswith(start), f"run `make fault-table`: {line}"
        if names:
            passed = [f"{len(names)}/{len(names)}"] * len(CONTRACTED)
            assert line.split(" | ")[3 : 3 + len(CONTRACTED)] == passed, line
            assert f"- {fault.number}: {'; '.join(f'`{name}`' for name in names)}" in lines
    assert f"all {len(CONTRACT)} scenarios" in " ".join(page.split())


def pause(seconds: float) -> Flow[str]:
    """Sleep, and return the reply or raise it."""
    reply = yield Sleep(seconds)
    if isinstance(reply, SmRuntimeError):
        raise reply
    return str(reply)


def test_scripted_flow_tells_what_it_did_instead() -> None:
    waiting = script(pause(2.0))
    with pytest.raises(AssertionError, match=r"expected Sleep\(seconds=3.0\).*yielded"):
        waiting.expects(Sleep(3.0))
    with pytest.raises(AssertionError, match=r"has not returned: it yielded Sleep"):
        waiting.returns()
    with pytest.raises(AssertionError, match="has not raised SmRuntimeError: it yielded"):
        waiting.raises(SmRuntimeError)
    assert waiting.expects(Sleep).replies("done").returns() == "done"
    with pytest.raises(AssertionError, match="the flow returned 'done'"):
        waiting.expects(Sleep)
    with pytest.raises(AssertionError, match="the flow returned 'done'"):
        waiting.replies(None)
    failed = script(pause(2.0)).replies(ResponseError("broken"))
    assert str(failed.raises(ResponseError)) == "broken"
    with pytest.raises(AssertionError, match=r"expected .*the flow raised ResponseError"):
        failed.expects(Sleep)
