"""`Client(io=HttpxIO(...))` over an `httpx2.Client`, and the same for `AsyncClient`."""

from __future__ import annotations

try:
    import httpx2
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.http_clients.httpx2 needs httpx2: pip install httpx2"
    ) from _missing

from ._httpx import AwaitedIO, BlockingIO

__all__ = ["AsyncHttpxIO", "HttpxIO"]


class HttpxIO(BlockingIO):
    """An IO over an `httpx2.Client`, which stays the caller's to close. Threads may share it.

    The client's proxies, certificates, transport and event hooks apply; its `auth`, headers,
    cookies, parameters, time limits and redirects do not. Raises `ConstructionError` for anything
    but an `httpx2.Client`.
    """

    def __init__(self, client: httpx2.Client) -> None:
        super().__init__(httpx2, client)


class AsyncHttpxIO(AwaitedIO):
    """An IO over an `httpx2.AsyncClient`, on asyncio or trio; see `HttpxIO`."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        super().__init__(httpx2, client)
