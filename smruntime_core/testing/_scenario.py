"""A scenario: what a server does, what the client calls, the expected outcomes, and the check."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from ..conversation._retries import RetryPolicy
from ..errors import DispatchFailure, ServiceError, SmRuntimeError
from ..protocol._bindings import Output
from ..protocol._operations import (
    InvokeEndpoint,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
)
from ..values._http import MAX_ERROR_BODY
from ..values._record import Record, field
from ..values._timeouts import Timeouts
from ._server_script import Script

OperationT = TypeVar("OperationT")

DEFAULT_CALL: Final = InvokeEndpoint(
    endpoint_name="iris", body=b"5.1,3.5,1.4,0.2", content_type="text/csv"
)
MAX_OVERRUN: Final = 2.0  # seconds that a scenario may last beyond its `duration`
SPARE_MEMORY: Final = 8 * MAX_ERROR_BODY  # bytes that a call may use beyond what its limits allow


class ExpectedOutput(Record):
    """A successful call: its body, and its custom attributes and attempts unless they are None."""

    body: bytes = b"well"
    custom_attributes: str | None = None
    attempts: tuple[str, ...] | None = None


class ExpectedFailure(Record):
    """A `DispatchFailure`. `"closed|reset"` means either; what is None is not compared."""

    kind: str
    phase: str = "head"
    delivery: str = "maybe_sent"
    status: int | None = None
    reused: bool | None = None
    attempts: tuple[str, ...] | None = None


class ExpectedError(Record):
    """A `ServiceError`, of exactly `error_type` if that is given; what is None is not compared."""

    code: str
    status: int
    message: str | None = None
    raw_message: str | None = None
    truncated: bool = False
    error_type: type[ServiceError] | None = None
    members: tuple[tuple[str, object], ...] = ()
    attempts: tuple[str, ...] | None = None


class ExpectedStream(Record):
    """A streamed call: at least so many items, then `failure` (None: no error)."""

    items: int
    failure: ExpectedFailure | None = None


Expectation: TypeAlias = "ExpectedOutput | ExpectedFailure | ExpectedError | ExpectedStream"


class StreamedCall(Record, kw_only=True):
    """A call whose response is read as a stream, by the stream's method `reader`.

    The caller leaves the stream after `leave_after` items (None: reads it to its end).
    """

    reader: str = "bytes"
    leave_after: int | None = None
    operation: InvokeEndpointWithResponseStream = field(
        default=InvokeEndpointWithResponseStream(endpoint_name="story", body=b"Once")
    )


class StreamOutcome(NamedTuple):
    """How many items a streamed call gave, and the error that ended it."""

    items: int
    error: Exception | None = None


class Scenario(Record, kw_only=True):
    """One way in which a fault (its number: `fault`) can show.

    One client calls `operations` one after another, `interval` seconds apart; `expected` is the
    outcome of each. The server must see `requests` requests (None: one per call) and `connections`
    connections (None: any number). The calls may take `duration` seconds and 2 s more, and
    `memory_limit` bytes where memory is measured. A `splittable` response can be sent byte by byte
    with the same outcome.
    """

    fault: str
    name: str
    script: Script
    expected: tuple[Expectation, ...] = (ExpectedOutput(),)
    operations: tuple[InvokeEndpoint | StreamedCall, ...] = ()
    requests: int | None = None
    connections: int | None = None
    interval: float = 0.0
    duration: float = 0.0
    memory_limit: int | None = None
    splittable: bool = False
    timeouts: Timeouts = field(default=Timeouts(connect=5.0, response=5.0, idle=5.0))
    retries: RetryPolicy = field(default=RetryPolicy(base_delay=0.01, throttling_delay=0.01))
    max_body: int | None = None
    anonymous: bool = False

    def __str__(self) -> str:
        return f"{self.fault} {self.name}"

    @property
    def calls(self) -> tuple[InvokeEndpoint | StreamedCall, ...]:
        """The operations, one for each expected outcome."""
        return self.operations or (DEFAULT_CALL,) * len(self.expected)

    @property
    def is_streamed(self) -> bool:
        """Whether a call is a `StreamedCall`."""
        return any(isinstance(operation, StreamedCall) for operation in self.operations)


class Observation(Record):
    """What a server saw of a client, how long the client took, and its peak memory if measured."""

    requests: int
    connections: int
    seconds: float
    peak_memory: int | None = None


def outcomes(
    call: Callable[[OperationT], object],
    operations: Iterable[OperationT | StreamedCall],
    stream: Callable[[InvokeEndpointWithResponseStream], Any] | None = None,
) -> list[object]:
    """Return the outcome of `call` with each of `operations`: its result or its exception.

    `stream` begins a streamed call and returns its response, as `Client.stream` does.
    """
    collected_outcomes: list[object] = []
    for operation in operations:
        try:
            if isinstance(operation, StreamedCall):
                collected_outcomes.append(_read_stream(stream, operation))
            else:
                collected_outcomes.append(call(operation))
        except Exception as error:  # `find_differences` says which are allowed
            collected_outcomes.append(error)
    return collected_outcomes


async def awaited_outcomes(
    call: Callable[[OperationT], Awaitable[object]],
    operations: Iterable[OperationT | StreamedCall],
    stream: Callable[[InvokeEndpointWithResponseStream], Any] | None = None,
) -> list[object]:
    """Return the same as `outcomes`, for an async `call`.

    The iterator of operations blocks the event loop until an operation is due. If the loop must run
    for a transport to notice a closed connection, let `call` yield to the loop once at its start.
    """
    collected_outcomes: list[object] = []
    for operation in operations:
        try:
            if isinstance(operation, StreamedCall):
                collected_outcomes.append(await _read_async_stream(stream, operation))
            else:
                collected_outcomes.append(await call(operation))
        except Exception as error:  # `find_differences` says which are allowed
            collected_outcomes.append(error)
    return collected_outcomes


def _read_stream(
    stream: Callable[[InvokeEndpointWithResponseStream], Any] | None, streamed_call: StreamedCall
) -> StreamOutcome:
    items = 0
    try:
        with _require(stream)(streamed_call.operation) as response:
            for _ in getattr(response, streamed_call.reader)():
                items += 1
                if items == streamed_call.leave_after:
                    break
    except SmRuntimeError as error:
        return StreamOutcome(items, error)
    return StreamOutcome(items)


async def _read_async_stream(
    stream: Callable[[InvokeEndpointWithResponseStream], Any] | None, streamed_call: StreamedCall
) -> StreamOutcome:
    items = 0
    try:
        async with _require(stream)(streamed_call.operation) as response:
            async for _ in getattr(response, streamed_call.reader)():
                items += 1
                if items == streamed_call.leave_after:
                    break
    except SmRuntimeError as error:
        return StreamOutcome(items, error)
    return StreamOutcome(items)


def _require(
    stream: Callable[[InvokeEndpointWithResponseStream], Any] | None,
) -> Callable[[InvokeEndpointWithResponseStream], Any]:
    if stream is None:
        raise TypeError("the scenario has a StreamedCall: pass stream=, or select by is_streamed")
    return stream


def find_differences(
    scenario: Scenario, found: list[object], observation: Observation
) -> list[str]:
    """Return what differs from the scenario's expectations, one line each; empty if it passed."""
    differences: list[str] = []
    if len(found) != len(scenario.expected):
        differences.append(f"expected {len(scenario.expected)} outcomes, found {len(found)}")
    for number, (expected, outcome) in enumerate(zip(scenario.expected, found, strict=False), 1):
        differences += [f"call {number}: {line}" for line in _compare_outcome(expected, outcome)]
    requests = len(scenario.calls) if scenario.requests is None else scenario.requests
    connections, memory_limit = scenario.connections, scenario.memory_limit
    if observation.requests != requests:
        differences.append(f"expected {requests} requests, the server saw {observation.requests}")
    if connections is not None and observation.connections != connections:
        differences.append(
            f"expected {connections} connections, the server saw {observation.connections}"
        )
    if observation.seconds > scenario.duration + MAX_OVERRUN:
        differences.append(f"expected {scenario.duration} s, it took {observation.seconds:.2f} s")
    if memory_limit is not None and (observation.peak_memory or 0) > memory_limit:
        differences.append(
            f"expected at most {memory_limit} bytes of memory, used {observation.peak_memory}"
        )
    return differences


def _compare_outcome(expected: Expectation, outcome: object) -> list[str]:
    if isinstance(outcome, BaseException) and not isinstance(outcome, SmRuntimeError):
        return [f"expected {expected!r}, found an error that is no SmRuntimeError: {outcome!r}"]
    if isinstance(expected, ExpectedStream):
        return _compare_stream(expected, outcome)
    found = _comparable_fields(expected, outcome)
    if not found:
        return [f"expected {expected!r}, found {outcome!r}"]
    names = [field_description.name for field_description in expected._fields]
    wanted_fields = {name: getattr(expected, name) for name in names}
    differences = [
        f"{name} should be {value!r:.200}, is {found[name]!r:.200}"
        for name, value in wanted_fields.items()
        if not _is_expected(value, found[name])
    ]
    if isinstance(outcome, SmRuntimeError) and not str(outcome).isprintable():
        differences.append("str() of the error is not printable")
    return [f"{line} ({outcome!s:.200})" for line in differences]


def _compare_stream(expected: ExpectedStream, outcome: object) -> list[str]:
    if not isinstance(outcome, StreamOutcome):
        return [f"expected {expected!r}, found {outcome!r}"]
    differences: list[str] = []
    if outcome.items < expected.items:
        differences.append(f"items should be {expected.items} or more, are {outcome.items}")
    if expected.failure is not None:
        differences += _compare_outcome(expected.failure, outcome.error)
    elif outcome.error is not None:
        differences.append(f"expected no error, found {outcome.error!r}")
    return differences


def _is_expected(expected: object, found: object) -> bool:
    if expected is None:
        return True
    if isinstance(expected, str) and "|" in expected and isinstance(found, str):
        return found in expected.split("|")
    return expected == found


def _comparable_fields(
    expected: ExpectedOutput | ExpectedFailure | ExpectedError, outcome: object
) -> dict[str, object]:
    """Return the fields of `outcome` to compare; empty if it is of another kind than expected."""
    match expected, outcome:
        case ExpectedOutput(), InvokeEndpointOutput():
            return {
                "body": outcome.body,
                "custom_attributes": outcome.custom_attributes,
                "attempts": _attempt_outcomes(outcome),
            }
        case ExpectedFailure(), DispatchFailure():
            return {
                "kind": outcome.kind,
                "phase": outcome.phase,
                "delivery": outcome.delivery,
                "status": outcome.status,
                "reused": outcome.reused,
                "attempts": _attempt_outcomes(outcome),
            }
        case ExpectedError(), ServiceError():
            members = [(name, getattr(outcome, name, None)) for name, _ in expected.members]
            return {
                "code": outcome.code,
                "status": outcome.status,
                "message": outcome.message,
                "raw_message": outcome.message_raw,
                "truncated": outcome.truncated,
                "error_type": type(outcome),
                "members": tuple(members),
                "attempts": _attempt_outcomes(outcome),
            }
        case _:
            return {}


def _attempt_outcomes(outcome: Output | SmRuntimeError) -> tuple[str, ...]:
    return tuple(attempt.outcome for attempt in outcome.metadata.attempts)
