"""One call as it goes: how long it has taken and may take, what its attempts came to, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, cast

from ..errors import SmRuntimeError
from ..metadata import Attempt, Metadata
from ..notices import AttemptEnded, AttemptStarted, CallEnded, FirstByte, Notice, PieceReceived, RequestBuilt, Waiting
from ..protocol._bindings import Output
from ..protocol._operations import Operation
from ..values._messages import Request
from ._deadline import Clock, Deadline
from ._recovery import Again

Observer: TypeAlias = Callable[[Notice], object]


class Told(Protocol):
    """What an exchange comes to says something of itself."""

    @property
    def metadata(self) -> Metadata: ...


class Watch(Deadline):
    """Keeps time and the attempts at one call, and tells the observer what happens to it, if there is an observer."""

    attempts: tuple[Attempt, ...] = ()
    notify: Callable[[], None] | None = None  # to be called when the first byte of an answer is there
    _attempt_begun = 0.0

    def __init__(
        self, observe: Observer | None, operation: Operation[Output], request: Request, invocation: str, clock: Clock, seconds: float | None
    ) -> None:
        self.invocation = invocation
        self._observe = observe
        self._operation = operation
        self._clock = clock
        self._begun = begun = clock.monotonic()
        self._end = None if seconds is None else begun + seconds
        if observe is not None:
            path = request.url.partition("://")[2].partition("/")[2].partition("?")[0]
            observe(RequestBuilt(self._name, invocation, request.method, f"/{path}", len(request.body)))

    @property
    def _name(self) -> str:
        return type(self._operation).__name__

    @property
    def seconds(self) -> float:
        """Since the call began."""
        return self._clock.monotonic() - self._begun

    def started(self, most: int) -> tuple[int, int]:
        """An attempt begins: its number, and how many there may be (what is mended for nothing is not counted)."""
        self._attempt_begun = self._clock.monotonic()
        number = len(self.attempts) + 1
        shown = most if number <= most else number
        if self._observe is not None:
            self._tell_start(self._observe, number, shown)
        return number, shown

    def _tell_start(self, observe: Observer, number: int, most: int) -> None:
        begun = self._attempt_begun
        observe(AttemptStarted(self._name, self.invocation, number, most))

        def notify() -> None:
            observe(FirstByte(self._name, self.invocation, number, self._clock.monotonic() - begun))

        self.notify = notify

    def piece(self, size: int) -> None:
        """Some of a streamed answer has come."""
        if self._observe is not None:
            self._observe(PieceReceived(self._name, self.invocation, size))

    def attempt(self, outcome: str, metadata: Metadata, waited: float) -> None:
        """An attempt came to `outcome`."""
        seconds = self._clock.monotonic() - self._attempt_begun
        # `Attempt(…)` at half the price; what `tuple.__new__` takes is of no one type to pyright
        made = tuple.__new__(Attempt, (outcome, seconds, waited, metadata.status, metadata.request_id))  # pyright: ignore[reportUnknownMemberType]
        self.attempts += (made,)
        if self._observe is not None:
            number = len(self.attempts)
            self._observe(AttemptEnded(self._name, self.invocation, number, outcome, seconds, metadata.status, metadata.request_id))

    def succeeded(self, result: Told, waited: float) -> None:
        """The last attempt brought `result`."""
        metadata = result.metadata
        try:
            self.attempt("ok", metadata, waited)
            if self._observe is not None:
                self.ended(None)
        except BaseException:  # an observer's; what nobody will read must not stay open
            from ._stream import Stream

            if isinstance(result, Stream):
                cast("Stream[Output]", result).close()
            raise
        metadata.complete("attempts", self.attempts)

    def waiting(self, again: Again) -> None:
        """There will be another attempt, but not yet."""
        if self._observe is not None:
            self._observe(Waiting(self._name, self.invocation, again.delay or 0.0, again.reason))

    def ended(self, failure: SmRuntimeError | None) -> SmRuntimeError:
        """The call is over; `failure` back, to be raised."""
        if self._observe is not None:
            last = self.attempts[-1].outcome if self.attempts else type(failure).__name__
            self._observe(CallEnded(self._name, self.invocation, last, len(self.attempts), self.seconds))
        return failure or SmRuntimeError()
