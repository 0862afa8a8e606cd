"""`Client(io=RequestsIO(...))` over a `requests.Session`."""

from __future__ import annotations

import time
from typing import Any, ClassVar, cast

try:
    import requests
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.http_clients.requests needs requests: pip install requests"
    ) from _missing

from smruntime_core import Response, run
from smruntime_core.effects import Open, Receive, Send, StreamingResponse
from smruntime_core.streaming import receive_whole

from ._bodies import framed_headers, open_body
from ._mapping import as_failures, check_client, opened, refuse_public, shortest
from .urllib3 import RawBody, raw_headers, read_in_pieces

__all__ = ["RequestsIO"]


class RequestsIO:
    """An IO over a `requests.Session`, which stays the caller's to close.

    The session's proxies, certificates, adapters and hooks apply, and the variables of the
    environment if it trusts them; its `auth`, headers, cookies and parameters do not. Raises
    `ConstructionError` for anything but a `Session`.
    """

    blocks: ClassVar[bool] = True  # so `AsyncClient` refuses it

    def __init__(self, session: requests.Session) -> None:
        check_client("session", session, requests.Session, "a requests.Session")
        self._session = session

    def send(self, effect: Send, /) -> Response:
        """Send a request and return the whole response."""
        refuse_public(effect)
        if not effect.direct:
            return run(receive_whole(effect, time), self)
        with requests.Session() as session:
            session.trust_env = False  # no proxies
            return run(receive_whole(effect, time), RequestsIO(session))

    def open(self, effect: Open, /) -> StreamingResponse:
        """Send a request and return the head of the response."""
        request, session = effect.request, self._session
        limits = (
            shortest(effect.phases.connect, effect.timeout),
            shortest(effect.phases.response, effect.timeout),
        )
        with as_failures(requests.RequestException):
            prepared = requests.Request(
                request.method,
                request.url,
                headers=dict(framed_headers(request)),
                data=read_in_pieces(open_body(request)),
                hooks={"response": [*session.hooks["response"], _forget_redirect]},
            ).prepare()
            prepared.url = request.url  # as it was signed
            settings = session.merge_environment_settings(request.url, {}, True, None, None)
            response = session.send(prepared, timeout=limits, allow_redirects=False, **settings)
        raw = cast("Any", response.raw)
        return opened(effect, raw.status, raw_headers(raw), RawBody(raw))

    def receive(self, effect: Receive, /) -> bytes:
        """Return the next bytes of a response."""
        return cast("RawBody", effect.body).read(effect)


def _forget_redirect(response: requests.Response, **_: object) -> None:
    """Hide a redirect from requests, which would read its whole body though it follows none."""
    response.headers.pop("location", None)
