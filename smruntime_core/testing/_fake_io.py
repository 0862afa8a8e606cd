"""An IO with prepared answers, for tests of code that is given a client: no server, no waiting.

    >>> import smruntime_core as sm
    >>> from smruntime_core.testing import FakeIO
    >>> io = FakeIO([sm.ServiceUnavailable("busy"), sm.InvokeEndpointOutput(body=b"0.5")])
    >>> runtime = sm.Runtime(sm.Config(region="eu-west-1"), clock=io.clock, random=lambda: 0.5)
    >>> output = sm.run(runtime.call(sm.InvokeEndpoint("churn", body=b"1")), io)
    >>> output.body, [operation.endpoint_name for operation in io.operations], io.pauses
    (b'0.5', ['churn', 'churn'], [0.025])

With `smruntime_transports` it is `Client(io=FakeIO(…), region=…)` and
`AsyncClient(io=AsyncFakeIO(…), region=…)`. Each attempt takes the next answer, retries included:

    an output         `InvokeEndpointOutput(body=…)` and the like
    an error          `ServiceError` and its subclasses are answers of the service; any other
                      `SmRuntimeError`, such as `DispatchFailure`, is raised as by a transport
    a stream          list or tuple of bytes or text, a part each; an error in it ends the stream
    a `Response`      sent as it is, also to requests that are no operation, as of an S3 object
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias, cast

from ..effects import GetCredentials, Open, Receive, Send, Sleep
from ..errors import ConstructionError, ServiceError, SmRuntimeError
from ..protocol._bindings import Output
from ..protocol._operations import InvokeEndpointWithResponseStreamOutput, Operation
from ..service import answer, begin, event, read
from ..streaming import PayloadPart
from ..values._credentials import Credentials
from ..values._http import Request, Response, StreamingResponse
from ._conversation import FrozenClock

StreamItem: TypeAlias = bytes | str | SmRuntimeError
FakeAnswer: TypeAlias = Output | SmRuntimeError | Response | Sequence[StreamItem]

ANSWER_RULE: Final = (
    "an output, an SmRuntimeError, a Response, or a stream: a list of bytes, text and errors"
)
REQUEST_ID: Final = "00000000-0000-4000-8000-000000000000"


class FakeIO:
    """An IO that returns `answers` in order and records what it was asked.

    - `operations`: the operation of each attempt, as it travelled: with its members, signed or not.
    - `pauses`: the seconds of each wait between attempts; nothing waits.
    - `clock`: a `FrozenClock`, for a `Runtime` of one's own.

    A call without an answer left raises `AssertionError`. Raises `ConstructionError` for an answer
    of another type.
    """

    def __init__(
        self, answers: Iterable[FakeAnswer], *, credentials: Credentials | None = None
    ) -> None:
        self.operations: list[Operation[Output]] = []
        self.pauses: list[float] = []
        self.clock: FrozenClock = FrozenClock()
        self._answers = [_check_answer(index, item) for index, item in enumerate(answers)]
        self._given_count = len(self._answers)
        self._credentials = credentials or Credentials("AKIDFAKE", "fake-secret")

    @property
    def answers_left(self) -> int:
        """The number of answers that no attempt has taken."""
        return len(self._answers)

    def credentials(self, effect: GetCredentials, /) -> Credentials:
        """Return the credentials that were given, or made-up ones."""
        return self._credentials

    def sleep(self, effect: Sleep, /) -> None:
        """Record the pause and return at once."""
        self.pauses.append(effect.seconds)

    def send(self, effect: Send, /) -> Response:
        """Return the next answer as a whole response."""
        found_answer = self._take_answer(effect.request)
        if isinstance(found_answer, tuple):
            return _begin_stream().replace(body=b"".join(map(_encode_item, found_answer)))
        return found_answer

    def open(self, effect: Open, /) -> StreamingResponse:
        """Return the head of the next answer; `receive` returns its body."""
        found_answer = self._take_answer(effect.request)
        if isinstance(found_answer, tuple):
            head = _begin_stream()
            return StreamingResponse(head.status, head.headers, _FakeBody(found_answer))
        body = _FakeBody((), bytes(found_answer.body))
        return StreamingResponse(found_answer.status, found_answer.headers, body)

    def receive(self, effect: Receive, /) -> bytes:
        """Return the next part of a stream, or raise the error in its place."""
        return cast("_FakeBody", effect.body).next_bytes()

    def _take_answer(self, request: Request) -> Response | tuple[StreamItem, ...]:
        """Record the operation and return its answer; raise the error that stands for one."""
        operation = _read_operation(request)
        if operation is not None:
            self.operations.append(operation)
        described = type(operation).__name__ if operation else f"{request.method} {request.url}"
        if not self._answers:
            raise AssertionError(
                f"no answer left for {described}: "
                f"{self._given_count} were given, and each attempt takes one"
            )
        found_answer = self._answers.pop(0)
        if isinstance(found_answer, ServiceError):
            return answer(found_answer, request_id=REQUEST_ID)
        if isinstance(found_answer, SmRuntimeError):
            raise found_answer
        if isinstance(found_answer, Response):
            return found_answer
        if isinstance(found_answer, Output):
            if operation is not None and not isinstance(found_answer, operation.output):
                raise AssertionError(
                    f"the answer to {described} is an {type(found_answer).__name__}"
                )
            return answer(found_answer, request_id=REQUEST_ID)
        return tuple(found_answer)


class AsyncFakeIO:
    """The same as `FakeIO` for async clients and `run_async`, on any event loop."""

    def __init__(
        self, answers: Iterable[FakeAnswer], *, credentials: Credentials | None = None
    ) -> None:
        self._fake_io = FakeIO(answers, credentials=credentials)
        self.operations: list[Operation[Output]] = self._fake_io.operations
        self.pauses: list[float] = self._fake_io.pauses
        self.clock: FrozenClock = self._fake_io.clock

    @property
    def answers_left(self) -> int:
        """The number of answers that no attempt has taken."""
        return self._fake_io.answers_left

    async def credentials(self, effect: GetCredentials, /) -> Credentials:
        """Return the credentials that were given, or made-up ones."""
        return self._fake_io.credentials(effect)

    async def sleep(self, effect: Sleep, /) -> None:
        """Record the pause and return at once."""
        self._fake_io.sleep(effect)

    async def send(self, effect: Send, /) -> Response:
        """Return the next answer as a whole response."""
        return self._fake_io.send(effect)

    async def open(self, effect: Open, /) -> StreamingResponse:
        """Return the head of the next answer; `receive` returns its body."""
        return self._fake_io.open(effect)

    async def receive(self, effect: Receive, /) -> bytes:
        """Return the next part of a stream, or raise the error in its place."""
        return self._fake_io.receive(effect)


class _FakeBody:
    """The rest of a response: items of a stream, or bytes."""

    def __init__(self, items: tuple[StreamItem, ...], data: bytes = b"") -> None:
        self._items = list(items)
        self._data = data

    def next_bytes(self) -> bytes:
        if self._data:
            data, self._data = self._data, b""
            return data
        return _encode_item(self._items.pop(0)) if self._items else b""

    def abort(self) -> None:
        """Drop the rest."""
        self._items, self._data = [], b""


def _check_answer(index: int, given: object) -> FakeAnswer:
    if isinstance(given, Output | SmRuntimeError | Response):
        return given
    if not isinstance(given, list | tuple):
        raise ConstructionError(f"answers[{index}]", ANSWER_RULE, f"found {type(given).__name__}")
    items = tuple(cast("Sequence[object]", given))
    for position, item in enumerate(items):
        if not isinstance(item, bytes | str | SmRuntimeError):
            raise ConstructionError(
                f"answers[{index}][{position}]",
                "bytes, text or an SmRuntimeError",
                f"found {type(item).__name__}",
            )
        if isinstance(item, SmRuntimeError) and position < len(items) - 1:
            raise ConstructionError(
                f"answers[{index}][{position}]", "the last item, since an error ends a stream"
            )
    return cast("tuple[StreamItem, ...]", items)


def _read_operation(request: Request) -> Operation[Output] | None:
    """Return the operation of `request`; None if it is none, as a request to S3."""
    try:
        return read(request)
    except ServiceError:
        return None


def _begin_stream() -> Response:
    return begin(InvokeEndpointWithResponseStreamOutput(), request_id=REQUEST_ID)


def _encode_item(item: StreamItem) -> bytes:
    """Return an event for a part or a `ServiceError`; raise any other error."""
    if isinstance(item, ServiceError):
        return event(item)
    if isinstance(item, SmRuntimeError):
        raise item
    return event(PayloadPart(item.encode() if isinstance(item, str) else item))
