"""The process behind `measuring.Worker`: makes a subject, and measures it for each number read.

python worker.py MODULE:FACTORY [ARGUMENT...]
"""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    """Print a measurement for every number of calls read from standard input."""
    module, _, factory = sys.argv[1].partition(":")
    subject = getattr(import_module(module), factory)(*sys.argv[2:])
    for requested_number in sys.stdin:
        print(subject.measure(int(requested_number)), flush=True)


if __name__ == "__main__":
    main()
