"""Every example runs as a user would run it: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
EXPECTED_OUTPUT = {
    "async_inference": "the other one failed: row 1 must have 4 measurements",
    "credentials": "the vault was asked\na flow, blocking: 100 calls",
    "demo": "a wrong secret refused          ok",
    "embed_in_your_sdk": "attempts: ['ServiceUnavailable', 'ok']",
    "sockets": "from AllTraffic",
    "stateful_session": "3 What do you know of me?\nAfter the block it is closed: ValidationError",
    "streaming": "-- TruncatedStream",
    "trio_fanout": "50 answers",
    "urllib3_pool": "24 answers",
    "your_own_transport": "fault 43 in a value: call 1: expected ExpectedFailure",
}


def test_every_example_has_an_expected_output() -> None:
    assert {example.stem for example in EXAMPLES} == set(EXPECTED_OUTPUT)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example_runs_and_prints_what_it_shows(example: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-P", "-W", "error", str(example)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert EXPECTED_OUTPUT[example.stem] in completed.stdout
