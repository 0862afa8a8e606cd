"""What an earlier run of the same records has left: finished, in flight, or not sent at all."""

from __future__ import annotations

from enum import IntEnum

from ._groups import StoredJob



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
    """The state of each record, a byte each, and the jobs by the index of their first record."""

    def __init__(self) -> None:
        self._states = bytearray()
        self.jobs: dict[int, StoredJob] = {}
        self._job_ranges: dict[StoredJob, list[range]] = {}

    def state_of(self, index: int) -> RecordState:
        """Return the state of the record at `index`."""
        states = self._states
        return RecordState(states[index]) if index < len(states) else RecordState.UNSENT

    def set_state(self, indexes: range, state: RecordState) -> None:
        """Set the state of records."""
        if indexes.stop > len(self._states):
            self._states.extend(bytes(indexes.stop - len(self._states)))
        self._states[indexes.start : indexes.stop] = bytes((state,)) * len(indexes)

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
