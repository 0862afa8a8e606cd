"""The OpenAI-compatible path of an endpoint: bearer tokens, and errors in OpenAI's format.

    POST /endpoints/NAME[/inference-components/COMPONENT]/openai/v1/chat/completions

The body is passed to the container unchanged, and so is its response: whole, or part by part if the
body contains `"stream": true`. A token gives access to this path only, and a signature does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable, Mapping
from typing import cast

from smruntime_core import (
    ConstructionError,
    Credentials,
    InvokeEndpoint,
    Request,
    Response,
    Scope,
    ServiceError,
    ValidationError,
)
from smruntime_core.signing import verify_bearer
from smruntime_core.values import split_url

_match_route = re.compile(
    r"/endpoints/([^/]*)(?:/inference-components/([^/]*))?/openai/v1/chat/completions"
).fullmatch
_match_bearer = re.compile(r"[Bb]earer +([A-Za-z0-9+/=-]+)").fullmatch


def is_openai_request(request: Request) -> bool:
    """Return whether the path of `request` is the OpenAI path of an endpoint."""
    return _match_route(_path_of(request)) is not None


def authenticate(
    request: Request, known_credentials: Mapping[str, Credentials], scope: Scope, *, now: float
) -> None:
    """Verify the bearer token, which does not cover the body.

    Raises the `ServiceError` to answer with.
    """
    header_fields = {name.lower(): value for name, value in request.headers}
    found_token = _match_bearer(header_fields.get("authorization", ""))
    if found_token is None:
        message = "This path requires a bearer token in the Authorization header."
        raise ServiceError(message, code="MissingAuthenticationTokenException", status=403)
    verify_bearer(found_token[1], known_credentials, scope, now=now)


def read_request(request: Request) -> tuple[InvokeEndpoint, bool]:
    """Return the call of the container, and whether its response is streamed.

    Raises the `ServiceError` to answer with.
    """
    header_fields = {name.lower(): value for name, value in request.headers}
    found_route = _match_route(_path_of(request))
    if found_route is None or request.method != "POST":
        message = "No operation has this method and path."
        raise ServiceError(message, code="UnknownOperationException", status=404)
    try:
        container_call = InvokeEndpoint(
            endpoint_name=found_route[1],
            inference_component_name=found_route[2],
            body=request.body,
            content_type=header_fields.get("content-type"),
        )
    except ConstructionError as error:
        raise ValidationError(str(error)) from error
    return container_call, _asks_for_stream(bytes(request.body))


def make_error_response(refusal: ServiceError, *, request_id: str) -> Response:
    """Return the response of a failed request, in OpenAI's format."""
    header_fields = (("x-amzn-RequestId", request_id), ("Content-Type", "application/json"))
    return Response(refusal.status, header_fields, _encode_error(refusal))


def append_error_event(parts: Iterable[bytes]) -> Generator[bytes]:
    """Yield `parts`, then a server-sent event with the error if the container fails on the way."""
    try:
        yield from parts
    except ServiceError as failure:
        yield b"data: " + _encode_error(failure) + b"\n\n"


def _encode_error(refusal: ServiceError) -> bytes:
    error_document = {
        "message": refusal.message_raw,
        "type": refusal.code,
        "code": refusal.code,
        "param": None,
    }
    return json.dumps({"error": error_document}).encode()


def _asks_for_stream(body: bytes) -> bool:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and cast("dict[str, object]", document).get("stream") is True


def _path_of(request: Request) -> str:
    try:
        return split_url(request.url)[2]
    except ConstructionError:
        return ""
