"""The benchmarks run, and what can be counted instead of timed is within its ceilings. No time is asserted on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN = Path(__file__).parents[1] / "benchmarks" / "run.py"


def bench(folder: Path, *sections: str) -> list[dict[str, Any]]:
    """The lines of these sections, as little measured as possible."""
    written = folder / "figures.json"
    only = [part for section in sections for part in ("--only", section)]
    command = [sys.executable, str(RUN), "--quick", *only, "--json", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # its status only says whether a budget was kept
    assert not done.stderr
    figures: list[dict[str, Any]] = json.loads(written.read_text("utf-8"))["figures"]
    assert done.stdout.count("\n| ") == 1 + len(figures)
    return figures


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return bench(tmp_path_factory.mktemp("counts"), "counts")


@pytest.mark.parametrize("unit", ["bytecodes", "k instructions"])
def test_a_call_costs_no_more_than_it_may(counted: list[dict[str, Any]], unit: str) -> None:
    figures = [figure for figure in counted if figure["unit"] == unit]
    assert len(figures) == 3
    for figure in figures:
        if figure["verdict"] == "skipped":
            pytest.skip(next(str(figure[side]) for side in ("ours", "theirs") if isinstance(figure[side], str)))
        assert figure["verdict"] == "ok", f"{figure['what']}: {figure['ours']:.0f} {unit}, at most {figure['theirs']}"


def test_every_line_has_a_number_or_a_reason(tmp_path: Path) -> None:
    figures = bench(tmp_path, "sign", "sockets", "loops", "decode")
    assert len(figures) == 12
    for figure in figures:
        assert isinstance(figure["ours"], float)
        assert isinstance(figure["theirs"], float) or figure["theirs"]
