"""Feed damaged bytes to every reader of bytes from outside.

    python fuzz [--seconds 10] [--seed 0] [http1 event_stream …]

A case follows from the seed and its number alone, so `--case` repeats what a run has found:

    python fuzz --seed 0 --case 1234 http1
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Mapping
from random import Random
from time import monotonic
from typing import TypeAlias

from auth import auth
from decoders import DECODERS
from http1 import FULL, Differential
from local import local
from signatures import SIGNATURES

MAX_LINE_SHOWN = 2000  # characters; of a longer line the middle is left out

Target: TypeAlias = Callable[[Random], None]


def parse_options(targets: Mapping[str, Target]) -> argparse.Namespace:
    """Return the options of the command line."""
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python fuzz", description=description)
    parser.add_argument("targets", nargs="*", help=f"default: all of {', '.join(targets)}")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target (default 10)")
    parser.add_argument("--cases", type=int, help="for each target, instead of seconds")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other cases (default 0)")
    parser.add_argument("--case", type=int, help="run only the case of this number")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(targets):
        parser.error(f"no such target: {', '.join(unknown)}; choose from {', '.join(targets)}")
    return options


def run_target(target_name: str, target: Target, options: argparse.Namespace) -> int:
    """Run the cases of one target; return how many passed, exit at the first that fails."""
    first_case = options.case or 0
    case_number, started = first_case, monotonic()
    random = Random()  # noqa: S311 - every run must choose the same cases
    while True:
        random.seed(options.seed << 40 | case_number)
        try:
            target(random)
        except Exception as error:
            print(describe_failure(error), file=sys.stderr)
            repeat = f"--seed {options.seed} --case {case_number} {target_name}"
            sys.exit(f"\nagain:  python fuzz {repeat}")
        case_number += 1
        elapsed = monotonic() - started
        finished = case_number == options.cases if options.cases else elapsed > options.seconds
        if finished or options.case is not None:
            break
    passed, elapsed = case_number - first_case, monotonic() - started
    print(
        f"{target_name:16} {passed:10,} cases {elapsed:7.1f} s {passed / elapsed:10,.0f} a second"
    )
    return passed


def describe_failure(error: Exception) -> str:
    """Return the traceback of a failed case; of a failed assertion, only the last frame."""
    frame_limit = -1 if isinstance(error, AssertionError) else None
    lines = "".join(traceback.format_exception(error, limit=frame_limit)).splitlines()
    return "\n".join(
        line if len(line) < MAX_LINE_SHOWN else f"{line[:MAX_LINE_SHOWN]} … {line[-99:]}"
        for line in lines
    )


def report_disagreements(differential: Differential, passed: int) -> None:
    """Print how often each known disagreement was seen; exit if one of them never was."""
    for row_name, count in differential.seen_rows.most_common():
        print(f"{'':16} {count:10,} × {row_name}")
    if passed >= FULL and (unseen := differential.unseen_rows()):
        sys.exit(f"named in disagreements.py, and never seen: {', '.join(unseen)}")


def main() -> None:
    differential = Differential()
    targets: dict[str, Target] = {"http1": differential.check_case, "local": local, "auth": auth}
    targets |= {target.__name__: target for target in (*DECODERS, *SIGNATURES)}
    options = parse_options(targets)
    for target_name in options.targets or targets:
        passed = run_target(target_name, targets[target_name], options)
        if target_name == "http1" and options.case is None:
            report_disagreements(differential, passed)


if __name__ == "__main__":
    main()
