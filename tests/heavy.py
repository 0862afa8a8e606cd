"""Run what CI cannot run, and write the result to `docs/test-all.md`: `make test-all`.

    python -m tests.heavy [--quick] [--only NAME]

The page names what ran, on what, when, with which result and in how many seconds; it is committed
with the results, `docs/data/test-all.json`. `--only` runs single checks and keeps the other
results. `--quick` makes fewer calls and writes nothing. The exit status is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import json
import platform
import ssl
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import NamedTuple

from tests import checks
from tests.checks import ROOT, Check

PAGE = ROOT / "docs" / "test-all.md"
STORED_RESULTS = ROOT / "docs" / "data" / "test-all.json"
PYTEST = (sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider")
PACKAGES = ("urllib3", "trio", "h11")

INTRODUCTION = """\
# Checks outside CI

What takes too long for CI or needs more than it has. Written by `make test-all`; do not edit.
"""


class StoredResult(NamedTuple):
    """How a check ended, when (ISO 8601), and with which versions."""

    passed: bool
    seconds: float
    output: str
    date: str
    versions: str


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
    Check(
        "every event",
        "interrupts at every event of each kind of call (CI: at every fifth)",
        ("env", "SMRUNTIME_EVERY_EVENT=1", *PYTEST, "tests/test_interrupts.py"),
        ("-k", "first"),
    ),
    Check(
        "versions",
        "the contract over every transport and engine on other versions of Python",
        ("env", "ALL_ENGINES=1", "tools/test-contract-on", "3.12", "3.13", "3.14"),
    ),
    Check("demo-llm", "the demonstration with a real language model", ("tools/demo-llm",)),
    Check("mlflow", "an MLflow model server behind the local endpoint", ("tools/test-mlflow",)),
    *(
        Check(
            f"boto with {library}",
            f"the client shaped like boto3's, with {library}",
            ("tools/test-boto-with", library),
        )
        for library in ("sagemaker", "strands", "haystack", "mlflow", "aiobotocore")
    ),
    Check(
        "sdks",
        "eight OpenAI-style SDKs over the transports for httpx and httpx2",
        ("tools/test-sdks", "all"),
    ),
    Check("demo-sdks", "their examples with a real language model", ("tools/demo-sdks",)),
    Check(
        "http-clients",
        "the contract over httpx, requests, urllib3 and aiohttp, as docs/faults.md shows it",
        (sys.executable, "-P", "tests/faults.py", "--check-libraries"),
    ),
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
    Check(
        "release",
        "two equal builds of this tree, and ten changes that make `make release-check` fail",
        ("env", "RELEASE_MUTATIONS=1", *PYTEST, "tests/test_release.py"),
        ("-k", "changed_release"),
    ),
    Check("codecs", "numpy, pandas, pyarrow, and sagemaker as judge", ("tools/test-codecs",)),
)


def run(check: Check, *, quick: bool) -> checks.Result:
    """Run a check, and store its result unless it is a `quick` one."""
    result = checks.run_check(check, quick=quick)
    if not quick:
        today = datetime.now(UTC).date().isoformat()
        output = result.output.replace(str(ROOT), ".")
        stored_results = read_results()
        stored_results[check.name] = StoredResult(
            result.passed, round(result.seconds), output, today, name_versions()
        )
        STORED_RESULTS.write_text(json.dumps(stored_results, indent=1) + "\n", "utf-8")
        PAGE.write_text(write_page(stored_results), "utf-8")
    return result


def read_results() -> dict[str, StoredResult]:
    """Return the committed results of checks."""
    stored_results = json.loads(STORED_RESULTS.read_text())
    return {name: StoredResult(*values) for name, values in stored_results.items()}


def name_versions() -> str:
    """Return what the checks ran on."""
    versions = {
        "smruntime-core": version("smruntime-core"),
        platform.python_implementation(): platform.python_version(),
        platform.system(): platform.release(),
        **{name: version(name) for name in PACKAGES},
    }
    named_versions = [f"{name} {number}" for name, number in versions.items()]
    return ", ".join([*named_versions, ssl.OPENSSL_VERSION])


def write_page(results: dict[str, StoredResult]) -> str:
    """Return the page as Markdown; a check without a result has not run yet."""
    page_lines = [INTRODUCTION, "| check | description | date | result | seconds |"]
    page_lines.append("|---|---|---|---|---:|")
    for check in CHECKS:
        result = results.get(check.name)
        shown = "| not run yet |"
        if result:
            seen = checks.Result(check, result.passed, result.seconds, result.output)
            verdict = "; not run: ".join([seen.verdict, *seen.reasons_not_run])
            shown = f"{result.date} | {verdict} | {result.seconds}"
        page_lines.append(f"| {check.name} | {check.description} | {shown} |")
    for check in CHECKS:
        if result := results.get(check.name):
            page_lines += [f"\n## {check.name}\n", f"{result.date}: {result.versions}.\n"]
            page_lines += ["```text", result.output.rstrip(), "```"]
    return "\n".join([*page_lines, ""])


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [check.name for check in CHECKS]
    parser.add_argument("--quick", action="store_true", help="a short run that writes nothing")
    parser.add_argument("--only", action="append", choices=names, help="run this check")
    options = parser.parse_args()
    started = time.monotonic()
    chosen = [check for check in CHECKS if check.name in (options.only or names)]
    results = [run(check, quick=options.quick) for check in chosen]
    return checks.finish(results, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
