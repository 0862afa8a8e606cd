"""The typed clients over other HTTP libraries, as the contract calls a transport.

Each library's client is limited to one connection, as ours are, and ignores the environment.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import httpx
import httpx2
import requests
import urllib3
from requests.adapters import HTTPAdapter

from smruntime_core.testing import CONTRACT
from smruntime_transports import AsyncClient, Client
from smruntime_transports.http_clients import aiohttp as over_aiohttp
from smruntime_transports.http_clients import httpx as over_httpx
from smruntime_transports.http_clients import httpx2 as over_httpx2
from smruntime_transports.http_clients import requests as over_requests
from smruntime_transports.http_clients import urllib3 as over_urllib3

from .callers import ON_ASYNCIO, ON_TRIO, Contracted, Loop, awaited_contract_caller, contract_caller


@contextmanager
def blocking(
    make_io: Callable[[Any], object], make: Callable[[], Any], **settings: Any
) -> Iterator[Client]:
    """Yield a `Client` over a library's client that `make` returns."""
    settings.pop("max_connections", None)  # the library's client has that limit
    with make() as library_client, Client(io=make_io(library_client), **settings) as client:
        yield client


@asynccontextmanager
async def awaited(
    make_io: Callable[[Any], object], make: Callable[[], Any], **settings: Any
) -> AsyncIterator[AsyncClient]:
    """Yield an `AsyncClient` over a library's client that `make` returns."""
    settings.pop("max_connections", None)
    async with (
        make() as library_client,
        AsyncClient(io=make_io(library_client), **settings) as client,
    ):
        yield client
    await anyio.sleep(0)  # trio closes generators that httpx has forgotten, in tasks of its own


@contextmanager
def requests_session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=1, pool_block=True))
        yield session


def aiohttp_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))


# anyio loads these during the first call, whose memory would be measured with them
for backend in ("asyncio", "trio"):
    import_module(f"anyio._backends._{backend}")

# one context for all, because loading certificates takes most of a short test
TLS_CONTEXT = ssl.create_default_context()
ON_HTTPX: dict[str, Any] = {"trust_env": False, "verify": TLS_CONTEXT}
ON_HTTPX2: dict[str, Any] = {**ON_HTTPX, "limits": httpx2.Limits(max_connections=1)}
ON_HTTPX["limits"] = httpx.Limits(max_connections=1)
httpx_client, httpx_async_client = (
    partial(httpx.Client, **ON_HTTPX),
    partial(httpx.AsyncClient, **ON_HTTPX),
)
httpx2_client, httpx2_async_client = (
    partial(httpx2.Client, **ON_HTTPX2),
    partial(httpx2.AsyncClient, **ON_HTTPX2),
)
pool_manager = partial(urllib3.PoolManager, maxsize=1, block=True)

BLOCKING_LIBRARIES: dict[str, Callable[..., Any]] = {
    "over httpx": partial(blocking, over_httpx.HttpxIO, httpx_client),
    "over httpx2": partial(blocking, over_httpx2.HttpxIO, httpx2_client),
    "over requests": partial(blocking, over_requests.RequestsIO, requests_session),
    "over urllib3": partial(blocking, over_urllib3.Urllib3IO, pool_manager),
}
AWAITED_LIBRARIES: dict[str, tuple[Callable[..., Any], Loop]] = {
    "over async httpx": (partial(awaited, over_httpx.AsyncHttpxIO, httpx_async_client), ON_ASYNCIO),
    "over httpx on trio": (partial(awaited, over_httpx.AsyncHttpxIO, httpx_async_client), ON_TRIO),
    "over async httpx2": (
        partial(awaited, over_httpx2.AsyncHttpxIO, httpx2_async_client),
        ON_ASYNCIO,
    ),
    "over aiohttp": (partial(awaited, over_aiohttp.AiohttpIO, aiohttp_session), ON_ASYNCIO),
}
OVER_LIBRARIES: dict[str, Contracted] = {
    name: contract_caller(make) for name, make in BLOCKING_LIBRARIES.items()
} | {name: awaited_contract_caller(*how) for name, how in AWAITED_LIBRARIES.items()}


def read_passed_faults(library: str) -> set[str]:
    """Return the faults of which every scenario passes over a library, as `docs/faults.md` says."""
    page = (Path(__file__).parents[1] / "docs" / "faults.md").read_text("utf-8")
    head, *_ = re.findall(r"^\| fault \| \| (.*) \|$", page, re.MULTILINE)
    column = head.split(" | ").index(library.removeprefix("over "))
    rows = re.findall(r"^\| fault (\w+) \| [^|]* \| (.*) \|$", page, re.MULTILINE)
    not_passed = {fault for fault, cells in rows if " " in cells.split(" | ")[column]}
    return {scenario.fault for scenario in CONTRACT} - not_passed
