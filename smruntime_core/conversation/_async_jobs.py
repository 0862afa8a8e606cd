"""Wait for the answer to an asynchronous invocation.

The answer will be one object of S3, a failure another. `wait_for_result` looks at both, less and
less often, until one of them exists. How an object is read is a parameter: by a signed GET (`_s3`),
or by a function of the caller's, which is the effect `Fetch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from ..effects import Fetch, Flow, Sleep
from ..errors import DispatchFailure, ModelError, ResponseError
from ..protocol._operations import InvokeEndpointAsyncOutput, InvokeEndpointOutput
from ..values._http import MAX_ERROR_BODY
from ..values._record import unchecked
from ._deadline import Deadline

FIRST_WAIT: Final = 0.5
WAIT_GROWTH: Final = 1.5
LONGEST_WAIT: Final = 10.0
MAX_MESSAGE: Final = 64 * 1024  # characters of a failure that become the error's message

ObjectT = TypeVar("ObjectT")


class StoredObject(NamedTuple):
    """An object of S3: its bytes, and its MIME type if that is known."""

    body: bytes
    content_type: str | None = None


def fetch_object(location: str, deadline: Deadline) -> Flow[StoredObject | None]:
    """Have the caller's function read the object; it has a deadline of its own."""
    found_body = yield from Fetch(location)
    return None if found_body is None else StoredObject(found_body)


def wait_for_result(
    accepted: InvokeEndpointAsyncOutput,
    deadline: Deadline,
    read_object: Callable[[str, Deadline], Flow[StoredObject | None]] = fetch_object,
) -> Flow[InvokeEndpointOutput]:
    """Return the model's answer to an accepted invocation as a synchronous call would.

    `read_object` returns an object, or None if there is none yet. Raises what `read_object` raises,
    `ModelError` if the model failed, `ResponseError` if the service named no location, and a
    `DispatchFailure` of kind timeout if nothing is there by the deadline. Every `DispatchFailure`
    says `answered`, since the invocation was accepted.
    """
    output_location = _output_location(accepted)
    next_wait = FIRST_WAIT
    while True:
        answer = yield from _look_once(read_object(output_location, deadline), accepted, deadline)
        if answer is not None:
            members: dict[str, object] = {"body": answer.body, "metadata": accepted.metadata}
            if answer.content_type is not None:
                members["content_type"] = answer.content_type
            return unchecked(InvokeEndpointOutput, members)
        failure = None
        if accepted.failure_location is not None:
            object_flow = read_object(accepted.failure_location, deadline)
            failure = yield from _look_once(object_flow, accepted, deadline)
        if failure is not None:
            raise _model_error(accepted, failure.body)
        if deadline.passed_in(0.0):
            raise _not_there_yet(accepted)
        seconds_left = deadline.left()
        yield from Sleep(next_wait if seconds_left is None else min(next_wait, seconds_left))
        next_wait = min(next_wait * WAIT_GROWTH, LONGEST_WAIT)


def fetched_object_exists(location: str, deadline: Deadline) -> Flow[bool]:
    """Have the caller's function read the object; return whether it exists."""
    return (yield from fetch_object(location, deadline)) is not None


def is_done(
    accepted: InvokeEndpointAsyncOutput,
    deadline: Deadline,
    object_exists: Callable[[str, Deadline], Flow[bool]] = fetched_object_exists,
) -> Flow[bool]:
    """Return whether an answer or a failure is there; raises like `wait_for_result`."""
    locations = _output_location(accepted), accepted.failure_location
    for location in locations:
        if location is None:
            continue
        if (yield from _look_once(object_exists(location, deadline), accepted, deadline)):
            return True
    return False


def _output_location(accepted: InvokeEndpointAsyncOutput) -> str:
    if accepted.output_location is None:
        message = "the service named no location for the answer"
        raise ResponseError(message).about(accepted.metadata)
    return accepted.output_location


def _look_once(
    object_flow: Flow[ObjectT], accepted: InvokeEndpointAsyncOutput, deadline: Deadline
) -> Flow[ObjectT]:
    """Run `object_flow`; its failures are about an invocation that was accepted.

    The last look begins when little or no time is left, so its timeout means: not there yet.
    """
    try:
        return (yield from object_flow)
    except DispatchFailure as failure:
        if failure.kind == "timeout" and deadline.passed_in(0.0):
            raise _not_there_yet(accepted) from None
        raise _as_answered(failure, accepted) from failure


def _as_answered(failure: DispatchFailure, accepted: InvokeEndpointAsyncOutput) -> DispatchFailure:
    """Return `failure` of a look as one of an invocation that was accepted."""
    original_reason = str(failure.args[0]).removesuffix(
        f" ({failure.kind} in phase {failure.phase}, {failure.delivery.replace('_', ' ')})"
    )
    read_failure = DispatchFailure(
        f"the answer cannot be read: {original_reason}",
        kind=failure.kind,
        phase=failure.phase,
        delivery="answered",
        status=failure.status,
    )
    read_failure.hint = failure.hint
    return read_failure.about(accepted.metadata)


def _not_there_yet(accepted: InvokeEndpointAsyncOutput) -> DispatchFailure:
    invocation_name = accepted.inference_id or "the invocation"
    message = f"neither answer nor failure of {invocation_name} is there yet; wait again"
    failure = DispatchFailure(message, kind="timeout", phase="body", delivery="answered")
    return failure.about(accepted.metadata)


def _model_error(accepted: InvokeEndpointAsyncOutput, body: bytes) -> ModelError:
    """Return the error that a failure object describes, as a synchronous call would raise it."""
    stored_body = body[:MAX_ERROR_BODY]
    failure_text = stored_body[:MAX_MESSAGE].decode("utf-8", "replace").strip()
    model_error = ModelError(
        failure_text,
        body=stored_body,
        truncated=len(stored_body) < len(body),
        metadata=accepted.metadata,
    )
    model_error.read_message()
    return model_error
