"""Run checks side by side, and say what ran, what was skipped and why, and how long each took.

A check is a command, run in the root of the project. The tests of every pytest inside it are
counted. A check that cannot run in part or whole prints a line "not run: REASON".
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
NOT_RUN = "not run: "
PASSED = re.compile(r"\b(\d+) passed\b.* in [\d.]+s\b")
SKIPPED = re.compile(r"^SKIPPED \[(\d+)\] (?:[^:]+:\d+: )?(.*)", re.MULTILINE)
SHOWN_REASONS = 40
_printing = threading.Lock()


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

    @property
    def tests(self) -> int:
        """How many tests pytest passed."""
        return sum(int(count) for count in PASSED.findall(self.output))

    @property
    def skipped(self) -> Counter[str]:
        """How many tests pytest skipped, for each reason."""
        found = Counter[str]()
        for count, reason in SKIPPED.findall(self.output):
            found[reason] += int(count)
        return found

    @property
    def reasons_not_run(self) -> list[str]:
        """The reasons why the check, or a part of it, could not run."""
        lines = self.output.splitlines()
        return [line.removeprefix(NOT_RUN) for line in lines if line.startswith(NOT_RUN)]

    @property
    def verdict(self) -> str:
        """One or two words."""
        if not self.passed:
            return "FAILED"
        return "not run" if self.reasons_not_run and not self.tests else "passed"


def run_check(check: Check, *, quick: bool = False, live: bool = True) -> Result:
    """Run a check; print its output as it arrives if it is `live`, else when it ends.

    Of a `live` one, the result has the standard output only.
    """
    command = [*check.command, *(check.quick_arguments if quick else ())]
    options = f"{os.environ.get('PYTEST_ADDOPTS', '')} -rs --color=no"  # tell what was skipped
    environment = {**os.environ, "PYTEST_ADDOPTS": options}
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):  # of the make that runs us
        environment.pop(name, None)
    started = time.monotonic()
    output_lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if live else subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            output_lines.append(line)
            if live:
                print(line, end="", flush=True)
    seconds = time.monotonic() - started
    result = Result(check, process.returncode == 0, seconds, "".join(output_lines))
    if not live:
        with _printing:
            print(
                f"\n── {check.name}: {result.verdict}, {seconds:.0f} s\n{result.output}", flush=True
            )
    return result


def run_side_by_side(checks: Iterable[Check], at_once: int) -> list[Result]:
    """Run `at_once` checks at the same time, started in their order."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda check: run_check(check, live=False), checks))


def summarize(results: list[Result]) -> str:
    """Return a table of the checks, then what was skipped and why, as text."""
    width = max(len(result.check.name) for result in results)
    lines = [f"{'check':<{width}}  result   seconds  tests  skipped"]
    for result in results:
        counts = f"{result.tests or '':>5}  {result.skipped.total() or '':>7}".rstrip()
        row = f"{result.check.name:<{width}}  {result.verdict:<7}  {result.seconds:>7.0f}"
        lines.append(f"{row}  {counts}".rstrip())
    reasons = Counter[str]()
    for result in results:
        reasons.update(result.skipped)
    not_run = [
        f"{result.check.name}: {reason}" for result in results for reason in result.reasons_not_run
    ]
    if not_run:
        lines += ["", "Not run:", *(f"  {reason}" for reason in not_run)]
    if reasons:
        lines += ["", "Tests skipped:"]
        common = reasons.most_common(SHOWN_REASONS)
        lines += [f"  {count:>4}  {reason}" for reason, count in common]
        if len(reasons) > len(common):
            rest = reasons.total() - sum(count for _, count in common)
            lines.append(f"  {rest:>4}  for {len(reasons) - len(common)} other reasons")
    return "\n".join(lines)


def finish(results: list[Result], seconds: float) -> int:
    """Print the summary; return the exit status."""
    failed = [result.check.name for result in results if not result.passed]
    print(f"\n{summarize(results)}\n")
    print(f"{len(results)} checks in {seconds:.0f} s", end="")
    print(f", failed: {', '.join(failed)}" if failed else ", none failed")
    return 1 if failed else 0
