"""One call in progress: its deadline, its attempts, and the notices to its observer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, TypeAlias

from ..errors import SmRuntimeError
from ..metadata import Attempt
from ..notices import (
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    FirstByte,
    Notice,
    PieceReceived,
    RequestBuilt,
    StreamEnded,
    Waiting,
)
from ..protocol._bindings import Output
from ..protocol._decoding import request_id_of
from ..protocol._operations import Operation
from ..values._http import Request, Response
from ._deadline import Clock, Deadline
from ._recovery import RetryDecision, outcome

Members = ParamSpec("Members")
Observer: TypeAlias = Callable[[Notice], object]
CANCELLED: Final = "cancelled"


class CallTracker(Deadline):
    """The deadline and the attempts of one call; notifies its observer, if there is one.

    `waited` is the pause in seconds before the current attempt. The IO calls `notify` when the
    first byte of a response arrives.
    """

    attempts: tuple[Attempt, ...] = ()
    waited: float = 0.0
    notify: Callable[[], None] | None = None
    _attempt_began = 0.0
    _attempt_number = 0  # of the attempt in progress, or of the last one

    def __init__(
        self,
        observe: Observer | None,
        operation: Operation[Output],
        request: Request,
        invocation: str,
        clock: Clock,
        seconds: float | None,
        region: str = "",
    ) -> None:
        super().__init__(clock, seconds)
        self.invocation: str = invocation
        self._observe = observe
        self._operation = operation
        self._call_began = clock.monotonic()
        if observe is not None:
            self._notify(RequestBuilt, *self._describe_request(request, region))

    def _describe_request(
        self, request: Request, region: str
    ) -> tuple[str, str, int, str, str, str, str | None]:
        """Return the members of `RequestBuilt`."""
        host, _, path = request.url.partition("://")[2].partition("/")
        members = vars(self._operation)
        return (
            request.method,
            "/" + path.partition("?")[0],
            len(request.body),
            members.get("endpoint_name", ""),  # an operation of the caller's may have none
            region,
            host,
            members.get("inference_component_name"),
        )

    def _notify(
        self,
        notice: Callable[Concatenate[str, str, Members], Notice],
        *members: Members.args,
        **named_members: Members.kwargs,
    ) -> None:
        """Send the observer, if there is one, a notice with these members.

        An observer that raises gets no other notice of this call, whose end it is.
        """
        observe = self._observe
        if observe is not None:
            operation_name = type(self._operation).__name__
            try:
                observe(notice(operation_name, self.invocation, *members, **named_members))
            except Exception:
                self._observe = None
                raise

    @property
    def seconds(self) -> float:
        """Seconds since the call began."""
        return self._clock.monotonic() - self._call_began

    def start_attempt(self, attempt_limit: int) -> tuple[int, int]:
        """Begin an attempt; return its number and how many there may be."""
        self._attempt_began = self._clock.monotonic()
        attempt_number = self._attempt_number = len(self.attempts) + 1
        attempt_limit = max(attempt_limit, attempt_number)
        if self._observe is not None:
            self._notify(AttemptStarted, attempt_number, attempt_limit)
            self.notify = self._receive_first_byte
        return attempt_number, attempt_limit

    def _receive_first_byte(self) -> None:
        seconds = self._clock.monotonic() - self._attempt_began
        self._notify(FirstByte, len(self.attempts) + 1, seconds)

    def receive_piece(self, byte_count: int) -> None:
        """Note that `byte_count` bytes of a streamed response have arrived."""
        self._notify(PieceReceived, byte_count)

    @property
    def is_observed(self) -> bool:
        """Whether notices reach an observer."""
        return self._observe is not None

    def end_stream(self, outcome: str, events: int, size: int) -> None:
        """Note that a stream is over, after `events` parts with `size` bytes."""
        self._notify(StreamEnded, outcome, self.seconds, events, size)

    def attempts_with(self, response: Response) -> tuple[Attempt, ...]:
        """Return all attempts, the current one included, which `response` answers."""
        return self._with_attempt("ok", response.status, request_id_of(response.headers))

    def _with_attempt(
        self, outcome: str, status: int | None, request_id: str | None
    ) -> tuple[Attempt, ...]:
        seconds = self._clock.monotonic() - self._attempt_began
        return (*self.attempts, Attempt(outcome, seconds, self.waited, status, request_id))

    def note_success(self, attempts: tuple[Attempt, ...]) -> None:
        """Note that the last of `attempts` succeeded."""
        self._end_attempt(attempts)
        if self._observe is not None:
            self.end()

    def note_failure(self, failure: SmRuntimeError) -> None:
        """Note that an attempt ended in `failure`; its metadata lists all attempts afterwards."""
        metadata = failure.metadata
        attempts = self._with_attempt(outcome(failure), metadata.status, metadata.request_id)
        self._end_attempt(attempts)
        failure.metadata = metadata._replace(attempts=self.attempts)

    def _end_attempt(self, attempts: tuple[Attempt, ...]) -> None:
        self.attempts = attempts
        if self._observe is not None:
            ended_as, seconds, _, status, request_id = attempts[-1]
            self._notify(AttemptEnded, len(attempts), ended_as, seconds, status, request_id)

    def note_pause(self, decision: RetryDecision) -> None:
        """Note that another attempt follows after a pause."""
        self.waited = decision.delay or 0.0
        if decision.delay is not None:
            self._notify(Waiting, decision.delay, decision.reason)

    def end(self, failure: BaseException | None = None) -> None:
        """Note that the call is over; `failure` is the reason if there was no attempt."""
        last_outcome = self.attempts[-1].outcome if self.attempts else type(failure).__name__
        self._notify(CallEnded, last_outcome, len(self.attempts), self.seconds)

    def cancel(self) -> None:
        """Note that the caller gave up the call: a cancellation, or an interrupt."""
        if self._observe is None:
            return
        if self._attempt_number > len(self.attempts):
            seconds = self._clock.monotonic() - self._attempt_began
            self._notify(AttemptEnded, self._attempt_number, CANCELLED, seconds)
        self._notify(CallEnded, CANCELLED, self._attempt_number, self.seconds)
