"""Print every figure beside its peer, with its budget, in one run:

    python benchmarks/run.py [--quick] [--only SECTION]... [--json FILE]

Times are CPU times of the measured process (`time.process_time`), server and client pinned to one
core, medians of interleaved rounds. Microseconds vary between machines; the ratios are what counts.
The exit status is 1 if a figure is over its budget.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from figures import FIGURES, HEADING, Result
from measuring import FULL, QUICK, Bench, Missing, pin, python_of
from sections import SECTIONS

import smruntime_core

PEERS = {"boto3": "boto3", "botocore": "boto3", "aiobotocore": "aiobotocore"}  # by package: where


def describe_machine() -> dict[str, str | int | None]:
    """Return what the figures are measured on."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text("utf-8", "replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
    }


def find_versions() -> dict[str, str]:
    """Return the versions of this library and its peers."""
    found = {"smruntime-core": smruntime_core.__version__}
    found |= {name: version(name) for name in ("urllib3", "h11", "trio")}
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    for package, environment in PEERS.items():
        python = python_of(environment)
        if isinstance(python, Missing):
            found[package] = python.reason
        else:
            printed = subprocess.check_output([python, "-c", code, package], text=True)
            found[package] = printed.strip()
    return found


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--only",
        action="append",
        choices=SECTIONS,
        metavar="SECTION",
        help=f"repeatable; one of {', '.join(SECTIONS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    return parser.parse_args(arguments)


def main() -> int:
    """Print the table; return the exit status."""
    options = parse_options()
    effort = QUICK if options.quick else FULL
    machine, versions, pinned = describe_machine(), find_versions(), pin()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    print(date, *(f"{name} {value}" for name, value in machine.items()), sep=", ")
    print(*(f"{name} {number}" for name, number in versions.items()), sep=", ")
    print(f"{pinned}; {effort.rounds} rounds of {effort.milliseconds:g} ms each")
    print(f"\n{HEADING}", flush=True)
    results: list[Result] = []
    for section in options.only or SECTIONS:
        with Bench(effort) as bench:
            values = SECTIONS[section](bench)
        for figure in FIGURES:
            if figure.section == section:
                results.append(Result.of(figure, values))
                print(results[-1], flush=True)
    verdicts = Counter(result.verdict for result in results)
    within, over, skipped = (verdicts[verdict] for verdict in ("ok", "OVER", "skipped"))
    print(f"\n{within} within their budgets, {over} over, {skipped} skipped")
    if options.json:
        report = {
            "date": date,
            "machine": machine | {"pinned": pinned},
            "versions": versions,
            "effort": effort._asdict(),
            "figures": [result.as_json() for result in results],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
