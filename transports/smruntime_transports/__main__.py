"""`python -m smruntime_transports`: call an endpoint from the shell, or ask what applies.

    invoke ENDPOINT -d @question.json -t application/json --stream text
    doctor

What is answered goes to standard output as it comes, what is said about it to standard error. Exit codes tell failures apart:
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from .cli import _doctor, _invoke
from .cli._exit import CODES, exit_code


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m smruntime_transports",
        description=__doc__,
        epilog="\n".join(f"  {code}  {meaning}" for code, meaning in CODES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _invoke.add_to(commands)
    _doctor.add_to(commands)
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    if sys.stdout is None or sys.stderr is None:
        return 2
    try:
        done = command(options)
        sys.stdout.flush()
        return done
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads has seen enough; the interpreter must not try once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return code


if __name__ == "__main__":
    sys.exit(main())
