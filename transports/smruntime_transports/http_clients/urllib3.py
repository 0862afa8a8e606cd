"""`Client(io=Urllib3IO(...))` over a `urllib3.PoolManager`, by its own `request`."""

from __future__ import annotations

import time
from io import BytesIO
from typing import ClassVar, Final, cast

try:
    import urllib3
    from urllib3.exceptions import HTTPError
    from urllib3.util import SKIP_HEADER
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.http_clients.urllib3 needs urllib3 2.2 or newer: pip install urllib3"
    ) from _missing

from smruntime_core import Response, run
from smruntime_core.effects import Open, Receive, Send, StreamingResponse
from smruntime_core.streaming import receive_whole

from ._bodies import PIECE, UploadReader, framed_headers, open_body
from ._mapping import as_failures, check_client, opened, refuse_public, shortest

__all__ = ["RawBody", "Urllib3IO"]

MAX_SINGLE_WRITE: Final = 64 * 1024


class RawBody:
    """The body of a urllib3 response that is still to be read; requests has the same inside."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self.response: urllib3.BaseHTTPResponse = response

    def read(self, effect: Receive) -> bytes:
        """Return the next bytes, as they come, within the limits of the effect."""
        socket = getattr(self.response.connection, "sock", None)
        with as_failures(HTTPError, status=self.response.status):
            if socket is not None:
                socket.settimeout(shortest(effect.timeout, effect.phases.idle))
            return self.response.read1(PIECE, decode_content=False)

    def abort(self) -> None:
        """Close the connection unless the body was read to its end."""
        self.response.close()
        self.response.release_conn()


class Urllib3IO:
    """An IO over a `urllib3.PoolManager`, which stays the caller's to clear. Threads may share it.

    The manager's proxy, certificates and pools apply; its headers, retries and time limits do not.
    Raises `ConstructionError` for anything but a `PoolManager`.
    """

    blocks: ClassVar[bool] = True  # so `AsyncClient` refuses it

    def __init__(self, manager: urllib3.PoolManager) -> None:
        check_client("manager", manager, urllib3.PoolManager, "a urllib3.PoolManager")
        self._manager = manager

    def send(self, effect: Send, /) -> Response:
        """Send a request and return the whole response."""
        refuse_public(effect)
        if not effect.direct:
            return run(receive_whole(effect, time), self)
        with urllib3.PoolManager() as manager:  # one without a proxy
            return run(receive_whole(effect, time), Urllib3IO(manager))

    def open(self, effect: Open, /) -> StreamingResponse:
        """Send a request and return the head of the response."""
        request, phases = effect.request, effect.phases
        with as_failures(HTTPError):
            response = self._manager.request(
                request.method,
                request.url,
                body=read_in_pieces(open_body(request)),
                headers=urllib3.HTTPHeaderDict(
                    [*framed_headers(request), ("Accept-Encoding", SKIP_HEADER)]
                ),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                pool_timeout=shortest(phases.pool, effect.timeout),
                timeout=urllib3.Timeout(
                    connect=shortest(phases.connect, effect.timeout),
                    read=shortest(phases.response, effect.timeout),
                ),
            )
        return opened(effect, response.status, raw_headers(response), RawBody(response))

    def receive(self, effect: Receive, /) -> bytes:
        """Return the next bytes of a response."""
        return cast("RawBody", effect.body).read(effect)


def read_in_pieces(body: bytes | UploadReader) -> bytes | BytesIO | UploadReader | None:
    """Return a long body as a file: urllib3 limits the time of a piece, and bytes are one piece."""
    if isinstance(body, bytes) and len(body) > MAX_SINGLE_WRITE:
        return BytesIO(body)
    return body or None


def raw_headers(response: urllib3.BaseHTTPResponse) -> list[tuple[bytes, bytes]]:
    """Return the header fields as they were received."""
    return [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers.items()
    ]
