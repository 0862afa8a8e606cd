"""`ClientSession(middlewares=[Middleware(signer)])` for aiohttp, 3.12 or newer.

aiohttp calls its middleware for each request of a call, and does not say which of them follow a
redirect. They share the timer of the call. So while the response of a redirect exists, `Middleware`
remembers the first URL by that timer.
"""

from __future__ import annotations

import weakref

try:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.auth.aiohttp needs aiohttp 3.12 or newer: pip install aiohttp"
    ) from _missing

from smruntime_core import ConstructionError

from ._signer import Signer

REDIRECT_STATUSES = (301, 302, 303, 307, 308)


class Middleware:
    """A middleware that signs every request of a session with `signer`, redirects included.

    A body that arrives in parts is read whole first. Raises `ConstructionError` for a request that
    aiohttp is to compress, because it compresses after signing.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._first_urls: dict[int, str] = {}  # by the identity of the call's timer

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Sign `request` and pass it on to `handler`."""
        if request.compress:
            expected = "left out: aiohttp compresses after signing, so compress the data before"
            raise ConstructionError("compress", expected)
        timer_identity = _identify_timer(request)
        request_url = str(request.url)
        first_url = self._first_urls.get(timer_identity, request_url)
        self._signer.apply(
            request.method,
            request_url,
            request.headers,
            await _read_body(request),
            first_url=first_url,
        )
        response = await handler(request)
        if response.status in REDIRECT_STATUSES:
            self._first_urls[timer_identity] = first_url
            # The response keeps the timer alive, so its identity is not used again before.
            weakref.finalize(response, self._first_urls.pop, timer_identity, None)
        return response


def _identify_timer(request: ClientRequest) -> int:
    call_timer: object = getattr(request, "_timer", None)
    if call_timer is None:
        consequence = "this version of aiohttp does not show which requests follow a redirect"
        raise ConstructionError("aiohttp", "another version, or update smruntime-core", consequence)
    return id(call_timer)


async def _read_body(request: ClientRequest) -> bytes:
    body = request.body
    body_data = await body.as_bytes() if body else b""
    if body and body.size is None:
        await request.update_body(body_data)  # of unknown size: send it whole
    return body_data
