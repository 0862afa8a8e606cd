"""Every example runs as a user would run it: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples"
IN_TEST_ALL = {"demo_llm"}  # `make test-all` runs it, in an environment of its own
ON_ENGINES = {"batch_dask", "batch_ray", "batch_spark"}  # `test_batch_engines.py` runs them
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if path.stem not in IN_TEST_ALL | ON_ENGINES)
EXPECTED_OUTPUT = {
    "async_inference": "the other one failed: row 1 must have 4 measurements",
    "credentials": "the vault was asked\na flow, blocking: 100 calls",
    "demo": "9 of 9 steps were as expected.",
    "embed_with_httpx": "['ServiceUnavailable', 'ok']",
    "embed_in_your_sdk": "attempts: ['ServiceUnavailable', 'ok']",
    "fastapi_sse_relay": "how the calls ended: ok TruncatedStream closed",
    "from_boto3": "attempts  2",
    "lambda_handler": "this handler",
    "sockets": "from AllTraffic",
    "stateful_session": "3 What do you know of me?\nAfter the block it is closed: ValidationError",
    "streaming": "-- TruncatedStream",
    "trio_fanout": "50 answers",
    "urllib3_pool": "24 answers",
    "your_own_transport": "fault 43 in a value: call 1: expected ExpectedFailure",
}
NEEDED_PACKAGES = {"embed_with_httpx": ["httpx"], "fastapi_sse_relay": ["fastapi", "uvicorn"]}


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-W", "error", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_every_example_has_an_expected_output() -> None:
    assert {example.stem for example in EXAMPLES} == set(EXPECTED_OUTPUT)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example_runs_and_prints_what_it_shows(example: Path) -> None:
    for name in NEEDED_PACKAGES.get(example.stem, ()):
        pytest.importorskip(name)
    completed = run_python(str(example))
    assert completed.returncode == 0, completed.stderr
    assert EXPECTED_OUTPUT[example.stem] in completed.stdout


@pytest.mark.parametrize(
    "change",
    ["SESSION_ANSWER = 'forgotten'", "MIN_CORRECT_ROWS = 151", "PROMPT['max_tokens'] = 'many'"],
)
def test_demo_fails_if_anything_is_not_as_expected(change: str) -> None:
    program = f"import sys; sys.path.insert(0, {str(FOLDER)!r})\nimport demo\n"
    completed = run_python("-c", f"{program}demo.{change}\nsys.exit(demo.main())")
    assert completed.returncode == 1, completed.stdout
    assert "NOT AS EXPECTED" in completed.stdout or "MISMATCH" in completed.stdout


def test_typed_client_over_fetch_runs_in_pyodide() -> None:
    reason = ROOT / "build" / "pyodide.why"
    if not (FOLDER / "pyodide" / "node_modules" / "pyodide").exists():
        pytest.skip(reason.read_text() if reason.exists() else "run tools/install-pyodide")
    completed = run_python(str(FOLDER / "pyodide" / "run.py"))
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert "on emscripten\n{'predictions': [{'label': 'setosa'" in completed.stdout
    assert "attempts: ['ServiceUnavailable', 'ok']" in completed.stdout
    assert "failure: timeout body answered" in completed.stdout
    assert "answers: 20000" in completed.stdout
