"""What the flow of a run asks its IO to do."""

from __future__ import annotations

from smruntime_core.effects import Effect

from ._groups import Call, FinishedCall, Group
from ._results import Result


class ReadRecords(Effect[list[object]]):
    """Return at most `count` further records; none if there are no more."""

    method = "read_records"
    feature = "batch"

    count: int


class StartCall(Effect[None]):
    """Note in the checkpoint that the group is sent, then begin its call and return at once."""

    method = "start_call"
    feature = "batch"

    call: Call


class AwaitCalls(Effect[list[FinishedCall]]):
    """Return the calls that have ended, as soon as one has; none after `timeout` seconds."""

    method = "await_calls"
    feature = "batch"

    timeout: float


class WriteResults(Effect[None]):
    """Write results to the sink, in this order."""

    method = "write_results"
    feature = "batch"

    results: list[Result]


class NotePostponed(Effect[None]):
    """Note in the checkpoint that the group is to be sent again.

    `has_run` says whether the model may have run for its last request.
    """

    method = "note_postponed"
    feature = "batch"

    group: Group
    has_run: bool
