"""From an output or an error to the HTTP answer that makes an SDK return or raise its own types.

| outcome                 | answer                                                          |
|-------------------------|-----------------------------------------------------------------|
| an output               | its body and content type                                       |
| `ModelError` with JSON  | the container's own status and JSON                             |
| other `ServiceError`    | its status; message, hint and request id in the SDK's format    |
| `CredentialsError`      | 401                                                             |
| `ConstructionError`     | 400                                                             |
| `DispatchFailure`       | none: an exception of the HTTP library, for the same phase      |
| `ResponseError`         | none: the library's `RemoteProtocolError`                       |

Every answer has `x-should-retry: false`, since the client below has retried already, and carries
the service's header fields `x-amzn-…`. The hint is also in the header field `x-smruntime-hint`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from smruntime_core import (
    ConstructionError,
    CredentialsError,
    DispatchFailure,
    InvokeEndpointOutput,
    Metadata,
    ModelError,
    Response,
    ResponseError,
    ServiceError,
    SmRuntimeError,
)
from smruntime_core.errors import Phase
from smruntime_core.metadata import NO_METADATA

Dialect: TypeAlias = Literal["openai", "anthropic"]
Headers: TypeAlias = "tuple[tuple[str, str], ...]"

JSON_TYPE: Final = "application/json"
MAX_MESSAGE: Final = 16 * 1024  # characters of a message
MAX_DOCUMENT: Final = 64 * 1024  # bytes of a container's error; a longer one becomes a message

_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}
# The exceptions of httpx and httpx2 for a failure in each phase.
_TIMEOUTS: Final[Mapping[Phase, str]] = {
    "pool": "PoolTimeout",
    "resolve": "ConnectTimeout",
    "connect": "ConnectTimeout",
    "proxy": "ConnectTimeout",
    "tls": "ConnectTimeout",
    "send": "WriteTimeout",
    "head": "ReadTimeout",
    "body": "ReadTimeout",
}
_ERRORS: Final[Mapping[Phase, str]] = {
    "pool": "ConnectError",
    "resolve": "ConnectError",
    "connect": "ConnectError",
    "proxy": "ProxyError",
    "tls": "ConnectError",
    "send": "WriteError",
    "head": "ReadError",
    "body": "ReadError",
}


class TransportFailure(NamedTuple):
    """A call without an answer: the name of the HTTP library's exception, and its message."""

    error_name: str
    message: str


def make_answer(
    status: int,
    body: bytes,
    *,
    content_type: str = JSON_TYPE,
    metadata: Metadata = NO_METADATA,
    hint: str | None = None,
) -> Response:
    """Return an answer with the header fields that SDKs read."""
    return Response(status, make_headers(content_type, metadata, hint), body)


def make_headers(content_type: str, metadata: Metadata, hint: str | None = None) -> Headers:
    """Return the header fields of an answer, those of the service included."""
    headers = [("content-type", content_type), ("x-should-retry", "false")]
    if metadata.request_id is not None:
        # OpenAI's SDK reads the first one, Anthropic's the second
        headers += [("x-request-id", metadata.request_id), ("request-id", metadata.request_id)]
    if hint is not None:
        headers.append(("x-smruntime-hint", hint))
    headers += [field for field in metadata.headers if field[0].lower().startswith("x-amzn-")]
    return tuple(headers)


def answer_output(output: InvokeEndpointOutput) -> Response:
    """Return the answer for a whole output."""
    content_type = output.content_type or JSON_TYPE
    return make_answer(200, output.body, content_type=content_type, metadata=output.metadata)


def refuse(dialect: Dialect, status: int, message: str, code: str = "refused") -> Response:
    """Return the answer to a request that is not sent."""
    return make_answer(status, _encode_error(dialect, status, message, code, NO_METADATA))


def answer_error(error: SmRuntimeError, dialect: Dialect) -> Response | TransportFailure:
    """Return what an SDK sees of a failed call."""
    if isinstance(error, DispatchFailure):
        return TransportFailure(_find_error_name(error), str(error))
    if isinstance(error, ResponseError):
        return TransportFailure("RemoteProtocolError", str(error))
    if isinstance(error, ServiceError):
        return _answer_service_error(error, dialect)
    statuses = ((CredentialsError, 401), (ConstructionError, 400), (SmRuntimeError, 500))
    status = next(status for error_type, status in statuses if isinstance(error, error_type))
    document = _encode_error(dialect, status, str(error), type(error).__name__, error.metadata)
    return make_answer(status, document, metadata=error.metadata)


def _answer_service_error(error: ServiceError, dialect: Dialect) -> Response:
    status = error.status if 400 <= error.status <= 599 else 502
    document: bytes | None = None
    if isinstance(error, ModelError):
        original_status = error.original_status_code
        if original_status is not None and 400 <= original_status <= 599:
            status = original_status
            document = _container_document(error.original_message)
    if document is None:
        document = _encode_error(dialect, status, str(error), error.code, error.metadata)
    return make_answer(status, document, metadata=error.metadata, hint=error.hint)


def encode_error_event(error: ServiceError, dialect: Dialect) -> bytes:
    """Return the server-sent event for an error that ends a stream."""
    document = _encode_error(dialect, 500, str(error), error.code, error.metadata)
    name = b"event: error\n" if dialect == "anthropic" else b""
    return name + b"data: " + document + b"\n\n"


def _container_document(text: str | None) -> bytes | None:
    """Return a container's error if it is a JSON object, None otherwise."""
    encoded = (text or "").encode("utf-8", "replace")
    if len(encoded) > MAX_DOCUMENT:
        return None
    try:
        document: object = json.loads(encoded)
    except (ValueError, RecursionError):
        return None
    return encoded if isinstance(document, dict) else None


def _encode_error(
    dialect: Dialect, status: int, message: str, code: str, metadata: Metadata
) -> bytes:
    shown = message[:MAX_MESSAGE]
    if dialect == "anthropic":
        error_type = _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else None)
        error = {"type": error_type or "invalid_request_error", "message": shown}
        document = {"type": "error", "error": error, "request_id": metadata.request_id}
        return json.dumps(document).encode()
    return json.dumps(
        {"error": {"message": shown, "type": code, "code": code, "param": None}}
    ).encode()


def _find_error_name(failure: DispatchFailure) -> str:
    """Return the name of the httpx exception for the same kind and phase."""
    if failure.kind == "timeout":
        return _TIMEOUTS[failure.phase]
    if failure.kind in ("protocol", "too_large", "truncated"):
        return "RemoteProtocolError"
    if failure.kind == "closed" and failure.phase in ("head", "body"):
        return "RemoteProtocolError"
    return _ERRORS[failure.phase]
