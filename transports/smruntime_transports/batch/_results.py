"""What a record ends as: an answer or an error, one line of JSON each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, NamedTuple

from smruntime_core import DispatchFailure, ResponseError, ServiceError, SmRuntimeError
from smruntime_core.errors import Delivery

INVALID_RECORD: Final = "InvalidRecord"
INTERRUPTED: Final = "Interrupted"


class RecordError(NamedTuple):
    """Why a record has no answer.

    `type` is the name of the error's class, `code` the service's code or the kind of a failure of
    the network. `delivery` says whether the model may have run: not_sent, maybe_sent or answered.
    """

    type: str
    code: str | None
    delivery: Delivery
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """What the record at `index` ended as: `output`, or `error` if that is not None."""

    index: int
    output: object = None
    error: RecordError | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the result as its line has it: index and output, or index and error."""
        if self.error is None:
            return {"index": self.index, "output": self.output}
        return {"index": self.index, "error": self.error._asdict()}

    def as_line(self) -> bytes:
        """Return the result as a line of JSON."""
        return f"{json.dumps(self.as_dict())}\n".encode()


def describe_failure(failure: SmRuntimeError) -> RecordError:
    """Return the error of a record whose call ended in `failure`."""
    name, message = type(failure).__name__, str(failure)
    if isinstance(failure, ServiceError):
        return RecordError(name, failure.code, "answered", message)
    if isinstance(failure, DispatchFailure):
        return RecordError("DispatchFailure", failure.kind, failure.delivery, message)
    if isinstance(failure, ResponseError):
        return RecordError(name, None, "answered", message)
    return RecordError(name, None, "not_sent", message)


def may_have_run(failure: SmRuntimeError) -> bool:
    """Return whether the model may have run for a call that ended in `failure`."""
    if isinstance(failure, DispatchFailure):
        return failure.delivery != "not_sent"
    if isinstance(failure, ServiceError):
        is_refusal = failure.throttling or failure.status == 503
        return failure.status in (200, 424) or (failure.status >= 500 and not is_refusal)
    return isinstance(failure, ResponseError)
