"""One call under way: its time, the attempts at it, and what its observer is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

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
    Waiting,
)
from ..protocol._bindings import Output
from ..protocol._decoding import request_id_of
from ..protocol._operations import Operation
from ..values._http import Request, Response
from ._deadline import Clock, Deadline
from ._recovery import RetryDecision, outcome

Observer: TypeAlias = Callable[[Notice], object]


class CallTracker(Deadline):
    """Keeps the time and the attempts of one call, and notifies its observer, if there is one."""

    attempts: tuple[Attempt, ...] = ()
    waited = 0.0  # seconds before the attempt under way
    notify: Callable[[], None] | None = (
        None  # the IO calls it when the first byte of an answer has arrived
    )
    _attempt_began = 0.0

    def __init__(
        self,
        observe: Observer | None,
        operation: Operation[Output],
        request: Request,
        invocation: str,
        clock: Clock,
        seconds: float | None,
    ) -> None:
        super().__init__(clock, seconds)
        self.invocation = invocation
        self._observe = observe
        self._operation = operation
        self._began = clock.monotonic()
        if observe is not None:
            path = request.url.partition("://")[2].partition("/")[2].partition("?")[0]
            observe(
                RequestBuilt(self._name, invocation, request.method, f"/{path}", len(request.body))
            )

    @property
    def _name(self) -> str:
        return type(self._operation).__name__

    @property
    def seconds(self) -> float:
        """Seconds since the call began."""
        return self._clock.monotonic() - self._began

    def start_attempt(self, limit: int) -> tuple[int, int]:
        """Return the number of the attempt that begins, and how many there may be."""
        self._attempt_began = self._clock.monotonic()
        number = len(self.attempts) + 1
        limit = max(limit, number)
        if self._observe is not None:
            self._observe(AttemptStarted(self._name, self.invocation, number, limit))
            self.notify = self._first_byte
        return number, limit

    def _first_byte(self) -> None:
        if self._observe is not None:
            seconds = self._clock.monotonic() - self._attempt_began
            self._observe(FirstByte(self._name, self.invocation, len(self.attempts) + 1, seconds))

    def piece(self, size: int) -> None:
        """Note that `size` bytes of a streamed answer have arrived."""
        if self._observe is not None:
            self._observe(PieceReceived(self._name, self.invocation, size))

    def answered(self, response: Response) -> tuple[Attempt, ...]:
        """Return all attempts, the last of them answered by `response`, which is yet to be parsed."""
        return self._with_attempt("ok", response.status, request_id_of(response.headers))

    def _with_attempt(
        self, outcome: str, status: int | None, request_id: str | None
    ) -> tuple[Attempt, ...]:
        seconds = self._clock.monotonic() - self._attempt_began
        return (*self.attempts, Attempt(outcome, seconds, self.waited, status, request_id))

    def succeeded(self, attempts: tuple[Attempt, ...]) -> None:
        """Note that the last of `attempts` succeeded."""
        self._end_attempt(attempts)
        if self._observe is not None:
            self.end()

    def failed(self, failure: SmRuntimeError) -> None:
        """Note that an attempt ended in `failure`, whose metadata lists all attempts from now on."""
        metadata = failure.metadata
        self._end_attempt(
            self._with_attempt(outcome(failure), metadata.status, metadata.request_id)
        )
        failure.metadata = metadata._replace(attempts=self.attempts)

    def _end_attempt(self, attempts: tuple[Attempt, ...]) -> None:
        self.attempts = attempts
        if self._observe is not None:
            how, seconds, _, status, request_id = attempts[-1]
            self._observe(
                AttemptEnded(
                    self._name, self.invocation, len(attempts), how, seconds, status, request_id
                )
            )

    def wait(self, again: RetryDecision) -> None:
        """Note that another attempt follows after a pause."""
        self.waited = again.delay or 0.0
        if self._observe is not None and again.delay is not None:
            self._observe(Waiting(self._name, self.invocation, again.delay, again.reason))

    def end(self, failure: SmRuntimeError | None = None) -> None:
        """Note that the call is over, because of `failure` if no attempt says why."""
        if self._observe is not None:
            last = self.attempts[-1].outcome if self.attempts else type(failure).__name__
            self._observe(
                CallEnded(self._name, self.invocation, last, len(self.attempts), self.seconds)
            )
