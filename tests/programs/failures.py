"""Decide what to do after each kind of failure."""

from smruntime_core import (
    ConstructionError,
    DispatchFailure,
    ModelError,
    RetryPolicy,
    ServiceError,
    SmRuntimeError,
    TruncatedStream,
)
from smruntime_transports import Client


def describe(error: SmRuntimeError) -> str:
    match error:
        case ConstructionError(member=member):
            return f"fix {member}"
        case ModelError(original_status_code=status):
            return f"the container said {status}"
        case ServiceError(code=code, hint=hint):
            return f"{code}: {hint or error.message}"
        case DispatchFailure(kind=kind, delivery="not_sent"):
            return f"{kind}: safe to repeat"
        case DispatchFailure() | TruncatedStream():
            return "the model may have run"
        case _:
            return "unreadable"


with Client(retries=RetryPolicy(max_attempts=1)) as client:
    for endpoint_name in ("", "nowhere", "flaky"):
        try:
            client.invoke_endpoint(endpoint_name, body=b"1")
        except SmRuntimeError as error:
            print(describe(error), [attempt.outcome for attempt in error.metadata.attempts])
