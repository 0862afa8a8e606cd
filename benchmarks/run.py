"""The figures this library promises, each beside its peer, in one run:

    python benchmarks/run.py [--quick] [--only SECTION]... [--json PATH]

Times are CPU time of the measured process (`time.process_time`), client and server pinned to one core, the median of interleaved
rounds. On a machine with other work the microseconds vary; the ratios hold. What cannot be measured here is skipped, and says why.
The exit status is 1 if a budget is exceeded.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import bulk
import calls
import counting
import loops
import starting
import streams
from figures import FIGURES, HEADING, Result
from measuring import FULL, QUICK, Bench, Effort, Missing, Value, pin

SECTIONS: dict[str, Callable[[Bench], Iterator[tuple[Value, Value]]]] = {
    "sign": calls.sign,
    "without_io": calls.without_io,
    "sockets": calls.sockets,
    "urllib3": calls.urllib3,
    "tls": calls.tls,
    "loops": loops.loops,
    "crowd": loops.crowd,
    "bulk": bulk.bulk,
    "bulk_memory": bulk.bulk_memory,
    "decode": streams.decode,
    "stream": streams.stream,
    "imports": starting.imports,
    "first": starting.first,
    "credentials": starting.credentials,
    "counts": counting.counts,
}


def results(section: str, effort: Effort) -> Iterator[Result]:
    """A line for each figure of a section, whatever comes."""
    figures = iter([figure for figure in FIGURES if figure.section == section])
    try:
        with Bench(effort) as bench:
            for ours, theirs in SECTIONS[section](bench):
                yield Result(next(figures), ours, theirs)
    except ImportError as error:
        missing = Missing(str(error))
        yield from (Result(figure, missing, missing) for figure in figures)
    left = list(figures)
    assert not left, f"not measured: {left}"


def machine() -> dict[str, str | int | None]:
    """What the figures were taken on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "openssl": ssl.OPENSSL_VERSION,
    }


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a glance, not a measurement")
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, metavar="SECTION", help=f"one of {', '.join(SECTIONS)}; may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there as well")
    return parser.parse_args(arguments)


def main() -> int:
    """Print the table."""
    asked = options()
    effort = QUICK if asked.quick else FULL
    here: dict[str, object] = {**machine(), "pinned": pin(), "effort": effort._asdict()}
    print(f"{here['cpu']}, {here['cores']} cores, {here['kernel']}; {here['python']}, {here['openssl']}")
    print(f"{here['pinned']}; {effort.rounds} rounds of {effort.milliseconds:g} ms each\n\n{HEADING}", flush=True)
    measured: list[Result] = []
    for section in asked.only or SECTIONS:
        for result in results(section, effort):
            print(result, flush=True)
            measured.append(result)
    verdicts = Counter(result.verdict for result in measured)
    print(f"\n{verdicts['ok']} within their budgets, {verdicts['OVER']} over, {verdicts['skipped']} skipped")
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps({"machine": here, "figures": [result.as_json() for result in measured]}, indent=1) + "\n", "utf-8")
    return 1 if verdicts["OVER"] else 0


if __name__ == "__main__":
    sys.exit(main())
