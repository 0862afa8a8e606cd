"""Failures of the core to botocore's exceptions; imported at the first failure only.

ParameterRefusal    ParamValidationError
ConstructionError   ParamValidationError for a member, HTTPClientError for a setting
CredentialsError    NoCredentialsError, CredentialRetrievalError
ServiceError        ClientError, or the subclass with its code
StreamError         ResponseStreamingError
DispatchFailure     see `_BY_PHASE`
"""

from __future__ import annotations

from typing import Final, TypeAlias, cast

from smruntime_core import (
    ConstructionError,
    CredentialsError,
    DispatchFailure,
    Operation,
    Output,
    ServiceError,
    SmRuntimeError,
)
from smruntime_core.errors import Phase

from . import exceptions
from ._answers import response_metadata
from ._parameters import OperationNames, ParameterRefusal
from ._types import ErrorDetails, ErrorResponse

BotoCoreClass: TypeAlias = type[exceptions.BotoCoreError]

# members of an error's JSON that AWS's model names
_MEMBERS: Final = {
    "ModelError": ("Message", "OriginalStatusCode", "OriginalMessage", "LogStreamArn"),
    "ModelStreamError": ("Message", "ErrorCode"),
}
# for each phase: what a timeout becomes, and what any other failure does
_BY_PHASE: Final[dict[Phase, tuple[BotoCoreClass, BotoCoreClass]]] = {
    "pool": (exceptions.HTTPClientError, exceptions.HTTPClientError),
    "resolve": (exceptions.ConnectTimeoutError, exceptions.EndpointConnectionError),
    "connect": (exceptions.ConnectTimeoutError, exceptions.EndpointConnectionError),
    "proxy": (exceptions.ProxyConnectionError, exceptions.ProxyConnectionError),
    "tls": (exceptions.ConnectTimeoutError, exceptions.SSLError),
    "send": (exceptions.ReadTimeoutError, exceptions.ConnectionClosedError),
    "head": (exceptions.ReadTimeoutError, exceptions.ConnectionClosedError),
    "body": (exceptions.ReadTimeoutError, exceptions.ResponseStreamingError),
}


def make_exception(
    error: SmRuntimeError,
    names: OperationNames[Operation[Output]],
    url: str,
    max_attempts: int,
    *,
    streaming: bool,
) -> Exception:
    """Return the exception that stands for `error` of a call to `url`.

    `streaming` tells an error that ended a streamed answer from one that came in its place.
    """
    if isinstance(error, ServiceError):
        response = _response(error, None if streaming else max_attempts)
        exception_class = exceptions.MODELLED.get(error.code, exceptions.ClientError)
        if streaming and not issubclass(exception_class, exceptions.EventStreamError):
            exception_class = exceptions.EventStreamError
        return exception_class(response, names.operation_name)
    if isinstance(error, DispatchFailure):
        return _dispatch_exception(error, url)
    if isinstance(error, ConstructionError) and not names.has_member(error.member):
        return exceptions.HTTPClientError(error=error)  # a setting, such as a certificate's file
    if isinstance(error, ConstructionError | ParameterRefusal):
        is_translated = isinstance(error, ParameterRefusal)
        report = str(error) if is_translated else names.translate(str(error))
        return exceptions.ParamValidationError(report=report)
    if isinstance(error, CredentialsError):
        return _credentials_exception(error)
    return exceptions.ResponseStreamingError(error=error)


def _response(error: ServiceError, max_attempts: int | None) -> ErrorResponse:
    """Return the dictionary of an answer; `max_attempts` is None for an error inside a stream."""
    if max_attempts is None:
        return {"Error": ErrorDetails(Code=error.code, Message=error.message_raw)}
    document = _document(error.body)
    message = error.message_raw
    if document is None:
        message = _message_of_page(error)
    return cast(
        "ErrorResponse",
        {
            "Error": ErrorDetails(Message=message, Code=error.code),
            "ResponseMetadata": response_metadata(error.metadata, max_attempts),
            **_modelled_members(error.code, document or {}),
        },
    )


def _document(body: bytes) -> dict[str, object] | None:
    """Return the JSON object in a body, None for anything else."""
    import json

    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", document) if isinstance(document, dict) else None


def _message_of_page(error: ServiceError) -> str:
    """Return what botocore shows of a body that is not JSON: its text, or HTTP's own phrase."""
    from http.client import responses

    text = error.body.decode("utf-8", "replace")
    if error.status >= 500 and (not text or text.strip().startswith("<html>")):
        return responses.get(error.status, "")
    return text


def _modelled_members(code: str, document: dict[str, object]) -> dict[str, object]:
    """Return the members that AWS's model names."""
    if code not in exceptions.MODELLED:
        return {}
    member_names = _MEMBERS.get(code, ("Message",))
    return {name: document[name] for name in member_names if document.get(name) is not None}


def _credentials_exception(error: CredentialsError) -> Exception:
    """Return the exception for credentials that are missing, or a source that failed."""
    if error.tried:
        return exceptions.NoCredentialsError()
    return exceptions.CredentialRetrievalError(provider="the given source", error_msg=error)


def _dispatch_exception(failure: DispatchFailure, url: str) -> Exception:
    """Return botocore's exception for an exchange that failed."""
    late_class, other_class = _BY_PHASE[failure.phase]
    exception_class = late_class if failure.kind == "timeout" else other_class
    if exception_class is exceptions.ProxyConnectionError:  # the failure names the proxy
        return exception_class(proxy_url=str(failure), error=failure)
    return exception_class(endpoint_url=url, error=failure)
