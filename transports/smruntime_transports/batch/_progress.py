"""What an earlier run of the same records has left: finished, in flight, or not sent at all."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ._groups import StoredJob

MOST_RUNS: Final = 255  # what a byte counts


class RecordState(IntEnum):
    """What is known of a record.

    UNSENT     its model has not run, or it was never sent
    SENT       the run ended while it was in flight: the model may have run
    REPEATED   the model has run, and the record was to be sent again
    SUBMITTED  it belongs to an asynchronous invocation whose answer can be collected
    FINISHED   it has a result
    """

    UNSENT = 0
    SENT = 1
    REPEATED = 2
    SUBMITTED = 3
    FINISHED = 4


class SavedProgress:
    """What is known of each record, two bytes each, and jobs by the index of their first record."""

    def __init__(self) -> None:
        self._states = bytearray()
        self._runs = bytearray()
        self.jobs: dict[int, StoredJob] = {}
        self._job_ranges: dict[StoredJob, list[range]] = {}

    def state_of(self, index: int) -> RecordState:
        """Return the state of the record at `index`."""
        states = self._states
        return RecordState(states[index]) if index < len(states) else RecordState.UNSENT

    def runs_of(self, index: int) -> int:
        """Return how often the model may have run for the record at `index`."""
        return self._runs[index] if index < len(self._runs) else 0

    def set_state(self, indexes: range, state: RecordState) -> None:
        """Set the state of records."""
        self._extend(indexes.stop)
        self._states[indexes.start : indexes.stop] = bytes((state,)) * len(indexes)

    def note_sent(self, indexes: range) -> None:
        """Note that records were sent, and have neither result nor failure so far."""
        self.set_state(indexes, RecordState.SENT)
        for index in indexes:
            self._runs[index] = min(self._runs[index] + 1, MOST_RUNS)

    def note_not_run(self, indexes: range) -> None:
        """Note that what was sent last did not reach the model."""
        self._extend(indexes.stop)
        for index in indexes:
            runs = self._runs[index] = max(self._runs[index] - 1, 0)
            self._states[index] = RecordState.REPEATED if runs else RecordState.UNSENT

    def count_repeated(self) -> int:
        """Return how many records with a result the model may have run for more than once."""
        pairs = zip(self._states, self._runs, strict=True)
        return sum(state == RecordState.FINISHED and runs > 1 for state, runs in pairs)

    def _extend(self, size: int) -> None:
        for known in (self._states, self._runs):
            if size > len(known):
                known.extend(bytes(size - len(known)))

    def add_job(self, ranges: list[range], job: StoredJob) -> None:
        """Note an accepted invocation for the records of `ranges`."""
        for indexes in ranges:
            self.set_state(indexes, RecordState.SUBMITTED)
        self._job_ranges[job] = ranges

    def find_open_jobs(self) -> None:
        """List the jobs whose answers are wanted: none of their records has a result."""
        for job, ranges in self._job_ranges.items():
            states = {self.state_of(index) for indexes in ranges for index in indexes}
            if states == {RecordState.SUBMITTED}:
                self.jobs[ranges[0].start] = job
                continue
            for index in (index for indexes in ranges for index in indexes):
                if self.state_of(index) == RecordState.SUBMITTED:
                    self.set_state(range(index, index + 1), RecordState.REPEATED)

    def job_size(self, job: StoredJob | None) -> int:
        """Return the number of records of a job, 0 for none."""
        return sum(map(len, self._job_ranges[job])) if job is not None else 0
