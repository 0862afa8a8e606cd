"""Print every figure beside its peer, with its budget, in one run.

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
import re
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from figures import FIGURES, HEADING, Result
from measuring import FULL_EFFORT, QUICK_EFFORT, Bench, Effort, Missing, find_python, pin_to_core
from sections import SECTIONS

import smruntime_core

# By package: where.
PEERS = {
    "boto3": "boto3",
    "botocore": "boto3",
    "aiobotocore": "aiobotocore",
    "openai": "openai",
    "httpx2": "openai",
}


def describe_machine() -> dict[str, str | int | None]:
    """Return what the figures are measured on."""
    cpu_model = platform.processor() or platform.machine()
    cpu_information = Path("/proc/cpuinfo")
    if cpu_information.exists():
        text = cpu_information.read_text("utf-8", "replace")
        model_name = re.search(r"^model name\s*: *(.+)$", text, re.MULTILINE)
        cpu_model = model_name[1] if model_name else cpu_model
    return {
        "cpu": cpu_model,
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
    }


def find_versions() -> dict[str, str]:
    """Return the versions of this library and its peers."""
    versions = {"smruntime-core": smruntime_core.__version__}
    versions |= {name: version(name) for name in ("urllib3", "h11", "trio")}
    version_script = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    for package, environment in PEERS.items():
        python = find_python(environment)
        if isinstance(python, Missing):
            versions[package] = python.reason
        else:
            printed_version = subprocess.check_output(
                [python, "-c", version_script, package], text=True
            )
            versions[package] = printed_version.strip()
    return versions


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


def measure_sections(sections: Sequence[str], effort: Effort) -> list[Result]:
    """Measure the figures of some sections; print each as soon as it is known."""
    results: list[Result] = []
    for section in sections:
        with Bench(effort) as bench:
            values = SECTIONS[section](bench)
        for figure in FIGURES:
            if figure.section == section:
                results.append(Result.of(figure, values))
                print(results[-1], flush=True)
    return results


def main() -> int:
    """Print the table; return the exit status."""
    options = parse_options()
    effort = QUICK_EFFORT if options.quick else FULL_EFFORT
    machine, versions, pinning = describe_machine(), find_versions(), pin_to_core()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    print(started_at, *(f"{name} {value}" for name, value in machine.items()), sep=", ")
    print(*(f"{name} {number}" for name, number in versions.items()), sep=", ")
    print(f"{pinning}; {effort.rounds} rounds of {effort.milliseconds:g} ms each")
    print(f"\n{HEADING}", flush=True)
    results = measure_sections(options.only or list(SECTIONS), effort)
    verdicts = Counter(result.verdict for result in results)
    counts = f"{verdicts['ok']} within their budgets, {verdicts['OVER']} over"
    print(f"\n{counts}, {verdicts['skipped']} skipped")
    if options.json:
        report = {
            "date": started_at,
            "machine": machine | {"pinned": pinning},
            "versions": versions,
            "effort": effort._asdict(),
            "figures": [result.as_json() for result in results],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    return 1 if verdicts["OVER"] else 0


if __name__ == "__main__":
    sys.exit(main())
