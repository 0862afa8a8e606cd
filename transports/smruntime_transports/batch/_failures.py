"""What the failure of a call says: about its records, and about the load of the endpoint."""

from __future__ import annotations

from smruntime_core import DispatchFailure, ResponseError, ServiceError, SmRuntimeError
from smruntime_core.conversation import CallOutcome

from ._results import RecordError


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


def is_throttled(failure: SmRuntimeError) -> bool:
    return isinstance(failure, ServiceError) and failure.throttling


def is_unknown(failure: SmRuntimeError) -> bool:
    """Return whether the model may have run without an answer."""
    return isinstance(failure, DispatchFailure) and failure.delivery == "maybe_sent"


def judge_load(failure: SmRuntimeError | None) -> CallOutcome:
    """Return what the end of a call says about the load of the endpoint."""
    if failure is None:
        return "succeeded"
    if isinstance(failure, ServiceError):
        return "overloaded" if failure.throttling or failure.status == 503 else "failed"
    is_timeout = isinstance(failure, DispatchFailure) and failure.kind == "timeout"
    return "overloaded" if is_timeout else "failed"
