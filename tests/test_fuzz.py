"""A short run of each target of `fuzz/`, and runs that must find a seeded fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
CASES = {
    "http1": 100_000,
    "event_stream": 20_000,
    "streamed_answer": 20_000,
    "payload": 20_000,
    "local": 3_000,
    "auth": 5_000,
}
WITHOUT_A_ROW = (
    "import http1; http1.TABLE = tuple(row for row in http1.TABLE if row.name != 'a folded line')"
)
ROW_TOO_MANY = """import http1, disagreements; http1.FULL = 3000
http1.TABLE += (disagreements.Row('the moon', b'moon', ''),)"""
OURS_SLACK = "from smruntime_core.http1 import Exchange; Exchange.reusable = lambda self: True"
OURS_TRUSTS_HOST = (
    "from smruntime_core.signing import _verify; _verify._check_host = lambda *a: None"
)
OURS_SIGNS_ELSEWHERE = (
    "from smruntime_transports.auth import Signer; Signer._is_signable = lambda *a: True"
)
OURS_LEAKS = "import decoders; decoders.parse = lambda *files: [][0]"


def fuzz(*arguments: str, first: str = "") -> subprocess.CompletedProcess[str]:
    folder = str(FUZZ)
    setup = f"import runpy, sys; sys.path.insert(0, {folder!r}); {first}"
    code = f"{setup}\nrunpy.run_path({folder!r}, run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


TARGETS = [
    *("http1", "local", "auth", "event_stream", "streamed_answer", "payload", "answer", "request"),
    *("profiles", "dates", "signature", "bearer", "clock"),
]


@pytest.mark.parametrize("target", TARGETS)
def test_fuzz_target_finds_no_failure(target: str) -> None:
    done = fuzz("--cases", str(CASES.get(target, 10_000)), target)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("target", "first", "says"),
    [
        ("http1", WITHOUT_A_ROW, "no reason is known (refused by us)"),
        ("http1", OURS_SLACK, "no reason is known (reuse)"),
        ("profiles", OURS_LEAKS, "IndexError"),
        ("signature", OURS_TRUSTS_HOST, "instead of"),
        ("auth", OURS_SIGNS_ELSEWHERE, "signed for"),
    ],
)
def test_seeded_fault_is_found_and_reproduced(target: str, first: str, says: str) -> None:
    done = fuzz("--cases", "5000", target, first=first)
    assert done.returncode == 1
    assert says in done.stderr
    arguments = done.stderr.splitlines()[-1].partition("python fuzz ")[2].split()
    again = fuzz(*arguments, first=first)
    assert says in again.stderr
    assert fuzz(*arguments).returncode == 0


def test_unused_row_of_disagreements_is_reported() -> None:
    done = fuzz("--cases", "3000", "http1", first=ROW_TOO_MANY)
    assert done.returncode == 1
    assert "the moon" in done.stderr
