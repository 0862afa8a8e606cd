"""Requests in, answers out, without sockets: authentication, the protocol, and then the models.

    head           refuse: what no body could make right (403)
    head + body    answer: signature (403), protocol (`service.read`: 400 or 404), models (`_host`)

On one path a bearer token stands in for the signature (`_openai`). Two requests need neither and
reveal nothing: `GET /ping`, and `GET /async/…` of an object whose name cannot be guessed.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

from smruntime_core import Credentials, Request, Response, Scope, ServiceError, service, verify

from . import _openai
from ._host import Answer, Host
from ._received import ReceivedBody

_NO_HASH = "0" * 64


class Service:
    """The service of one region at `url`, with the models of `host`; `credentials` sign for it."""

    def __init__(
        self,
        host: Host,
        credentials: Credentials,
        scope: Scope,
        *,
        url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.requests_seen = 0
        self._host = host
        self._known = {credentials.access_key_id: credentials}
        self._scope = scope
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()

    def refuse(self, head: Request) -> Response | None:
        """Return the refusal of a request from its head; None if that takes the body too.

        A signature that does not match may be right with the body, so that is not refused here.
        """
        try:
            if _openai.concerns(head):
                _openai.authenticate(head, self._known, self._scope, now=self._clock())
            else:
                verify(head, self._known, self._scope, now=self._clock(), payload_hash=_NO_HASH)
        except ServiceError as refusal:
            if refusal.code != "InvalidSignatureException" or _openai.concerns(head):
                self._count()
                return self._refusal(head, refusal, str(uuid.uuid4()))
        return None

    def answer(self, head: Request, body: ReceivedBody) -> Answer:
        """Return what the service answers, the signature verified before anything else."""
        if head.method == "GET" and (unsigned := self._unsigned(head)):
            return unsigned
        self._count()
        request_id = str(uuid.uuid4())
        try:
            if _openai.concerns(head):
                _openai.authenticate(head, self._known, self._scope, now=self._clock())
                call, streamed = _openai.read(_whole(head, body))
                return self._host.relay(call, streamed=streamed, request_id=request_id)
            verify(head, self._known, self._scope, now=self._clock(), payload_hash=body.sha256)
            return self._host.answer(service.read(_whole(head, body)), request_id=request_id)
        except ServiceError as refusal:
            return self._refusal(head, refusal, request_id)

    def _count(self) -> None:
        with self._lock:
            self.requests_seen += 1

    def _refusal(self, head: Request, refusal: ServiceError, request_id: str) -> Response:
        form = _openai.answer if _openai.concerns(head) else service.answer
        return form(refusal, request_id=request_id)

    def _unsigned(self, head: Request) -> Response | None:
        """Return the answer to what needs no signature, None for anything else."""
        path = head.url.partition("://")[2].partition("?")[0].partition("/")[2]
        if path == "ping":
            return Response(200)
        if not path.startswith("async/"):
            return None
        found = self._host.store.get(f"{self._url}/{path}")
        if found is None:
            return Response(404)
        return Response(200, (("Content-Type", "application/octet-stream"),), found)


def _whole(head: Request, body: ReceivedBody) -> Request:
    """Return the request with its body, without empty headers.

    botocore sends `Accept=""` as an empty header, which the service takes for an absent member.
    """
    return Request(
        head.method,
        head.url,
        tuple(field for field in head.headers if field[1].strip()),
        body.read(),
    )
