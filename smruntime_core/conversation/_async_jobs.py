"""Wait for the answer to an asynchronous invocation.

The answer will be one object of S3, a failure another. `wait_for_result` looks at both, less and
less often, until one of them exists. How an object is read is a parameter: by a signed GET (`_s3`),
or by a function of the caller's, which is the effect `Fetch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from ..effects import Fetch, Flow, Sleep
from ..errors import DispatchFailure, ModelError, ResponseError
from ..protocol._operations import InvokeEndpointAsyncOutput
from ..values._http import MAX_ERROR_BODY
from ._deadline import Deadline

FIRST_WAIT: Final = 0.5
GROWTH: Final = 1.5
LONGEST_WAIT: Final = 10.0
MAX_MESSAGE: Final = 64 * 1024  # characters of a failure that become the error's message

T = TypeVar("T")


def fetched(location: str, deadline: Deadline) -> Flow[bytes | None]:
    """Have the caller's function read the object; it has a deadline of its own."""
    return (yield from Fetch(location))


def wait_for_result(
    accepted: InvokeEndpointAsyncOutput,
    deadline: Deadline,
    look: Callable[[str, Deadline], Flow[bytes | None]] = fetched,
) -> Flow[bytes]:
    """Return the model's answer to an accepted invocation; `look` reads an object, None if absent.

    Raises what `look` raises, `ModelError` if the model failed, `ResponseError` if the service
    named no location, and a `DispatchFailure` of kind timeout if nothing is there by the deadline.
    Every `DispatchFailure` says `answered`, since the invocation was accepted.
    """
    output_location = _output_location(accepted)
    wait = FIRST_WAIT
    while True:
        answer = yield from _look(look(output_location, deadline), accepted, deadline)
        if answer is not None:
            return answer
        failure = None
        if accepted.failure_location is not None:
            reading = look(accepted.failure_location, deadline)
            failure = yield from _look(reading, accepted, deadline)
        if failure is not None:
            raise _model_error(accepted, failure)
        if deadline.passed_in(0.0):
            raise _not_there_yet(accepted)
        left = deadline.left()
        yield from Sleep(wait if left is None else min(wait, left))
        wait = min(wait * GROWTH, LONGEST_WAIT)


def is_done(
    accepted: InvokeEndpointAsyncOutput,
    deadline: Deadline,
    exists: Callable[[str, Deadline], Flow[bool]],
) -> Flow[bool]:
    """Return whether an answer or a failure is there; raises like `wait_for_result`."""
    locations = _output_location(accepted), accepted.failure_location
    for location in locations:
        if location is None:
            continue
        if (yield from _look(exists(location, deadline), accepted, deadline)):
            return True
    return False


def _output_location(accepted: InvokeEndpointAsyncOutput) -> str:
    if accepted.output_location is None:
        message = "the service named no location for the answer"
        raise ResponseError(message).about(accepted.metadata)
    return accepted.output_location


def _look(reading: Flow[T], accepted: InvokeEndpointAsyncOutput, deadline: Deadline) -> Flow[T]:
    """Run `reading`; its failures are about an invocation that was accepted.

    The last look begins when little or no time is left, so its timeout means: not there yet.
    """
    try:
        return (yield from reading)
    except DispatchFailure as failure:
        if failure.kind == "timeout" and deadline.passed_in(0.0):
            raise _not_there_yet(accepted) from None
        raise _unread(failure, accepted) from failure


def _unread(failure: DispatchFailure, accepted: InvokeEndpointAsyncOutput) -> DispatchFailure:
    """Return `failure` of a look as one of an invocation that was accepted."""
    reason = str(failure.args[0]).removesuffix(
        f" ({failure.kind} in phase {failure.phase}, {failure.delivery.replace('_', ' ')})"
    )
    unread = DispatchFailure(
        f"the answer cannot be read: {reason}",
        kind=failure.kind,
        phase=failure.phase,
        delivery="answered",
        status=failure.status,
    )
    unread.hint = failure.hint
    return unread.about(accepted.metadata)


def _not_there_yet(accepted: InvokeEndpointAsyncOutput) -> DispatchFailure:
    name = accepted.inference_id or "the invocation"
    message = f"neither answer nor failure of {name} is there yet; wait again"
    failure = DispatchFailure(message, kind="timeout", phase="body", delivery="answered")
    return failure.about(accepted.metadata)


def _model_error(accepted: InvokeEndpointAsyncOutput, body: bytes) -> ModelError:
    """Return the error that a failure object describes, as a synchronous call would raise it."""
    cut = body[:MAX_ERROR_BODY]
    text = cut[:MAX_MESSAGE].decode("utf-8", "replace").strip()
    error = ModelError(text, body=cut, truncated=len(cut) < len(body), metadata=accepted.metadata)
    error.read_message()
    return error
