"""A request is signed when its connection is available, however long it waited for one."""

from __future__ import annotations

import asyncio
import threading
import time
from calendar import timegm
from collections.abc import Callable
from typing import Any

import pytest
import trio

from smruntime_core import Credentials
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3

from .servers import OK, Peer, acting

DELAY = 2.3  # seconds; a signature has whole seconds
MEMBERS: dict[str, Any] = {"endpoint_name": "iris", "body": b"1"}


class Ages:
    """How old, in seconds, the signature of each request was when it arrived."""

    def __init__(self) -> None:
        self.ages: list[float] = []

    def note(self, request: bytes) -> None:
        now = time.time()
        stamp = request.lower().partition(b"x-amz-date: ")[2][:16].decode()
        self.ages.append(now - timegm(time.strptime(stamp, "%Y%m%dt%H%M%Sz")))

    def slow_model(self, peer: Peer) -> None:
        while request := peer.read():
            self.note(request)
            if len(self.ages) == 1:
                time.sleep(DELAY)
            peer.send(OK)

    def slow_proxy(self, peer: Peer) -> None:
        assert peer.read().startswith(b"CONNECT ")
        time.sleep(DELAY)
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        self.note(peer.read())
        peer.send(OK)


def settings(url: str, **more: Any) -> dict[str, Any]:
    return {
        "region": "us-east-1",
        "endpoint_url": url,
        "credentials": Credentials("AKID", "secret"),
        **more,
    }


def call_from_threads(make: Callable[..., Any], count: int, **given: Any) -> None:
    with make(**given) as client:
        threads = [
            threading.Thread(target=lambda: client.invoke_endpoint(**MEMBERS)) for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def call_from_asyncio_tasks(count: int, **given: Any) -> None:
    async def main() -> None:
        async with on_asyncio.AsyncClient(**given) as client:
            await asyncio.gather(*(client.invoke_endpoint(**MEMBERS) for _ in range(count)))

    asyncio.run(main())


def call_from_trio_tasks(count: int, **given: Any) -> None:
    async def main() -> None:
        async with on_trio.AsyncClient(**given) as client, trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(lambda: client.invoke_endpoint(**MEMBERS))

    trio.run(main)


def call_on_sockets(count: int, **given: Any) -> None:
    call_from_threads(sockets.Client, count, **given)


def call_on_urllib3(count: int, **given: Any) -> None:
    call_from_threads(on_urllib3.Client, count, **given)


TRANSPORTS = pytest.mark.parametrize(
    "call", [call_on_sockets, call_on_urllib3, call_from_asyncio_tasks, call_from_trio_tasks]
)


@TRANSPORTS
def test_call_that_waited_for_a_slot_arrives_with_a_fresh_signature(
    call: Callable[..., None],
) -> None:
    seen = Ages()
    with acting(seen.slow_model) as server:
        call(2, **settings(server.url, max_connections=1))
    assert len(seen.ages) == 2
    assert max(seen.ages) < DELAY, f"signed before the wait: {seen.ages}"


@TRANSPORTS
def test_call_that_waited_for_a_connect_arrives_with_a_fresh_signature(
    call: Callable[..., None],
) -> None:
    seen = Ages()
    with acting(seen.slow_proxy) as server:
        call(1, **settings("http://files.example", proxy=server.url))
    assert len(seen.ages) == 1
    assert max(seen.ages) < DELAY, f"signed before connecting: {seen.ages}"


def test_stream_that_waited_for_a_slot_arrives_with_a_fresh_signature() -> None:
    seen = Ages()

    def stream(client: sockets.Client) -> None:
        with client.invoke_endpoint_with_response_stream(**MEMBERS) as response:
            list(response.bytes())

    def slow_model(peer: Peer) -> None:
        while request := peer.read():
            seen.note(request)
            if len(seen.ages) == 1:
                time.sleep(DELAY)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
            peer.send(head + b"Content-Length: 0\r\n\r\n")

    with (
        acting(slow_model) as server,
        sockets.Client(**settings(server.url, max_connections=1)) as client,
    ):
        threads = [threading.Thread(target=stream, args=(client,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen.ages) == 2
    assert max(seen.ages) < DELAY, f"signed before the wait: {seen.ages}"
