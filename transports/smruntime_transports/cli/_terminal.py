"""Messages and progress on standard error.

On a terminal they have colours and a progress bar if `rich` is installed and NO_COLOR is not set.
Everywhere else they are plain lines, and there is no progress.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Final, TextIO, TypeAlias

from smruntime_core.errors import escape_unprintable

if TYPE_CHECKING:
    from rich.console import Console

ProgressCallback: TypeAlias = Callable[[int, int], None]

LONG_UPLOAD_SIZE: Final = 1_000_000  # bytes; progress is shown from here on
ERASE_LINE: Final = "\r\x1b[K"


def print_error(text: str) -> None:
    """Print an error as one line to standard error."""
    _print_line(text, "bold red")


def print_message(text: str) -> None:
    """Print a message as one line to standard error."""
    _print_line(text, "cyan")


def _print_line(text: str, style: str) -> None:
    if sys.stderr is None:
        return
    line = escape_unprintable(text)
    try:
        console = colour_console()
        if console is not None:
            from rich.text import Text

            console.print(Text(line, style), soft_wrap=True)
        else:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
    except OSError:  # there is nothing left to report it to
        abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """Discard what a standard stream holds and will get.

    The interpreter flushes it at exit, and would report the same failure again.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def upload_progress(upload_size: int) -> Generator[ProgressCallback | None]:
    """Provide a callback that shows the progress of a long upload on a terminal, else None."""
    if upload_size < LONG_UPLOAD_SIZE or not is_terminal():
        yield None
        return
    console = colour_console()
    if console is None:
        yield _PlainMeter(upload_size)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = "sending", BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("sending", total=upload_size)

        def show(sent_size: int, received_size: int) -> None:
            bar.update(task, completed=sent_size)
            if received_size:
                bar.stop()
            else:
                bar.refresh()

        yield show


class _PlainMeter:
    """The percentage of an upload, removed when the response begins."""

    def __init__(self, upload_size: int) -> None:
        self._upload_size = upload_size
        self._shown_percent = -1

    def __call__(self, sent_size: int, received_size: int) -> None:
        percent = min(100, sent_size * 100 // self._upload_size)
        if received_size:
            sys.stderr.write(ERASE_LINE if self._shown_percent >= 0 else "")
            self._shown_percent = -1
        elif percent != self._shown_percent:
            self._shown_percent = percent
            sys.stderr.write(f"\rsending {self._upload_size / 1e6:.1f} MB: {percent} %")
        sys.stderr.flush()


def is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@cache
def colour_console() -> Console | None:
    """Return the console for colours and bars; None without terminal or `rich`, or if unwanted."""
    if not is_terminal() or os.environ.get("NO_COLOR"):
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(stderr=True, highlight=False, markup=False, emoji=False)
