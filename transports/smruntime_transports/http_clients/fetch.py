"""`AsyncClient(io=FetchIO())` over `fetch`, the HTTP client of browsers, in Pyodide.

The browser (or Node) opens connections, follows its own proxies and checks certificates. SageMaker
Runtime sends no CORS headers, so a page needs a proxy that adds them (`signing_host=` is for that).
`fetch` does not say why it failed, nor when a request has left.
"""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from typing import Any, Final

try:
    js: Any = import_module("js")
    ffi: Any = import_module("pyodide.ffi")
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.http_clients.fetch needs Pyodide, the Python of browsers"
    ) from _missing

from smruntime_core import ConstructionError, Response, run_async
from smruntime_core.effects import Open, Receive, Send, StreamingResponse
from smruntime_core.streaming import receive_whole

from ._bodies import UploadReader, open_body
from ._mapping import as_failures, opened, refuse_public, shortest

__all__ = ["FetchIO"]

JsException: Final[type[Exception]] = ffi.JsException


class _Body:
    """A response body that is still to be read."""

    def __init__(self, response: Any, controller: Any) -> None:
        self.status: int = response.status
        self.reader: Any = response.body.getReader() if response.body else None
        self._controller = controller

    def abort(self) -> None:
        self._controller.abort()


class FetchIO:
    """An IO over the global function `fetch`."""

    async def send(self, effect: Send, /) -> Response:
        """Send a request and return the whole response."""
        refuse_public(effect)
        if effect.direct:
            problem = "this source must not be reached through a proxy, and a browser decides that"
            raise ConstructionError("credentials", "given", problem)
        return await run_async(receive_whole(effect, time), self)

    async def open(self, effect: Open, /) -> StreamingResponse:
        """Send a request and return the head of the response."""
        request = effect.request
        controller: Any = js.AbortController.new()
        body = open_body(request)
        members: dict[str, object] = {
            "method": request.method,
            "headers": dict(request.headers),
            "body": (body.read() if isinstance(body, UploadReader) else body) or None,
            "redirect": "manual",
            "signal": controller.signal,
        }
        options: Any = ffi.to_js(members, dict_converter=js.Object.fromEntries)
        try:
            with as_failures(JsException):
                async with asyncio.timeout(shortest(effect.phases.response, effect.timeout)):
                    response: Any = await js.fetch(request.url, options)
        except BaseException:
            controller.abort()
            raise
        headers: list[tuple[bytes, bytes]] = [
            (name.encode(), value.encode("latin-1")) for name, value in response.headers
        ]
        return opened(effect, response.status, headers, _Body(response, controller))

    async def receive(self, effect: Receive, /) -> bytes:
        """Return the next bytes of a response."""
        body: Any = effect.body
        if body.reader is None:
            return b""
        with as_failures(JsException, status=body.status):
            async with asyncio.timeout(shortest(effect.timeout, effect.phases.idle)):
                piece = await body.reader.read()
        return b"" if piece.done else piece.value.to_bytes()
