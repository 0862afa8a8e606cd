"""Subjects of this library. Only its public names are used, and only in this file."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from counting import Files, Frames
from measuring import AsyncCall, AsyncSubject, Crowd, Members, MemoryGrowth, Subject
from server import BODY, EVENTS, HEADERS, PART
from work import KEYS, NOW, REGION, SERVICE, URL, large_answer_members, large_members, members

import smruntime_core as sm
from smruntime_core.eventstream import EventStreamDecoder
from smruntime_core.streaming import NEED_DATA

PACKAGES = ("smruntime_core", "smruntime_transports")
CREDENTIALS = sm.Credentials(*KEYS)
SCOPE = sm.Scope(REGION, SERVICE)
RESPONSE = sm.Response(200, HEADERS, BODY)


def client(url: str, transport: str = "sockets", **options: object) -> Any:
    """Return a client of a transport."""
    module = import_module(f"smruntime_transports.{transport}")
    kind = getattr(module, "Client", None) or module.AsyncClient
    return kind(region=REGION, endpoint_url=url, credentials=CREDENTIALS, **options)


def signed_request(url: str, fresh: Members) -> sm.Request:
    """Return the signed request of a call."""
    request = sm.InvokeEndpoint(**fresh).request(url)
    return request.replace(
        headers=request.headers + sm.sign(request, CREDENTIALS, SCOPE, now=NOW).headers
    )


def sign(prepare: Callable[[], Members] = members) -> Subject:
    """Sign requests that are ready."""
    return Subject(
        lambda request: sm.sign(request, CREDENTIALS, SCOPE, now=NOW),
        lambda: sm.InvokeEndpoint(**prepare()).request(URL),
    )


def without_io(prepare: Callable[[], Members] = members) -> Subject:
    """Build and check an operation, sign its request, parse its answer."""
    url = sm.Config(region=REGION).url  # a client checks its URL once

    def call(fresh: Members) -> object:
        operation = sm.InvokeEndpoint(**fresh)
        request = operation.request(url)
        request.replace(
            headers=request.headers + sm.sign(request, CREDENTIALS, SCOPE, now=NOW).headers
        )
        return operation.parse(RESPONSE)

    return Subject(call, prepare)


def invoke(url: str, transport: str = "sockets", **options: object) -> Callable[[Members], object]:
    """Return one call as applications write it."""
    made = client(url, transport, **options)
    return lambda fresh: made.invoke_endpoint(**fresh).body


def call(url: str, prepare: Callable[[], Members] = members, **options: Any) -> Subject:
    """Call with a client that has options."""
    return Subject(invoke(url, **options), prepare)


def tls_call(url: str, bundle: str) -> Subject:
    """Call through TLS."""
    return Subject(invoke(url, tls=ssl.create_default_context(cafile=bundle)))


@asynccontextmanager
async def connect(url: str, transport: str) -> AsyncIterator[AsyncCall]:
    """Open an async client; yield one call as applications write it."""
    async with client(url, transport) as made:
        yield lambda fresh: made.invoke_endpoint(**fresh)


def asyncio_call(url: str, prepare: Callable[[], Members] = members) -> AsyncSubject:
    """Call on asyncio."""
    return AsyncSubject(lambda: connect(url, "asyncio"), prepare)


def trio_call(url: str, prepare: Callable[[], Members] = members) -> AsyncSubject:
    """Call on trio."""
    return AsyncSubject(lambda: connect(url, "trio"), prepare, import_module("trio").run)


def crowd(url: str) -> Crowd:
    """Call from 1000 asyncio tasks at once."""
    return Crowd(lambda: connect(url, "asyncio"))


def upload(url: str) -> Subject:
    """Send long bodies."""
    return Subject(invoke(url), large_members)


def download(url: str) -> Subject:
    """Receive long bodies."""
    return Subject(invoke(url), large_answer_members)


def upload_memory(url: str) -> MemoryGrowth:
    """Send a long body, and look at memory."""
    return _memory(url, large_members)


def download_memory(url: str) -> MemoryGrowth:
    """Receive a long body, and look at memory."""
    return _memory(url, large_answer_members)


def _memory(url: str, prepare: Callable[[], Members]) -> MemoryGrowth:
    call = invoke(url)
    call(members())
    return MemoryGrowth(call, prepare)


def decode() -> Subject:
    """Decode an event stream that is in memory."""

    def call(data: bytes) -> None:
        decoder = EventStreamDecoder()
        events = 0
        for start in range(0, len(data), 1 << 16):
            decoder.receive_data(data[start : start + (1 << 16)])
            while decoder.next_event() is not NEED_DATA:
                events += 1
        assert events == EVENTS

    stream = PART * EVENTS
    return Subject(call, lambda: stream)


def stream(url: str) -> Subject:
    """Receive an event stream."""
    made = client(url)

    def call(fresh: Members) -> None:
        with made.invoke_endpoint_with_response_stream(**fresh) as parts:
            events = sum(1 for _ in parts.bytes())
        assert events == EVENTS

    return Subject(call)


def frames(url: str) -> Frames:
    """Count the Python frames that one call enters."""
    return Frames(invoke(url), members)


def files(url: str) -> Files:
    """Count the files of this library that one call enters."""
    return Files(invoke(url), members, PACKAGES)
