"""Run what every change must pass: `make test`.

    python -m tests.ci

First the tests of `.venv`, which fill the machine; then lint and the environments of their own,
three at a time, since they wait half of their time. The end of the output says what ran, what was
skipped and why, and how long each part took.
"""

from __future__ import annotations

import shutil
import sys
import time

from tests.checks import ROOT, Check, finish, run_check, run_side_by_side

PYTEST = (sys.executable, "-P", "-m", "pytest", "--numprocesses=3", "--dist=loadfile")
COVERAGE = (sys.executable, "-P", "-m", "coverage")
AT_ONCE = 3

# Coverage is not measured in tests that count steps, trace, or measure time or memory, nor in those
# that take long and run no line that the others do not.
UNMEASURED = tuple(
    f"tests/test_{name}.py"
    for name in (
        "batch_limits",
        "batch_resume",
        "benchmarks",
        "cancellation",
        "contract",
        "examples",
        "fuzz",
        "http1_states",
        "interrupts",
        "linear",
        "mistakes",
        "pool_states",
    )
)

CHECKS = (
    Check(
        "tests",
        "all other tests, with coverage",
        (*COVERAGE, "run", *PYTEST[2:], *(f"--ignore={name}" for name in UNMEASURED)),
    ),
    Check(
        "coverage",
        "branch coverage of the core and the transports",
        ("tools/report-coverage", sys.executable),
    ),
    Check("unmeasured", "tests that take long or measure", (*PYTEST, *UNMEASURED)),
)

SIDE_BY_SIDE = (
    Check("lint", "ruff, mypy, pyright, import-linter, zizmor, check-jsonschema", ("make", "lint")),
    *(
        Check(
            f"python-{version}",
            f"the contract of sockets and asyncio on Python {version}",
            ("tools/test-contract-on", version),
        )
        for version in ("3.12", "3.13", "3.14")
    ),
    Check("apart", "niquests, awscrt, Jupyter, numpy, pandas, pyarrow", ("tools/test-apart",)),
    Check("lowest", "the contract with the lowest version of each extra", ("tools/test-lowest",)),
    Check("sdks", "OpenAI-style SDKs", ("tools/test-sdks",)),
    Check("green", "gevent and eventlet", ("tools/test-green",)),
    Check("boto", "langchain-aws, and botocore's own tests", ("tools/test-boto",)),
    Check("plugin", "the plugin of pytest beside other plugins", ("tools/test-plugin",)),
    Check("dask", "batches on Dask", ("tools/test-dask",)),
    Check("aws-cli", "the AWS CLI and the local endpoint", ("tools/test-aws-cli",)),
    Check("mocks", "mocks of HTTP libraries", ("tools/test-mocks",)),
)


def main() -> int:
    """Return the exit status."""
    started = time.monotonic()
    shutil.rmtree(ROOT / "build" / "coverage", ignore_errors=True)
    results = [run_check(check) for check in CHECKS]
    results += run_side_by_side(SIDE_BY_SIDE, AT_ONCE)
    return finish(results, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
