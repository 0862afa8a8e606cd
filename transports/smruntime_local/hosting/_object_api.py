"""The part of S3 that asynchronous invocations need: PUT, GET and HEAD of single objects.

    PUT <url>/s3/bucket/key    store an object: `client.upload_input`, or boto3's `put_object`
    GET <url>/s3/bucket/key    return an object

Requests are signed for S3. Objects are those of `Endpoint.put` and `Endpoint.fetch`, in memory.
Everything else that S3 does is refused with `NotImplemented`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote
from xml.sax.saxutils import escape

from smruntime_core import (
    ConstructionError,
    Credentials,
    Request,
    Response,
    Scope,
    ServiceError,
    verify,
)
from smruntime_core.signing import S3
from smruntime_core.values import split_url

from ._async_jobs import ObjectStore

PATH_PREFIX: Final = "/s3/"


def is_object_request(request_head: Request) -> bool:
    """Return whether `request_head` is for an object or a bucket."""
    try:
        return split_url(request_head.url)[2].startswith(PATH_PREFIX)
    except ConstructionError:
        return False


def authenticate(
    request_head: Request,
    known: Mapping[str, Credentials],
    region: str,
    *,
    now: float,
    payload_hash: str,
) -> None:
    """Verify the signature for S3; raises `ServiceError` if it is not valid."""
    scope = Scope(region, "s3")
    verify(request_head, known, scope, now=now, dialect=S3, payload_hash=payload_hash)


def respond(request: Request, store: ObjectStore) -> Response:
    """Return the response to a verified request; raises the `ServiceError` to answer with."""
    _, _, path, query = split_url(request.url)
    bucket, _, key = unquote(path.removeprefix(PATH_PREFIX)).partition("/")
    query_names = {pair.partition("=")[0] for pair in query.split("&") if pair} - {"x-id"}
    if not key or query_names or request.method not in ("PUT", "GET", "HEAD"):
        message = "The local endpoint has PUT, GET and HEAD of single objects only."
        raise ServiceError(message, code="NotImplemented", status=501)
    location = f"s3://{bucket}/{key}"
    if request.method == "PUT":
        data = bytes(request.body)
        store.put(location, data)
        return _make_response(200, ("ETag", _make_tag(data)))
    found_data = store.get(location)
    if found_data is None:
        message = "The specified key does not exist."
        raise ServiceError(message, code="NoSuchKey", status=404)
    content_type = ("Content-Type", "application/octet-stream")
    response = _make_response(200, content_type, ("ETag", _make_tag(found_data)))
    return response.replace(body=found_data)


def make_refusal(refusal: ServiceError) -> Response:
    """Return the response of a failed request, as a document of S3."""
    code, message = escape(refusal.code), escape(refusal.message_raw)
    document = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    response = _make_response(refusal.status, ("Content-Type", "application/xml"))
    return response.replace(body=document.encode("utf-8", "replace"))


def _make_response(status: int, *header_fields: tuple[str, str]) -> Response:
    return Response(status, (("x-amz-request-id", uuid.uuid4().hex), *header_fields))


def _make_tag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
