"""Damaged bytes for whatever reads bytes from outside, as long as you like:

    python fuzz [--seconds 10] [--seed 0] [http1 event_stream …]

Every case follows from the seed and its own number, so what a run finds, `--case` finds again:

    python fuzz --seed 0 --case 1234 http1
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from random import Random
from time import monotonic

from auth import auth
from decoders import DECODERS
from http1 import FULL, Differential
from local import local
from signatures import SIGNATURES

LONG = 2000  # characters of a line; the rest of it is its middle

_PARSER = argparse.ArgumentParser(prog="python fuzz", description=(__doc__ or "").partition(",")[0])
_PARSER.add_argument("targets", nargs="*", help="what to try; all of it unless said")
_PARSER.add_argument("--seconds", type=float, default=10.0, help="for each target (default 10)")
_PARSER.add_argument("--cases", type=int, default=None, help="for each target, instead of seconds")
_PARSER.add_argument("--seed", type=int, default=0, help="another seed, other cases (default 0)")
_PARSER.add_argument("--case", type=int, default=None, help="only the one of this number")


def run(name: str, target: Callable[[Random], None], options: argparse.Namespace) -> int:
    """How many cases went well; exits with the one that did not."""
    random, begun, number = Random(), monotonic(), options.case or 0  # noqa: S311 - the same chance each time is the point
    while True:
        random.seed(options.seed << 40 | number)
        try:
            target(random)
        except Exception as error:
            said = "".join(
                traceback.format_exception(
                    error, limit=None if not isinstance(error, AssertionError) else -1
                )
            )
            print(
                "\n".join(
                    line if len(line) < LONG else f"{line[:LONG]} … {line[-99:]}"
                    for line in said.splitlines()
                ),
                file=sys.stderr,
            )
            sys.exit(f"\nagain:  python fuzz --seed {options.seed} --case {number} {name}")
        number += 1
        over = number == options.cases if options.cases else monotonic() - begun > options.seconds
        if over or options.case is not None:
            break
    count, taken = number - (options.case or 0), monotonic() - begun
    print(f"{name:16} {count:10,} cases {taken:7.1f} s {count / taken:10,.0f} a second")
    return count


def main() -> None:
    options = _PARSER.parse_args()
    differential = Differential()
    targets = {"http1": differential.case, "local": local, "auth": auth} | {
        target.__name__: target for target in (*DECODERS, *SIGNATURES)
    }
    if unknown := set(options.targets) - set(targets):
        _PARSER.error(f"no such target: {', '.join(unknown)}; there are {', '.join(targets)}")
    for name in options.targets or targets:
        count = run(name, targets[name], options)
        if name == "http1" and options.case is None:
            for row, times in differential.named.most_common():
                print(f"{'':16} {times:10,} × {row}")
            if count >= FULL and (missing := differential.missing()):
                sys.exit(f"named in disagreements.py, and never seen: {', '.join(missing)}")


if __name__ == "__main__":
    main()
