"""Groups of records: what one request has, and what is known about its calls so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from smruntime_core import InvokeEndpointOutput, SmRuntimeError
from smruntime_core.conversation import CallTicket


class StoredJob(NamedTuple):
    """The locations of an asynchronous invocation that was accepted."""

    output_location: str
    failure_location: str | None


class Group(NamedTuple):
    """Consecutive records that one request has.

    `attempts` counts its requests, `possible_runs` those for which the model may have run. With a
    `job`, an earlier run has submitted it already.
    """

    indexes: tuple[int, ...]
    parts: tuple[bytes, ...]
    attempts: int = 0
    possible_runs: int = 0
    job: StoredJob | None = None

    def halve(self) -> tuple[Group, Group]:
        """Return both halves, which have had the requests of the whole."""
        middle = (len(self.indexes) + 1) // 2
        whole = self._replace(job=None)
        return (
            whole._replace(indexes=self.indexes[:middle], parts=self.parts[:middle]),
            whole._replace(indexes=self.indexes[middle:], parts=self.parts[middle:]),
        )


class GroupBuilder:
    """The records of a request as they are read, at most `max_size` bytes unless it has a job."""

    def __init__(self, max_size: int) -> None:
        self.job: StoredJob | None = None
        self._max_size = max_size
        self._indexes: list[int] = []
        self._parts: list[bytes] = []
        self._part_size = 0  # bytes, with a separator after each part
        self._runs = 0

    @property
    def size(self) -> int:
        """The number of records."""
        return len(self._indexes)

    def may_hold(self, runs: int, job: StoredJob | None) -> bool:
        """Return whether a record fits that may have run so often, and may belong to a job."""
        return not self._indexes or self.job is not None or (runs == self._runs and job is None)

    def has_room(self, part: bytes) -> bool:
        """Return whether a record of this size fits; the first always does."""
        fits = self._part_size + len(part) <= self._max_size
        return not self._indexes or self.job is not None or fits

    def add(self, index: int, part: bytes, runs: int, job: StoredJob | None) -> None:
        self._indexes.append(index)
        self._parts.append(part)
        self._part_size += len(part) + 1
        self._runs, self.job = runs, self.job or job

    def finished(self) -> Group | None:
        """Return the group, None if it is empty."""
        if not self._indexes:
            return None
        runs = self._runs - (self.job is not None)  # which is counted when it has been collected
        return Group(tuple(self._indexes), tuple(self._parts), 0, max(0, runs), self.job)


class Call(NamedTuple):
    """A request in flight, for a group; `body` is empty if the group has a job."""

    group: Group
    body: bytes
    ticket: CallTicket


class FinishedCall(NamedTuple):
    """A call and how it ended: with an output, a failure, or a bug that is raised.

    `was_accepted` says that an asynchronous invocation was submitted before the failure.
    """

    call: Call
    output: InvokeEndpointOutput | None = None
    failure: SmRuntimeError | None = None
    crash: BaseException | None = None
    was_accepted: bool = False


def format_ranges(indexes: Iterable[int]) -> str:
    """Return indexes in ascending order as ranges.

    >>> format_ranges([3, 4, 5, 9])
    '3-5,9-9'
    """
    ranges: list[list[int]] = []
    for index in indexes:
        if ranges and index == ranges[-1][1] + 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ",".join(f"{first}-{last}" for first, last in ranges)


def parse_ranges(text: str) -> list[range]:
    """Return the ranges that `format_ranges` wrote; raise `ValueError` for anything else."""
    ranges: list[range] = []
    for part in text.split(","):
        first, separator, last = part.partition("-")
        if not (separator and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            raise ValueError(f"{part!r} is no range")
        ranges.append(range(int(first), int(last) + 1))
    return ranges
