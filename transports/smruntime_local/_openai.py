"""The OpenAI-compatible path of an endpoint: a bearer token in place of a signature, and errors as OpenAI's clients read them.

    POST /endpoints/NAME[/inference-components/COMPONENT]/openai/v1/chat/completions

The body goes to the container as it is, and its answer comes back as it is: whole, or part by part if the body says `"stream": true`.
Nothing else of the service is to be had for a token, and nothing here for a signature.
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

_route = re.compile(
    r"/endpoints/([^/]*)(?:/inference-components/([^/]*))?/openai/v1/chat/completions"
).fullmatch
_bearer = re.compile(r"[Bb]earer +([A-Za-z0-9+/=-]+)").fullmatch


def concerns(request: Request) -> bool:
    """`request` is for this path."""
    return _route(_path(request)) is not None


def authenticate(
    request: Request, credentials: Mapping[str, Credentials], scope: Scope, *, now: float
) -> None:
    """Verify the bearer token, which does not cover the body.

    Raises the `ServiceError` to answer with.
    """
    headers = {name.lower(): value for name, value in request.headers}
    token = _bearer(headers.get("authorization", ""))
    if token is None:
        raise ServiceError(
            "This path takes a bearer token.",
            code="MissingAuthenticationTokenException",
            status=403,
        )
    verify_bearer(token[1], credentials, scope, now=now)


def read(request: Request) -> tuple[InvokeEndpoint, bool]:
    """Return what the container is asked, and whether its answer is streamed.

    Raises the `ServiceError` to answer with.
    """
    headers = {name.lower(): value for name, value in request.headers}
    found = _route(_path(request))
    if found is None or request.method != "POST":
        raise ServiceError(
            "No operation has this method and path.", code="UnknownOperationException", status=404
        )
    try:
        call = InvokeEndpoint(
            endpoint_name=found[1],
            inference_component_name=found[2],
            body=request.body,
            content_type=headers.get("content-type"),
        )
    except ConstructionError as refused:
        raise ValidationError(str(refused)) from refused
    return call, _streams(bytes(request.body))


def answer(refusal: ServiceError, *, request_id: str) -> Response:
    """An error in OpenAI's form."""
    headers = (("x-amzn-RequestId", request_id), ("Content-Type", "application/json"))
    return Response(refusal.status, headers, _document(refusal))


def ending_well(parts: Iterable[bytes]) -> Generator[bytes]:
    """`parts`; if the container fails among them, its error is the last server-sent event."""
    try:
        yield from parts
    except ServiceError as failure:
        yield b"data: " + _document(failure) + b"\n\n"


def _document(refusal: ServiceError) -> bytes:
    return json.dumps(
        {
            "error": {
                "message": refusal.message_raw,
                "type": refusal.code,
                "code": refusal.code,
                "param": None,
            }
        }
    ).encode()


def _streams(body: bytes) -> bool:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and cast("dict[str, object]", document).get("stream") is True


def _path(request: Request) -> str:
    try:
        return split_url(request.url)[2]
    except ConstructionError:
        return ""
