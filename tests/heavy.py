"""Run what CI cannot run, and write the result to `docs/test-all.md`: `make test-all`.

    python tests/heavy.py [--quick]

The page names what ran, on what, with which result and in how many seconds; it is committed.
`--quick` makes fewer calls and prints the page instead. The exit status is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import platform
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import smruntime_core

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "test-all.md"
PACKAGES = ("urllib3", "trio", "h11")

INTRODUCTION = """\
# Checks outside CI

What takes too long for CI or needs more than it has. Written by `make test-all`; do not edit.
"""


class Check(NamedTuple):
    """A command, run in the root of the project; `quick_arguments` make it short."""

    name: str
    description: str
    command: tuple[str, ...]
    quick_arguments: tuple[str, ...] = ()


class Result(NamedTuple):
    """How a check ended."""

    check: Check
    passed: bool
    seconds: float
    output: str


PYTEST = (sys.executable, "-P", "-m", "pytest", "-q")
CHECKS = (
    Check(
        "soak",
        "80,000 calls and streams over each transport without growth",
        (sys.executable, "-P", "tests/soak.py"),
        ("--calls", "2000"),
    ),
    Check(
        "interrupts",
        "2,000 interrupts at random moments of each kind of call, over both blocking transports",
        (sys.executable, "-P", "tests/interrupts.py"),
        ("--times", "100"),
    ),
    Check("demo-llm", "the demonstration with a real language model", ("tools/demo-llm",)),
    Check("mlflow", "an MLflow model server behind the local endpoint", ("tools/test-mlflow",)),
    Check(
        "batch-kills",
        "50 kills of a batch of 50,000 records, with and without --idempotent",
        ("env", "BATCH_KILLS=50", "BATCH_RECORDS=50000", *PYTEST, "tests/test_batch_resume.py"),
        ("-k", "idempotent"),
    ),
    Check(
        "batch-limits",
        "the number in flight over real sockets: quotas of 5, 20 and 80, and slow servers",
        ("env", "BATCH_LIMITS=all", *PYTEST, "-s", "tests/test_batch_limits.py"),
        ("-k", "20"),
    ),
    Check("batch-engines", "batches on Ray Data and Spark", ("tools/test-engines",)),
    Check("codecs", "numpy, pandas, pyarrow, and sagemaker as judge", ("tools/test-codecs",)),
)


def run_check(check: Check, *, quick: bool) -> Result:
    """Run a check and print its output as it arrives."""
    command = [*check.command, *(check.quick_arguments if quick else ())]
    started = time.monotonic()
    output_lines: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            output_lines.append(line)
    seconds = time.monotonic() - started
    return Result(check, process.returncode == 0, seconds, "".join(output_lines))


def write_page(results: list[Result]) -> str:
    """Return the page as Markdown."""
    versions = {
        "smruntime-core": smruntime_core.__version__,
        platform.python_implementation(): platform.python_version(),
        platform.system(): platform.release(),
        **{name: version(name) for name in PACKAGES},
    }
    today = datetime.now(UTC).date().isoformat()
    named_versions = [f"{name} {number}" for name, number in versions.items()]
    page_lines = [INTRODUCTION, f"{today}: {', '.join([*named_versions, ssl.OPENSSL_VERSION])}.\n"]
    page_lines += ["| check | description | result | seconds |", "|---|---|---|---:|"]
    for result in results:
        check, verdict = result.check, "passed" if result.passed else "failed"
        page_lines.append(
            f"| {check.name} | {check.description} | {verdict} | {result.seconds:.0f} |"
        )
    for result in results:
        page_lines += [f"\n## {result.check.name}\n", "```text", result.output.rstrip(), "```"]
    return "\n".join([*page_lines, ""])


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short run; print the page")
    quick = parser.parse_args().quick
    results = [run_check(check, quick=quick) for check in CHECKS]
    page = write_page(results)
    if quick:
        print(page)
    else:
        PAGE.write_text(page, "utf-8")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
