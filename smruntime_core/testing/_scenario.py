"""A scenario: what a server does, what the client is asked to do, and what is right then; and the judge of what came instead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar

from ..conversation._retries import RetryPolicy
from ..errors import DispatchFailure, ServiceError, SmRuntimeError
from ..protocol._bindings import Output
from ..protocol._operations import InvokeEndpoint, InvokeEndpointOutput
from ..values._http import MAX_ERROR_BODY
from ..values._record import Record, field
from ..values._timeouts import Timeouts
from ._server import Script

OperationT = TypeVar("OperationT")

CALL = InvokeEndpoint(endpoint_name="iris", body=b"5.1,3.5,1.4,0.2", content_type="text/csv")
LATEST = 2.0  # seconds beyond what a scenario takes: later is too late
SPARE = 8 * MAX_ERROR_BODY  # bytes of memory that a call may take beside what its limits allow


class Answer(Record):
    """The call comes off: with this body, these custom attributes if given, after these attempts if given."""

    body: bytes = b"well"
    attributes: str | None = None
    attempts: tuple[str, ...] | None = None


class Failure(Record):
    """The call fails in the network. `"closed|reset"` means either; what is None is not asked."""

    kind: str
    phase: str = "head"
    delivery: str = "maybe_sent"
    status: int | None = None
    reused: bool | None = None
    attempts: tuple[str, ...] | None = None


class Refusal(Record):
    """The service says no, and that is what the caller hears: an error of this very type if `type` is given."""

    code: str
    status: int
    message: str | None = None
    raw: str | None = None
    truncated: bool = False
    type: type[ServiceError] | None = None
    members: tuple[tuple[str, object], ...] = ()
    attempts: tuple[str, ...] | None = None


Right: TypeAlias = "Answer | Failure | Refusal"


class Scenario(Record, kw_only=True):
    """One way of one row of the faults. `operations` are called one after the other by one client, `gap` seconds apart.

    `right` is what each comes to. `requests` and `connections` are how many the server may see (None: as many as there are operations;
    any number). `takes` is how many seconds it takes if all goes well, `memory` how many bytes it may, where that is to be measured.
    `short` answers can be sent byte by byte and must mean the same.
    """

    row: str
    name: str
    script: Script
    right: tuple[Right, ...] = (Answer(),)
    operations: tuple[InvokeEndpoint, ...] = ()
    requests: int | None = None
    connections: int | None = None
    gap: float = 0.0
    takes: float = 0.0
    memory: int | None = None
    short: bool = False
    timeouts: Timeouts = field(default=Timeouts(connect=5.0, response=5.0, idle=5.0))
    retries: RetryPolicy = field(default=RetryPolicy(base_delay=0.01, throttling_delay=0.01))
    max_body: int | None = None

    def __str__(self) -> str:
        return f"{self.row} {self.name}"

    @property
    def calls(self) -> tuple[InvokeEndpoint, ...]:
        """The operations, one for each outcome."""
        return self.operations or (CALL,) * len(self.right)


class Seen(Record):
    """What a server saw of a client; how long the client took, and how many bytes of memory at its peak if that was measured."""

    requests: int
    connections: int
    seconds: float
    peak: int | None = None


def outcomes(
    call: Callable[[OperationT], object], operations: Iterable[OperationT]
) -> list[object]:
    """What `call` comes to with each of `operations`: what it returns, or what it raises."""
    found: list[object] = []
    for operation in operations:
        try:
            found.append(call(operation))
        except Exception as error:  # the judge says what may be raised
            found.append(error)
    return found


async def awaited_outcomes(
    call: Callable[[OperationT], Awaitable[object]], operations: Iterable[OperationT]
) -> list[object]:
    """The same, awaited. Waiting for an operation to be due blocks the loop: if yours tells a transport of a connection that was closed,
    let it turn once before each call.
    """
    found: list[object] = []
    for operation in operations:
        try:
            found.append(await call(operation))
        except Exception as error:  # likewise
            found.append(error)
    return found


def differences(scenario: Scenario, found: list[object], seen: Seen) -> list[str]:
    """What is not as it should be; empty if all is right."""
    wrong: list[str] = []
    if len(found) != len(scenario.right):
        wrong.append(f"expected {len(scenario.right)} outcomes, found {len(found)}")
    for number, (right, outcome) in enumerate(zip(scenario.right, found, strict=False), 1):
        wrong += [f"call {number}: {line}" for line in _compare(right, outcome)]
    requests = len(scenario.calls) if scenario.requests is None else scenario.requests
    if seen.requests != requests:
        wrong.append(f"the server may see {requests} requests, it saw {seen.requests}")
    if scenario.connections is not None and seen.connections != scenario.connections:
        wrong.append(
            f"the server may see {scenario.connections} connections, it saw {seen.connections}"
        )
    if seen.seconds > scenario.takes + LATEST:
        wrong.append(f"it should take {scenario.takes} s, it took {seen.seconds:.2f} s")
    if scenario.memory is not None and seen.peak is not None and seen.peak > scenario.memory:
        wrong.append(f"it may take {scenario.memory} bytes of memory, it took {seen.peak}")
    return wrong


def _compare(right: Right, outcome: object) -> list[str]:
    if isinstance(outcome, BaseException) and not isinstance(outcome, SmRuntimeError):
        return [f"expected {right!r}, and an error that is none of ours came out: {outcome!r}"]
    found = _aspects(right, outcome)
    if not found:
        return [f"expected {right!r}, found {outcome!r}"]
    expected = {aspect.name: getattr(right, aspect.name) for aspect in right._fields}
    wrong = [
        f"{name} should be {value!r:.200}, is {found[name]!r:.200}"
        for name, value in expected.items()
        if not _is(value, found[name])
    ]
    if isinstance(outcome, SmRuntimeError) and not str(outcome).isprintable():
        wrong.append("str() of the error is not printable")
    return [f"{line} ({outcome!s:.200})" for line in wrong]


def _is(expected: object, found: object) -> bool:
    if expected is None:
        return True
    if isinstance(expected, str) and "|" in expected and isinstance(found, str):
        return found in expected.split("|")
    return expected == found


def _aspects(right: Right, outcome: object) -> dict[str, object]:
    """What of `outcome` is to be compared; empty if it is something else altogether."""
    match right, outcome:
        case Answer(), InvokeEndpointOutput():
            return {
                "body": outcome.body,
                "attributes": outcome.custom_attributes,
                "attempts": _attempts(outcome),
            }
        case Failure(), DispatchFailure():
            same: dict[str, object] = {
                name: getattr(outcome, name)
                for name in ("kind", "phase", "delivery", "status", "reused")
            }
            return same | {"attempts": _attempts(outcome)}
        case Refusal(), ServiceError():
            return {
                "code": outcome.code,
                "status": outcome.status,
                "message": outcome.message,
                "raw": outcome.message_raw,
                "truncated": outcome.truncated,
                "type": type(outcome),
                "members": tuple((name, getattr(outcome, name, None)) for name, _ in right.members),
                "attempts": _attempts(outcome),
            }
        case _:
            return {}


def _attempts(told: Output | SmRuntimeError) -> tuple[str, ...]:
    return tuple(attempt.outcome for attempt in told.metadata.attempts)
