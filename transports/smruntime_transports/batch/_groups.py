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
