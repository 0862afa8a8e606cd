"""Clients and transports: everything that does I/O for `smruntime_core`.

    Client        sync, over sockets of the standard library, or over your own `Client(io=...)`
    AsyncClient   async, on asyncio or trio, whichever runs, or over your own `AsyncClient(io=...)`

The adapters have subclasses of these two:

    smruntime_transports.sockets.Client        the standard library only
    smruntime_transports.urllib3.Client        urllib3's TLS and proxies (extra `urllib3`)
    smruntime_transports.asyncio.AsyncClient   asyncio, the standard library only
    smruntime_transports.trio.AsyncClient      trio (extra `trio`)

`smruntime_transports.batch` sends many records through an endpoint, resumable;
`smruntime_transports.client` has the types of what clients take and return;
`smruntime_transports.auth` signs requests of other HTTP clients.
"""

from __future__ import annotations

from .client import TLS, AsyncClient, Client, Proxy, Settings

__all__ = ["TLS", "AsyncClient", "Client", "Proxy", "Settings"]


def __dir__() -> list[str]:
    return sorted(__all__)
