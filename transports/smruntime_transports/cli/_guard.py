"""What can end a command: its own errors, Ctrl-C, and output that cannot be written.

Each is one line on standard error and an exit code. Other exceptions are bugs and propagate.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from smruntime_core import ServiceError

from ._exit import BROKEN_PIPE_CODE, INTERRUPTED_CODE, OUTPUT_CODE, CommandError, exit_code
from ._interrupts import repeat_lost_interrupts
from ._terminal import abandon, print_error


def guard(program_name: str, run: Callable[[], int]) -> int:
    """Run a command and return its exit code; report an error in one line."""
    try:
        with repeat_lost_interrupts():
            code = _run_to_exit(run)
    except KeyboardInterrupt:
        code = INTERRUPTED_CODE
    except Exception as error:
        error_code = exit_code(error)
        if error_code is None:
            raise
        # an explained refusal has a line for each difference
        first_line, *details = (
            str(error).split("\n") if isinstance(error, ServiceError) else [str(error)]
        )
        print_error(f"{program_name}: {first_line}")
        for line in details:
            print_error(line)
        code = error_code
    try:
        flush_output()
    except CommandError as failure:
        if code in (0, INTERRUPTED_CODE):
            print_error(f"{program_name}: {failure}")
            code = failure.code
    return code


def _run_to_exit(run: Callable[[], int]) -> int:
    try:
        return run()
    except SystemExit as ended:  # argparse has printed its help, or an error
        return ended.code if isinstance(ended.code, int) else 0


def require_output() -> None:
    """Raise `CommandError` if there is no standard output, before anything is done for it."""
    if sys.stdout is None:
        raise CommandError("standard output is closed")


def write_output(data: bytes) -> None:
    """Write bytes to standard output as they are; raise `CommandError` if that fails."""
    require_output()
    try:
        sys.stdout.buffer.write(data)
    except OSError as error:
        raise _output_error(error) from None
    flush_output()


def print_output(text: str) -> None:
    """Print text and a line end to standard output, in UTF-8 whatever the locale is."""
    write_output(f"{text}\n".encode("utf-8", "surrogateescape"))


def flush_output() -> None:
    """Write what is buffered; raise `CommandError` if that fails."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise _output_error(error) from None


def _output_error(error: OSError) -> CommandError:
    """Return the error for an output that cannot be written, and give that output up."""
    abandon(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return CommandError("the reader of standard output closed it", BROKEN_PIPE_CODE)
    return CommandError(f"cannot write to standard output: {error.strerror}", OUTPUT_CODE)
