"""Every example runs, as a user would run it: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
SAYS = {
    "async_inference": "the other one failed: row 1 must have 4 measurements",
    "credentials": "the vault was asked\na flow, blocking: 100 calls",
    "demo": "a wrong secret refused          ok",
    "embed_in_your_sdk": "attempts: ['ServiceUnavailable', 'ok']",
    "stateful_session": "3 What do you know of me?\nAfter the block it is closed: ValidationError",
    "streaming": "-- TruncatedStream",
    "trio_fanout": "50 answers",
    "urllib3_pool": "24 answers",
    "your_own_transport": "fault 43 in a value: call 1: expected ExpectedFailure",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert SAYS.get(path.stem, "") in done.stdout
