"""`python -m smruntime_transports`: call an endpoint from the shell, or show what applies.

    invoke ENDPOINT -d @question.json -t application/json --stream text
    doctor

Responses are printed to standard output as they arrive, messages to standard error. Exit codes:
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from .cli import _doctor, _invoke
from .cli._exit import CODE_MEANINGS, exit_code

INTERRUPTED_CODE = 130  # as shells report SIGINT


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m smruntime_transports",
        description=__doc__,
        epilog="\n".join(f"  {code}  {meaning}" for code, meaning in CODE_MEANINGS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _invoke.add_command(commands)
    _doctor.add_command(commands)
    options = parser.parse_args(arguments)
    run_command: Callable[[argparse.Namespace], int] = options.command
    if sys.stdout is None or sys.stderr is None:
        return 2
    try:
        code = run_command(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED_CODE
    except BrokenPipeError:  # the reader closed the pipe; the interpreter must not flush again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        error_code = exit_code(error)
        if error_code is None:
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error_code


if __name__ == "__main__":
    sys.exit(main())
