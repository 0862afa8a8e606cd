"""The progress of a batch: a bar by `rich` on a terminal, elsewhere a line each minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from .. import batch
from ._terminal import colour_console, is_terminal, print_message

LINE_SECONDS: Final = 60.0
REFRESH_SECONDS: Final = 0.2

ProgressObserver = Callable[[batch.Progress], None]


def describe_progress(progress: batch.Progress) -> str:
    """Return the counts of a run as one line."""
    new_records = progress.answered + progress.failed
    rate = new_records / progress.seconds if progress.seconds > 0 else 0.0
    invalid = f" ({progress.invalid} of them invalid)" if progress.invalid else ""
    parts = [
        f"{new_records} records in {progress.seconds:.1f} s ({rate:.0f} a second): "
        f"{progress.answered} answered, {progress.failed} failed{invalid}",
        f"{progress.requests} requests, {progress.throttled} throttled",
        f"{progress.possibly_repeated} records may have run twice",
    ]
    if progress.finished_before:
        parts.insert(1, f"{progress.finished_before} were finished before")
    if progress.stopped is not None:
        reason = {"interrupted": "interrupted", "max_failures": "too many failures"}
        parts.append(f"stopped ({reason[progress.stopped]}); --resume continues")
    return "; ".join(parts)


class TimeLeft:
    """The seconds that the rest of an input will take, by the share that was read."""

    def __init__(self, reader: batch.RecordReader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._first: tuple[float, float] | None = None  # after what an earlier run finished

    def share(self) -> float | None:
        """Return which share of the input was read, None if its size is not known."""
        size = self._reader.size
        return None if not size else min(1.0, self._reader.position / size)

    def estimate(self, progress: batch.Progress) -> float | None:
        """Return the seconds left, None while nothing is known."""
        share, now = self.share(), self._clock()
        if share is None or not progress.requests:
            return None
        if self._first is None:
            self._first = share, now
        first_share, first_time = self._first
        if share <= first_share:
            return None
        return (now - first_time) * (1 - share) / (share - first_share)


@contextmanager
def show_progress(reader: batch.RecordReader) -> Generator[ProgressObserver]:
    """Provide a function that shows the progress that it is called with."""
    console = colour_console() if is_terminal() else None
    time_left = TimeLeft(reader, time.monotonic)
    if console is None:
        yield _LineProgress(time_left).show
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=1.0)
        shown_at = 0.0

        def show(progress: batch.Progress) -> None:
            nonlocal shown_at
            now = time.monotonic()
            if now - shown_at >= REFRESH_SECONDS:
                shown_at = now
                text = _describe_state(progress, time_left.estimate(progress))
                bar.update(task, completed=time_left.share() or 0.0, description=text)
                bar.refresh()

        yield show


class _LineProgress:
    """Prints a line each minute."""

    def __init__(self, time_left: TimeLeft) -> None:
        self._time_left = time_left
        self._printed_at = time.monotonic()

    def show(self, progress: batch.Progress) -> None:
        seconds_left = self._time_left.estimate(progress)
        now = time.monotonic()
        if now - self._printed_at >= LINE_SECONDS:
            self._printed_at = now
            print_message(_describe_state(progress, seconds_left))


def _describe_state(progress: batch.Progress, seconds_left: float | None) -> str:
    new_records = progress.answered + progress.failed
    rate = new_records / progress.seconds if progress.seconds > 0 else 0.0
    left = "" if seconds_left is None else f", {format_seconds(seconds_left)} left"
    return (
        f"{progress.records} records, {rate:.0f} a second, {progress.failed} failed, "
        f"{progress.in_flight} of at most {progress.limit} in flight{left}"
    )


def format_seconds(seconds: float) -> str:
    """Return a duration as hours, minutes and seconds."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
