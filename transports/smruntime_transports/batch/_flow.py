"""The flow of a run, written once for threads and for event loops.

    read records ──> group ──> call ──> split the answer ──> results, one for each record
                       ^          │
                       └── again, later or in halves

- As many calls are in flight as `ConcurrencyLimit` says; further records are read only when a call
  can begin, so memory does not depend on their number.
- A group that may be sent again is, after the delays of the client's `RetryPolicy`.
- A group that fails otherwise, or whose answer has another number of outputs, is sent in halves
  until the failing record is alone. A request that may have arrived (`maybe_sent`) is not sent
  again, whole or in halves, unless the run is idempotent.
- A failure that says that every other call would fail as well (no credentials, access denied, an
  unknown endpoint) ends the run; its records stay open for `resume`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

from smruntime_core import (
    ConstructionError,
    CredentialsError,
    DispatchFailure,
    ModelError,
    ResponseError,
    RetryPolicy,
    ServiceError,
    SmRuntimeError,
)
from smruntime_core.conversation import Clock, ConcurrencyLimit
from smruntime_core.effects import Flow

from ._codecs import BatchCodec
from ._effects import AwaitCalls, NotePostponed, ReadRecords, StartCall, WriteResults
from ._failures import describe_failure, is_throttled, is_unknown, judge_load, may_have_run
from ._groups import Call, FinishedCall, Group, GroupBuilder
from ._progress import RecordState, SavedProgress
from ._records import InvalidRecord
from ._results import INTERRUPTED, INVALID_RECORD, RecordError, Result, ResultQueue

StopReason: TypeAlias = Literal["interrupted", "max_failures"]

LONGEST_WAIT: Final = 0.5  # seconds; then the flow looks whether it should stop
ORDER_WINDOW: Final = 4  # times the records in flight that wait for an earlier one
UNLIMITED_TOKENS: Final = float("inf")
REFUSED_STATUSES: Final = (401, 403)


class BatchPlan(NamedTuple):
    """How to run: sizes, limits, and what may happen twice; see `run`."""

    codec: BatchCodec
    rows_per_request: int
    max_request_size: int
    max_in_flight: int
    policy: RetryPolicy
    max_failures: int | None
    rate: float | None
    ordered: bool
    skip_invalid: bool


class Progress(NamedTuple):
    """A run so far.

    `answered` and `failed` are records with a result, `invalid` those of `failed` that were not
    sent because they cannot be read, `finished_before` those that an earlier run had finished.
    `requests` were sent, of which `throttled` were refused. For `possibly_repeated` records, those
    of earlier runs included, the model may have run more than once. `limit` is how many calls may
    be in flight. `stopped` says why a run ended before its records did.
    """

    answered: int = 0
    failed: int = 0
    invalid: int = 0
    finished_before: int = 0
    requests: int = 0
    throttled: int = 0
    possibly_repeated: int = 0
    in_flight: int = 0
    limit: int = 0
    seconds: float = 0.0
    stopped: StopReason | None = None

    @property
    def records(self) -> int:
        """Records with a result, those of earlier runs included."""
        return self.answered + self.failed + self.finished_before


class BatchRun:
    """One run; `flow` returns its last `Progress`."""

    def __init__(
        self,
        plan: BatchPlan,
        saved: SavedProgress,
        *,
        clock: Clock,
        random: Callable[[], float],
        should_stop: Callable[[], bool],
        observe: Callable[[Progress], object] | None = None,
    ) -> None:
        self._plan = plan
        self._saved = saved
        self._clock = clock
        self._random = random
        self._should_stop = should_stop
        self._observe = observe
        self._started_at = clock.monotonic()
        self._next_start = self._started_at
        self._limit = ConcurrencyLimit(plan.max_in_flight)
        self._progress = Progress(possibly_repeated=saved.count_repeated())
        self._next_index = 0
        self._records_ended = False
        self._read_ahead: deque[object] = deque()
        self._ready_groups: deque[Group] = deque()
        self._delayed_groups: list[tuple[float, int, Group]] = []
        self._delayed_count = 0
        self._results = ResultQueue(ordered=plan.ordered)
        self._fatal: SmRuntimeError | None = None

    def flow(self) -> Flow[Progress]:
        """Run until every record has a result, or the run is stopped; then raise what ended it."""
        while True:
            yield from self._start_calls()
            yield from self._write_results()
            if self._limit.in_flight == 0 and not self._has_work:
                break
            for finished in (yield from AwaitCalls(self._seconds_to_wait())):
                yield from self._finish(finished)
            yield from self._write_results()  # before other records are in flight
        if self._fatal is not None:
            raise self._fatal
        return self._progress

    @property
    def _has_work(self) -> bool:
        """Whether a call will begin that has not begun yet."""
        if self._is_stopping and (self._fatal is not None or not self._plan.ordered):
            return False
        if self._ready_groups or self._delayed_groups:
            return True
        return not self._is_stopping and (bool(self._read_ahead) or not self._records_ended)

    @property
    def _is_stopping(self) -> bool:
        """Whether no further record may be read: the calls in flight are finished, then it ends.

        An ordered run also finishes what waits to be sent again, or answers behind it were lost.
        """
        return self._fatal is not None or self._progress.stopped is not None

    def _start_calls(self) -> Flow[None]:
        """Begin calls until as many as may be are in flight, or nothing is ready."""
        while not self._limit.is_full:
            if self._progress.stopped is None and self._should_stop():
                self._count(stopped="interrupted")
            now = self._clock.monotonic()
            if now < self._next_start or not self._has_work:
                return
            group = yield from self._next_group(now)
            if group is None:
                return
            if self._plan.rate is not None:
                self._next_start = max(self._next_start, now - LONGEST_WAIT) + 1 / self._plan.rate
            body = b"" if group.job else self._plan.codec.join(group.parts)
            call = Call(group._replace(attempts=group.attempts + 1), body, self._limit.start(now))
            self._count(requests=1)
            yield from StartCall(call)

    def _next_group(self, now: float) -> Flow[Group | None]:
        """Return the group to send next, None if there is none now."""
        if self._delayed_groups and self._delayed_groups[0][0] <= now:
            return heapq.heappop(self._delayed_groups)[2]
        if self._ready_groups:
            return self._ready_groups.popleft()
        if self._is_stopping:
            return None
        in_window = ORDER_WINDOW * self._plan.rows_per_request * self._plan.max_in_flight
        if len(self._delayed_groups) >= self._plan.max_in_flight or (
            self._plan.ordered and self._results.waiting >= in_window
        ):
            return None
        return (yield from self._read_group())

    def _read_group(self) -> Flow[Group | None]:
        """Read records until they fill a request; None if there are no more."""
        group = GroupBuilder(self._plan.max_request_size)
        while group.size < (self._saved.job_size(group.job) or self._plan.rows_per_request):
            if not self._read_ahead:
                yield from self._read_more(self._plan.rows_per_request - group.size)
                if not self._read_ahead:
                    break
            index = self._next_index
            if self._pass_over(index):
                continue
            runs, job = self._saved.runs_of(index), self._saved.jobs.get(index)
            if not group.may_hold(runs, job):
                break
            part = self._encode(self._read_ahead[0], index)
            if part is not None and not group.has_room(part):
                break
            self._take_record()
            if part is not None:
                self._results.expect(index)
                group.add(index, part, runs, job)
            elif self._is_stopping:
                break
        return group.finished()

    def _pass_over(self, index: int) -> bool:
        """Take the next record if it is not to be sent again; return whether that was so."""
        state = self._saved.state_of(index)
        if state == RecordState.FINISHED:
            self._take_record()
            self._count(finished_before=1)
            return True
        if state == RecordState.SENT and not self._plan.policy.resend:
            self._take_record()
            self._results.expect(index)
            self._record_failures((index,), self._saved.runs_of(index), _INTERRUPTED_ERROR)
            return True
        return False

    def _read_more(self, count: int) -> Flow[None]:
        if not self._records_ended:
            self._read_ahead.extend((yield from ReadRecords(max(count, 1))))
            self._records_ended = not self._read_ahead

    def _take_record(self) -> None:
        self._read_ahead.popleft()
        self._next_index += 1

    def _encode(self, record: object, index: int) -> bytes | None:
        """Return a record as a part of a body; None, and an error, if that is impossible."""
        problem = record.message if isinstance(record, InvalidRecord) else None
        part: bytes | None = None
        if problem is None:
            try:
                part = self._plan.codec.encode(record)
            except SmRuntimeError as error:
                problem = f"record {index}: {error}"
        if problem is None:
            return part
        if self._plan.skip_invalid:
            self._results.expect(index)
            invalid = RecordError(INVALID_RECORD, None, "not_sent", problem)
            self._count(invalid=1)
            self._record_failures((index,), 0, invalid)
        else:
            remedy = "skip_invalid=True (--skip-invalid) makes it an error of its record"
            message = f"records: {problem}; {remedy}"
            self._fatal = ConstructionError("records", "valid", message=message)
        return None

    def _seconds_to_wait(self) -> float:
        """Return how long to wait for calls before something else is due."""
        now = self._clock.monotonic()
        due_times = [now + LONGEST_WAIT]
        if not self._limit.is_full and self._has_work:
            if self._delayed_groups:
                due_times.append(max(self._delayed_groups[0][0], self._next_start))
            if self._next_start > now:
                due_times.append(self._next_start)
        return max(0.0, min(due_times) - now)

    def _finish(self, finished: FinishedCall) -> Flow[None]:
        """Turn what a call ended as into results, or into groups that are sent again."""
        group = finished.call.group
        failure, is_split = finished.failure, True
        now = self._clock.monotonic()
        self._limit.finish(finished.call.ticket, judge_load(failure), now)
        if finished.output is not None:
            output = finished.output
            try:
                count = len(group.indexes)
                answers = self._plan.codec.split(output.body, output.content_type, count)
            except ResponseError as error:
                failure, is_split = error, False
            else:
                self._count_runs(group.possible_runs + 1, len(group.indexes))
                self._count(answered=len(answers))
                pairs = zip(group.indexes, answers, strict=True)
                self._results.add(Result(index, answer) for index, answer in pairs)
                return
        if failure is None:  # a call ends with an output or a failure
            return
        if finished.was_accepted and not isinstance(failure, ModelError | ResponseError):
            self._finish_uncollected(group, failure)
            return
        has_run = may_have_run(failure)
        group = group._replace(possible_runs=group.possible_runs + has_run, job=None)
        if is_throttled(failure):
            self._count(throttled=1)
        if not self._postpone(group, failure, now, may_retry=is_split):
            self._record_failures(group.indexes, group.possible_runs, describe_failure(failure))
        elif not has_run or not is_unknown(failure):
            yield from NotePostponed(group, has_run)

    def _finish_uncollected(self, group: Group, failure: SmRuntimeError) -> None:
        """Finish a group whose asynchronous invocation was accepted, but not collected.

        If the run ends, the checkpoint has its locations.
        """
        if self._is_about_all(failure):
            self._fatal = self._fatal or failure
            return
        error = describe_failure(failure)._replace(delivery="maybe_sent")
        self._record_failures(group.indexes, group.possible_runs + 1, error)

    def _postpone(
        self, group: Group, failure: SmRuntimeError, now: float, *, may_retry: bool
    ) -> bool:
        """Plan to send a group again, if it may be; return whether it is left without a result.

        Without `may_retry`, it is not sent again as a whole.
        """
        if self._is_about_all(failure):
            self._fatal = self._fatal or failure
            return True
        policy = self._plan.policy
        retry = (
            policy.plan(group.attempts, failure, UNLIMITED_TOKENS, self._random())
            if may_retry
            else None
        )
        if retry is not None:
            self._delayed_count += 1
            due_time = now + retry.delay
            heapq.heappush(self._delayed_groups, (due_time, self._delayed_count, group))
            return True
        if len(group.indexes) > 1 and self._may_halve(failure):
            # halves have attempts of their own, unless those of the whole were used up
            attempts = group.attempts if may_retry and policy.retryable(failure) else 0
            self._ready_groups.extend(half._replace(attempts=attempts) for half in group.halve())
            return True
        return False

    def _is_about_all(self, failure: SmRuntimeError) -> bool:
        """Return whether every other call would fail in the same way."""
        if isinstance(failure, ServiceError):
            if failure.status in REFUSED_STATUSES:
                return True
            return failure.code == "ValidationError" and self._progress.answered == 0
        return isinstance(failure, CredentialsError | ConstructionError)

    def _may_halve(self, failure: SmRuntimeError) -> bool:
        """Return whether the halves of a group may be sent after `failure`, and may fare better."""
        if isinstance(failure, DispatchFailure):
            if failure.delivery == "maybe_sent":
                return self._plan.policy.resend
            return failure.delivery == "answered"
        return not is_throttled(failure)

    def _record_failures(
        self, indexes: tuple[int, ...], possible_runs: int, error: RecordError
    ) -> None:
        self._count_runs(possible_runs, len(indexes))
        self._count(failed=len(indexes))
        self._results.add(Result(index, None, error) for index in indexes)
        most = self._plan.max_failures
        if most is not None and self._progress.failed > most and not self._progress.stopped:
            self._count(stopped="max_failures")

    def _count_runs(self, possible_runs: int, record_count: int) -> None:
        if possible_runs > 1:
            self._count(possibly_repeated=record_count)

    def _count(self, *, stopped: StopReason | None = None, **increments: int) -> None:
        """Add to the counts of the progress."""
        counts = {name: getattr(self._progress, name) + by for name, by in increments.items()}
        self._progress = self._progress._replace(
            stopped=stopped or self._progress.stopped, **counts
        )

    def _write_results(self) -> Flow[None]:
        results = self._results.take()
        if results:
            yield from WriteResults(results)
        self._progress = self._progress._replace(
            in_flight=self._limit.in_flight,
            limit=self._limit.limit,
            seconds=self._clock.monotonic() - self._started_at,
        )
        if self._observe is not None:
            self._observe(self._progress)


_INTERRUPTED_ERROR: Final = RecordError(
    INTERRUPTED,
    None,
    "maybe_sent",
    "an earlier run ended while this record was in flight, so the model may have run; "
    "idempotent=True (--idempotent) sends it again",
)
