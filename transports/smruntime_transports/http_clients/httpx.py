"""`Client(io=HttpxIO(...))` over an `httpx.Client`, and the same for `AsyncClient`."""

from __future__ import annotations

try:
    import httpx
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.http_clients.httpx needs httpx: pip install httpx"
    ) from _missing

from ._httpx import AwaitedIO, BlockingIO

__all__ = ["AsyncHttpxIO", "HttpxIO"]


class HttpxIO(BlockingIO):
    """An IO over an `httpx.Client`, which stays the caller's to close. Threads may share it.

    The client's proxies, certificates, transport and event hooks apply; its `auth`, headers,
    cookies, parameters, time limits and redirects do not. Raises `ConstructionError` for anything
    but an `httpx.Client`.
    """

    def __init__(self, client: httpx.Client) -> None:
        super().__init__(httpx, client)


class AsyncHttpxIO(AwaitedIO):
    """An IO over an `httpx.AsyncClient`, on asyncio or trio; see `HttpxIO`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__(httpx, client)
