"""Responses to requests, without sockets: authentication, then the operation, then the model.

    head           refuse_from_head: refused whatever the body is (403)
    head + body    respond: signature (403), operation (`service.read`: 400 or 404), `_model_host`

The OpenAI path takes a bearer token instead of a signature (`_openai_path`), and paths below /s3/ a
signature for S3 (`_object_api`). Two requests need neither: `GET /ping`, and `GET /async/…` of an
object; its name cannot be guessed.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from smruntime_core import Credentials, Request, Response, Scope, ServiceError, service, verify

from . import _object_api, _openai_path
from ._model_host import HostedResponse, ModelHost
from ._received_body import ReceivedBody

_find_endpoint = re.compile(r"[^/]*//[^/]*/endpoints/([^/?]+)").match
_PLACEHOLDER_HASH: Final = "0" * 64


class RequestHandler:
    """The service of one region at `url`, with the models of `model_host`.

    Requests must be signed with `credentials`.
    """

    def __init__(
        self,
        model_host: ModelHost,
        credentials: Credentials,
        scope: Scope,
        *,
        url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.requests_seen: int = 0
        self._model_host = model_host
        self._known_credentials = {credentials.access_key_id: credentials}
        self._scope = scope
        self._service_url = url
        self._clock = clock
        self._counter_lock = threading.Lock()

    def refuse_from_head(self, request_head: Request) -> Response | None:
        """Return the refusal that no body could prevent; None if the body must be read.

        A signature that does not match yet may match with the body.
        """
        is_openai = _openai_path.is_openai_request(request_head)
        try:
            self._authenticate(request_head, _PLACEHOLDER_HASH)
        except ServiceError as refusal:
            if is_openai or refusal.code != "InvalidSignatureException":
                self._count_request()
                return self._make_refusal(request_head, refusal, str(uuid.uuid4()))
        return None

    def respond(self, request_head: Request, received_body: ReceivedBody) -> HostedResponse:
        """Return the response; the signature is verified before anything else is read."""
        if request_head.method == "GET" and not _object_api.is_object_request(request_head):
            unsigned_response = self._respond_unsigned(request_head)
            if unsigned_response is not None:
                return unsigned_response
        self._count_request()
        request_id = str(uuid.uuid4())
        try:
            self._authenticate(request_head, received_body.sha256)
            request = _join_body(request_head, received_body)
            if _object_api.is_object_request(request_head):
                return _object_api.respond(request, self._model_host.store)
            if _openai_path.is_openai_request(request_head):
                call, is_streamed = _openai_path.read_request(request)
                return self._model_host.relay(call, streamed=is_streamed, request_id=request_id)
            return self._model_host.respond(service.read(request), request_id=request_id)
        except ServiceError as refusal:
            return self._make_refusal(request_head, refusal, request_id)

    def _authenticate(self, request_head: Request, payload_hash: str) -> None:
        """Verify the signature or the bearer token; raises `ServiceError` if it is not valid."""
        known, now = self._known_credentials, self._clock() + self._clock_seconds(request_head)
        if _object_api.is_object_request(request_head):
            region = self._scope.region
            _object_api.authenticate(
                request_head, known, region, now=now, payload_hash=payload_hash
            )
        elif _openai_path.is_openai_request(request_head):
            _openai_path.authenticate(request_head, known, self._scope, now=now)
        else:
            verify(request_head, known, self._scope, now=now, payload_hash=payload_hash)

    def _clock_seconds(self, request_head: Request) -> float:
        """Return how far the clock is ahead that the request's endpoint reads."""
        found_endpoint = _find_endpoint(request_head.url)
        return self._model_host.clock_seconds(found_endpoint[1]) if found_endpoint else 0.0

    def _make_refusal(
        self, request_head: Request, refusal: ServiceError, request_id: str
    ) -> Response:
        if _object_api.is_object_request(request_head):
            return _object_api.make_refusal(refusal)
        if _openai_path.is_openai_request(request_head):
            return _openai_path.make_error_response(refusal, request_id=request_id)
        response = service.answer(refusal, request_id=request_id)
        clock_seconds = self._clock_seconds(request_head)
        if not clock_seconds:
            return response
        date_field = "Date", formatdate(self._clock() + clock_seconds, usegmt=True)
        return response.replace(headers=(*response.headers, date_field))

    def _count_request(self) -> None:
        with self._counter_lock:
            self.requests_seen += 1

    def _respond_unsigned(self, request_head: Request) -> Response | None:
        """Return the response to a request that needs no signature; None for any other."""
        path = request_head.url.partition("://")[2].partition("?")[0].partition("/")[2]
        if path == "ping":
            return Response(200)
        if not path.startswith("async/"):
            return None
        stored_object = self._model_host.store.get(f"{self._service_url}/{path}")
        if stored_object is None:
            return Response(404)
        return Response(200, (("Content-Type", "application/octet-stream"),), stored_object)


def _join_body(request_head: Request, received_body: ReceivedBody) -> Request:
    """Return the request with its body and without empty headers.

    botocore sends `Accept=""` as an empty header, which the service treats as an absent member.
    """
    header_fields = tuple(field for field in request_head.headers if field[1].strip())
    return Request(request_head.method, request_head.url, header_fields, received_body.read())
