"""The benchmarks run, and what can be counted is within its ceilings. No time is asserted."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run_benchmarks(folder: Path, *sections: str) -> dict[str, Any]:
    """Return the report on some sections, with as little effort as possible."""
    written = folder / "figures.json"
    only = [part for section in sections for part in ("--only", section)]
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--quick", *only, "--json", str(written)]
    # the exit status says whether a budget was kept, which depends on the machine
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    report: dict[str, Any] = json.loads(written.read_text("utf-8"))
    assert done.stdout.count("\n| ") == 1 + len(report["figures"])
    return report


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    report = run_benchmarks(tmp_path_factory.mktemp("counts"), "counts")
    figures: list[dict[str, Any]] = report["figures"]
    return figures


@pytest.mark.parametrize("what", ["bytecodes", "instructions"])
def test_fresh_call_stays_below_ceiling(counted: list[dict[str, Any]], what: str) -> None:
    figures = [figure for figure in counted if figure["name"].endswith(what)]
    assert len(figures) == 3
    for figure in figures:
        count, ceiling = figure["ours"], figure["theirs"]
        for value in (count, ceiling):
            if isinstance(value, str):  # the reason why it is missing
                pytest.skip(value)
        assert count <= ceiling, f"{figure['name']}: {count:.0f}, at most {ceiling}"


def test_every_row_has_a_number_or_a_reason(tmp_path: Path) -> None:
    report = run_benchmarks(tmp_path, "sign", "calls", "loops", "decode", "frames")
    assert len(report["figures"]) == 17
    for figure in report["figures"]:
        assert isinstance(figure["ours"], float | int)
        assert isinstance(figure["theirs"], float | int) or figure["theirs"]


def test_report_names_date_machine_and_versions(tmp_path: Path) -> None:
    report = run_benchmarks(tmp_path, "decode")
    assert report["date"]
    assert report["machine"]["cpu"]
    assert {"smruntime-core", "urllib3", "trio", "h11", "botocore"} <= report["versions"].keys()


def test_members_of_every_call_are_its_own() -> None:
    spec = importlib.util.spec_from_file_location("benchmark_work", BENCHMARKS / "work.py")
    assert spec
    assert spec.loader
    work = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(work)
    for make in (work.members, work.parameters):
        calls = [make() for _ in range(100)]
        for name in calls[0]:
            values = {call[name] for call in calls}
            own = name.lower().replace("_", "") in ("inferenceid", "customattributes", "body")
            assert len(values) == (100 if own else 1), name
