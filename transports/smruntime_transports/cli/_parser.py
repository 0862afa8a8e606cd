"""The parser of all commands: an error is one line, and `--help` shows texts as they are."""

from __future__ import annotations

import argparse
import math
from typing import Any, NoReturn

from ._exit import INVALID_CODE
from ._guard import print_output
from ._terminal import print_error


class CommandParser(argparse.ArgumentParser):
    """A parser that takes no abbreviations and reports an error in one line."""

    def __init__(self, *, prog: str, description: str, usage: str | None = None) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def print_help(self, file: Any = None) -> None:
        """Print the help to standard output, whatever its encoding is."""
        print_output(self.format_help().rstrip())

    def error(self, message: str) -> NoReturn:
        """Print one line to standard error and exit."""
        print_error(f"{self.prog}: {message} (see {self.prog} --help)")
        self.exit(INVALID_CODE)


def parse_seconds(text: str) -> float:
    """Return a number of seconds above 0."""
    return parse_number(text, unit="seconds")


def parse_number(text: str, unit: str) -> float:
    """Return a number above 0 of some unit."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be {unit} above 0, such as 2.5")
    return number


def parse_count(text: str, lowest: int, highest: int) -> int:
    """Return a whole number from `lowest` to `highest`."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not lowest <= number <= highest:
        rule = f"a whole number from {lowest} to {highest}"
        raise argparse.ArgumentTypeError(f"{text!r} must be {rule}")
    return number
