"""The answer to an asynchronous invocation: look where it will be, and where a failure would be, until one of them is there.

The two places are S3 objects. Whoever waits may read them otherwise than by a signed GET (`_s3`): then reading is an effect (`Fetch`)
that they supply. The waiting is written here, once.
"""

from __future__ import annotations

from collections.abc import Callable

from ..effects import Fetch, Flow, Sleep
from ..errors import DispatchFailure, ModelError, ResponseError
from ..protocol._operations import InvokeEndpointAsyncOutput
from ._deadline import Deadline

FIRST_WAIT = 0.5
GROWTH = 1.5
LONGEST_WAIT = 10.0


def fetched(location: str, deadline: Deadline) -> Flow[bytes | None]:
    """Have the caller's `fetch` look, which has a deadline of its own."""
    return (yield from Fetch(location))


def wait_for_result(
    accepted: InvokeEndpointAsyncOutput,
    deadline: Deadline,
    look: Callable[[str, Deadline], Flow[bytes | None]] = fetched,
) -> Flow[bytes]:
    """The model's answer to an accepted invocation, as soon as it is there; `look` reads an object, None if there is none.

    Raises what `look` raises, `ModelError` if a failure is there instead, `ResponseError` if the service did not say where to look, and a
    `DispatchFailure` of kind timeout if neither is there by the deadline.
    """
    if accepted.output_location is None:
        raise ResponseError("the service did not say where the answer will be").about(
            accepted.metadata
        )
    wait = FIRST_WAIT
    while True:
        answer = yield from look(accepted.output_location, deadline)
        if answer is not None:
            return answer
        failure = (
            None
            if accepted.failure_location is None
            else (yield from look(accepted.failure_location, deadline))
        )
        if failure is not None:
            raise _failed(accepted, failure)
        if deadline.passed_in(0.0):
            message = f"neither answer nor failure of {accepted.inference_id or 'the invocation'} is there yet"
            raise DispatchFailure(message, kind="timeout", phase="body", delivery="answered").about(
                accepted.metadata
            )
        left = deadline.left()
        yield from Sleep(wait if left is None else min(wait, left))
        wait = min(wait * GROWTH, LONGEST_WAIT)


def _failed(accepted: InvokeEndpointAsyncOutput, body: bytes) -> ModelError:
    """The failure object as an error: it holds what a synchronous call would have been told."""
    text = body.decode("utf-8", "replace")
    made = ModelError(text.strip(), body=body, metadata=accepted.metadata)
    made.read_message()
    return made
