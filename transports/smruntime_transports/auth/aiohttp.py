"""`ClientSession(middlewares=[Middleware(signer)])` for aiohttp, 3.12 or newer."""

from __future__ import annotations

try:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
except ImportError as missing:
    raise ImportError(
        "smruntime_transports.auth.aiohttp needs aiohttp 3.12 or newer: pip install aiohttp"
    ) from missing

from smruntime_core import ConstructionError

from . import Signer


class Middleware:
    """Signs with `signer` whatever the session sends, redirects included; a body that comes in parts is read whole before.

    Raises `ConstructionError` for a request that aiohttp shall compress: it does so after signing.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        if request.compress:
            raise ConstructionError(
                "compress",
                "left out: aiohttp compresses after signing, so compress the data before",
            )
        body = request.body
        data = await body.as_bytes() if body else b""
        if body and body.size is None:
            await request.update_body(data)  # what comes in parts, comes once
        self._signer.apply(request.method, str(request.url), request.headers, data)
        return await handler(request)
