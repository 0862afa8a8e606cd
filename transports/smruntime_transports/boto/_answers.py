"""Outputs of the core to dictionaries with AWS's names; what the server did not send is missing."""

from __future__ import annotations

from typing import cast

from smruntime_core import (
    InvokeEndpointAsyncOutput,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStreamOutput,
    Metadata,
)

from . import _types
from ._types import BodyT


def response_metadata(metadata: Metadata, max_attempts: int) -> _types.ResponseMetadata:
    """Return what is known of a response; repeated header fields are joined.

    As in botocore's standard mode, the last of `max_attempts` attempts is marked, also a good one.
    """
    headers: dict[str, str] = {}
    for name, value in metadata.headers:
        lower_name = name.lower()
        headers[lower_name] = f"{headers[lower_name]}, {value}" if lower_name in headers else value
    members: dict[str, object] = (
        {} if metadata.request_id is None else {"RequestId": metadata.request_id}
    )
    members["HTTPStatusCode"] = metadata.status
    members["HTTPHeaders"] = headers
    members["RetryAttempts"] = max(0, len(metadata.attempts) - 1)
    if len(metadata.attempts) >= max_attempts:
        members["MaxAttemptsReached"] = True
    return cast("_types.ResponseMetadata", members)


def _present(members: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def whole_answer(
    output: InvokeEndpointOutput, body: BodyT, max_attempts: int
) -> _types.InvokeEndpointOutput[BodyT]:
    """Return the answer of `invoke_endpoint`."""
    members: dict[str, object] = {
        "ResponseMetadata": response_metadata(output.metadata, max_attempts),
        "ContentType": output.content_type,
        "InvokedProductionVariant": output.invoked_production_variant,
        "CustomAttributes": output.custom_attributes,
        "NewSessionId": output.new_session_id,
        "ClosedSessionId": output.closed_session_id,
        "Body": body,
    }
    return cast("_types.InvokeEndpointOutput[BodyT]", _present(members))


def async_answer(
    output: InvokeEndpointAsyncOutput, max_attempts: int
) -> _types.InvokeEndpointAsyncOutput:
    """Return the answer of `invoke_endpoint_async`."""
    members: dict[str, object] = {
        "ResponseMetadata": response_metadata(output.metadata, max_attempts),
        "OutputLocation": output.output_location,
        "FailureLocation": output.failure_location,
        "InferenceId": output.inference_id,
    }
    return cast("_types.InvokeEndpointAsyncOutput", _present(members))


def streamed_answer(
    output: InvokeEndpointWithResponseStreamOutput, body: BodyT, max_attempts: int
) -> _types.InvokeEndpointWithResponseStreamOutput[BodyT]:
    """Return the head of the answer of `invoke_endpoint_with_response_stream`, with its stream."""
    members: dict[str, object] = {
        "ResponseMetadata": response_metadata(output.metadata, max_attempts),
        "ContentType": output.content_type,
        "InvokedProductionVariant": output.invoked_production_variant,
        "CustomAttributes": output.custom_attributes,
        "Body": body,
    }
    return cast("_types.InvokeEndpointWithResponseStreamOutput[BodyT]", _present(members))
