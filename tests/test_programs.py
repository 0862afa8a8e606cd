"""Programs as users write them (`tests/programs`) run, and are typed to the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import smruntime_core
import smruntime_local

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
PACKAGE_FOLDERS = os.pathsep.join(
    {str(Path(package.__file__ or "").parents[1]) for package in (smruntime_core, smruntime_local)}
)
# mypy finds installed packages by itself, and refuses their folder
SOURCE_FOLDERS = "" if "site-packages" in PACKAGE_FOLDERS else PACKAGE_FOLDERS


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    with smruntime_local.serve() as endpoint:
        yield {**os.environ, **endpoint.environment, "PYTHONPATH": PACKAGE_FOLDERS}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_program_runs(program: Path, variables: dict[str, str], tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-P", str(program)],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.strip()


def check_types(folder: Path, *command: str) -> None:
    for program in PROGRAMS:
        shutil.copy(program, folder)
    completed = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PACKAGE_FOLDERS, "MYPYPATH": SOURCE_FOLDERS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert len(PROGRAMS) >= 10


def test_programs_pass_mypy_strict(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    check_types(tmp_path, "mypy", "--strict", "--follow-imports=silent", ".")


def test_programs_pass_pyright_strict(tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    check_types(tmp_path, "pyright", "--pythonpath", sys.executable, ".")
