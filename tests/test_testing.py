"""The table of scenarios, and that its judge and its player find fault where there is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from smruntime_core import (
    DispatchFailure,
    InvokeEndpointOutput,
    RetryPolicy,
    ServiceError,
    ValidationError,
)
from smruntime_core.testing import (
    CONTRACT,
    ROWS,
    Answer,
    Failure,
    Refusal,
    Right,
    Scenario,
    Seen,
    differences,
    outcomes,
)
from smruntime_core.testing._server import WELL, first
from smruntime_local.hostile import check, play, stage

from .callers import CONTRACTED

TESTS = Path(__file__).parent
BY_NAME = {str(scenario): scenario for scenario in CONTRACT}
GOOD = Scenario(row="12", name="all is well", script=first(WELL))


def test_names_tell_scenarios_apart() -> None:
    assert len(BY_NAME) == len(CONTRACT)
    assert all(name.isprintable() for name in BY_NAME)


def test_every_row_is_proved() -> None:
    """By scenarios, or by tests that are there."""
    assert len({row.number for row in ROWS}) == len(ROWS)
    shown = {scenario.row for scenario in CONTRACT}
    for row in ROWS:
        assert bool(row.proved) != (row.number in shown), row
        for proof in row.proved:
            path, _, test = proof.partition("::")
            assert re.search(
                rf"^(async )?def {test}\(", (TESTS.parent / path).read_text("utf-8"), re.MULTILINE
            ), proof


def failure(
    kind: str = "reset", phase: str = "head", delivery: str = "maybe_sent"
) -> DispatchFailure:
    chosen: Any = {"kind": kind, "phase": phase, "delivery": delivery}
    return DispatchFailure("x", **chosen)


def refusal(message: str = "no", **more: Any) -> ServiceError:
    return ValidationError(message, **more)


NO = Refusal("ValidationError", 400)
WRONG: list[tuple[Right, object, str]] = [
    (Answer(b"a"), InvokeEndpointOutput(body=b"b"), "body should be b'a'"),
    (Answer(b"a", attributes="x"), InvokeEndpointOutput(body=b"a"), "attributes should be 'x'"),
    (Answer(b"a", attempts=("ok",)), InvokeEndpointOutput(body=b"a"), "attempts should be"),
    (Answer(), failure(), "expected Answer"),
    (Failure("reset"), InvokeEndpointOutput(body=b"b"), "expected Failure"),
    (Failure("closed|truncated"), failure(), "kind should be"),
    (Failure("reset", "send"), failure(), "phase should be 'send', is 'head'"),
    (Failure("reset", "head", "answered"), failure(), "delivery should be"),
    (Failure("reset", reused=True), failure(), "reused should be"),
    (NO, failure(), "expected Refusal"),
    (NO, refusal(status=401), "status should be 400"),
    (NO, refusal(truncated=True), "truncated should be False"),
    (NO.replace(type=ServiceError), refusal(), "type should be"),
    (NO.replace(message="yes"), refusal(), "message should be"),
    (NO.replace(members=(("a", 1),)), refusal(), "members should be"),
    (Failure("reset"), ConnectionResetError(), "none of ours"),
]


@pytest.mark.parametrize(("right", "outcome", "told"), WRONG)
def test_what_differs_is_told(right: Right, outcome: object, told: str) -> None:
    assert told in "".join(differences(GOOD.replace(right=(right,)), [outcome], Seen(1, 1, 0.0)))


def test_so_is_what_the_server_saw() -> None:
    scenario = GOOD.replace(connections=1, memory=10)
    answer = InvokeEndpointOutput(body=b"well")
    assert differences(scenario, [answer], Seen(1, 1, 0.1, 10)) == []
    for seen in (Seen(2, 1, 0.1), Seen(1, 2, 0.1), Seen(1, 1, 2.1), Seen(1, 1, 0.1, 11)):
        assert len(differences(scenario, [answer], seen)) == 1
    assert "expected 1 outcomes, found 0" in differences(scenario, [], Seen(1, 1, 0.1))


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
def test_a_transport_that_is_wrong_does_not_pass(name: str) -> None:
    """One that takes whatever comes for an answer, and makes connections of its own."""
    scenario = BY_NAME[name]

    def call(url: str, operations: Any, **_: object) -> list[object]:
        return [
            CONTRACTED["sockets"](url, [operation], retries=RetryPolicy(max_attempts=1))[0] and None
            for operation in operations
        ]

    with pytest.raises(AssertionError, match=re.escape(f"row {name}:")):
        check(scenario, call)


def test_memory_is_measured_where_it_is_bounded() -> None:
    def call(url: str, operations: Any, **_: object) -> list[object]:
        return [len(bytearray(50_000_000)) for _ in operations]

    assert play(GOOD, call)[1].peak is None
    _, seen = play(GOOD.replace(memory=1), call)
    assert seen.peak is not None
    assert seen.peak > 50_000_000


def test_the_player_leaves_when_the_scenario_is_over() -> None:
    with stage(BY_NAME["52 never"]) as server:
        threads = server._threads
    assert not any(thread.is_alive() for thread in threads)


def test_outcomes_are_what_is_returned_or_raised() -> None:
    assert outcomes(int, ["1", "2"]) == [1, 2]
    (error,) = outcomes(int, ["x"])
    assert isinstance(error, ValueError)


def test_the_page_of_faults_names_the_same() -> None:
    """What `make docs` wrote is about these rows and ways, and all of ours were right."""
    page = (TESTS.parent / "docs" / "faults.md").read_text("utf-8")
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines()}
    for row in ROWS:
        ways = [scenario.name for scenario in CONTRACT if scenario.row == row.number]
        told = lines[row.number]
        assert told.startswith(f"| {row.number} | {row.fault} | {row.right} | "), told
        if ways:
            assert told.split(" | ")[3 : 3 + len(CONTRACTED)] == [f"{len(ways)}/{len(ways)}"] * len(
                CONTRACTED
            ), told
            assert f"- {row.number}: {'; '.join(f'`{way}`' for way in ways)}" in lines
    assert f"all {len(CONTRACT)} scenarios" in page
