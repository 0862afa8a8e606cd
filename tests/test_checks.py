"""The runner of `make test` and `make test-all`: what it says of checks that fail or cannot run."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from .checks import Check, Result, finish, run_check, run_side_by_side, summarize
from .ci import CHECKS, SIDE_BY_SIDE, UNMEASURED


def python(name: str, code: str) -> Check:
    return Check(name, "a program", (sys.executable, "-c", code))


def test_failure_is_named_at_the_end_and_is_the_exit_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    checks = [python("good", "print('fine')"), python("bad", "import sys; sys.exit('broken')")]
    results = run_side_by_side(checks, 2)
    assert finish(results, 1.0) == 1
    printed = capsys.readouterr().out
    assert "fine" in printed
    assert "broken" in printed, "what a check writes to standard error is shown"
    assert printed.splitlines()[-1] == "2 checks in 1 s, failed: bad"
    assert finish(results[:1], 1.0) == 0


def test_check_that_cannot_run_says_why() -> None:
    result = run_check(python("other", "print('not run: no Python 4.0')"))
    assert result.passed and result.verdict == "not run"
    failed = run_check(python("other", "print('not run: no moon'); raise SystemExit(1)"))
    assert failed.verdict == "FAILED"
    assert "  other: no Python 4.0" in summarize([result]).splitlines()


def test_tests_of_all_runs_of_pytest_are_counted(tmp_path: Path) -> None:
    (tmp_path / "test_moon.py").write_text(
        "import pytest\n\n\ndef test_sun() -> None: ...\n\n\n"
        "@pytest.mark.skip(reason='no moon')\n@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_moon(n: int) -> None: ...\n"
    )
    pytest_run = f"{sys.executable} -m pytest -q -p no:cacheprovider -c /dev/null {tmp_path}"
    result = run_check(Check("sky", "two runs", ("sh", "-c", f"{pytest_run}; {pytest_run}")))
    assert result.passed, result.output
    assert (result.tests, result.skipped) == (2, Counter({"no moon": 4}))
    assert "     4  no moon" in summarize([result]).splitlines()
    assert Result(CHECKS[0], passed=True, seconds=1.0, output="").tests == 0


def test_every_test_file_is_run_once() -> None:
    commands = {check.name: check.command for check in CHECKS}
    tests, unmeasured = commands["tests"], commands["unmeasured"]
    ignored = {part.removeprefix("--ignore=") for part in tests if "ignore=" in part}
    assert ignored == set(UNMEASURED) == {part for part in unmeasured if ".py" in part}
    root = Path(__file__).parents[1]
    assert all((root / name).is_file() for name in UNMEASURED), "a file was renamed"


def test_makefile_and_ci_run_the_same_environments() -> None:
    root = Path(__file__).parents[1]
    named = re.search(r"^ENVIRONMENTS := (.*)$", (root / "Makefile").read_text("utf-8"), re.M)
    assert named is not None
    in_ci = [command for check in SIDE_BY_SIDE if len(command := check.command) == 1]
    assert {Path(command).name for (command,) in in_ci} == set(named[1].split())
