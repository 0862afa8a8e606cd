"""Clients over an IO of the caller's: a dozen lines each, for sync code, asyncio and trio."""

from __future__ import annotations

import asyncio
import http.client
import pickle
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

import smruntime_core as sm
from smruntime_core.effects import GetCredentials, Send, Sleep
from smruntime_transports import AsyncClient, Client, sockets
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import trio as on_trio

from .servers import OK, scripted

CREDENTIALS = sm.Credentials("AKID", "secret")
BUSY = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"
MEMBERS: dict[str, Any] = {"endpoint_name": "iris", "body": b"5.1,3.5,1.4,0.2"}


class HttpClientIO:
    """An IO over the standard library's `http.client`: the only method is `send`."""

    def send(self, effect: Send) -> sm.Response:
        request, url = effect.request, urlsplit(effect.request.url)
        connection = http.client.HTTPConnection(url.netloc, timeout=effect.timeout)
        try:
            connection.request(request.method, url.path, bytes(request.body), dict(request.headers))
            answer = connection.getresponse()
            return sm.Response(answer.status, tuple(answer.getheaders()), answer.read())
        finally:
            connection.close()


def message(request: sm.Request) -> bytes:
    """Return `request` as it is sent on a connection that is closed afterwards."""
    url, size = urlsplit(request.url), len(request.body)
    fields = [*request.headers, ("Host", url.netloc), ("Content-Length", str(size))]
    lines = [f"{request.method} {url.path} HTTP/1.1", *map(": ".join, fields)]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + bytes(request.body)


def parse(received: bytes) -> sm.Response:
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = tuple((name, value.strip()) for name, _, value in (x.partition(":") for x in lines))
    return sm.Response(int(status.split(" ")[1]), headers, body)


class AsyncioStreamsIO:
    """An IO over asyncio's streams."""

    async def send(self, effect: Send) -> sm.Response:
        url = urlsplit(effect.request.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        try:
            writer.write(message(effect.request))
            return parse(await reader.read())
        finally:
            writer.close()


class TrioStreamsIO:
    """An IO over trio's streams."""

    async def send(self, effect: Send) -> sm.Response:
        url = urlsplit(effect.request.url)
        stream = await trio.open_tcp_stream(url.hostname or "", url.port or 80)
        async with stream:
            await stream.send_all(message(effect.request))
            return parse(b"".join([piece async for piece in stream]))


def settings(url: str) -> dict[str, Any]:
    return {"region": "us-east-1", "endpoint_url": url, "credentials": CREDENTIALS}


def closing(answer: bytes) -> bytes:
    """Return `answer` with the header that makes the server close the connection."""
    return answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


def run_on_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    async def awaited() -> Any:
        return await main()

    return asyncio.run(awaited())


LOOPS: dict[str, tuple[Callable[..., Any], type[object], str]] = {
    "asyncio": (run_on_asyncio, AsyncioStreamsIO, "AsyncioIO"),
    "trio": (trio.run, TrioStreamsIO, "TrioIO"),
}


def test_sync_client_calls_and_retries_over_a_custom_io() -> None:
    with (
        scripted(closing(BUSY), closing(OK)) as server,
        Client(io=HttpClientIO(), **settings(server.url)) as client,
    ):
        output = client.invoke_endpoint(**MEMBERS)
    assert output.body == b"abc"
    assert [attempt.outcome for attempt in output.metadata.attempts] == ["503", "ok"]
    assert b"AWS4-HMAC-SHA256 Credential=AKID/" in server.requests[1]


@pytest.mark.parametrize("loop", LOOPS)
def test_async_client_calls_and_retries_over_a_custom_io(loop: str) -> None:
    run, make_io, _ = LOOPS[loop]

    async def main() -> sm.InvokeEndpointOutput:
        async with AsyncClient(io=make_io(), **settings(server.url)) as client:
            return await client.invoke_endpoint(**MEMBERS)

    with scripted(closing(BUSY), closing(OK)) as server:
        output = run(main)
    assert output.body == b"abc"
    assert [attempt.outcome for attempt in output.metadata.attempts] == ["503", "ok"]


@pytest.mark.parametrize("loop", LOOPS)
def test_async_client_without_io_uses_the_running_loop(loop: str) -> None:
    run, _, expected = LOOPS[loop]

    async def main() -> str:
        async with AsyncClient(**settings(server.url)) as client:
            assert (await client.invoke_endpoint(**MEMBERS)).body == b"abc"
            return type(client._io).__name__

    with scripted(OK) as server:
        assert run(main) == expected


def test_sync_client_without_io_uses_sockets() -> None:
    with scripted(OK) as server, Client(**settings(server.url)) as client:
        assert client.invoke_endpoint(**MEMBERS).body == b"abc"
        assert type(client._io).__name__ == "SocketIO"


class OwnEverything(HttpClientIO):
    """An IO that also signs with credentials of its own, and sleeps in its own way."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.closed = False

    def credentials(self, effect: GetCredentials) -> sm.Credentials:
        return sm.Credentials("OWN", "secret")

    def sleep(self, effect: Sleep) -> None:
        self.slept.append(effect.seconds)

    def close(self) -> None:
        self.closed = True


def test_methods_of_the_custom_io_come_before_the_library_s() -> None:
    io = OwnEverything()
    with (
        scripted(closing(BUSY), closing(OK)) as server,
        Client(io=io, **settings(server.url)) as client,
    ):
        client.invoke_endpoint(**MEMBERS)
        assert client.credentials().access_key_id == "OWN"
    assert b"Credential=OWN/" in server.requests[0]
    assert len(io.slept) == 1
    assert io.closed


def test_copy_with_other_options_shares_the_custom_io() -> None:
    io = OwnEverything()
    with scripted(closing(OK)) as server:
        client = Client(io=io, **settings(server.url)).with_options(timeout=5.0)
        assert client.invoke_endpoint(**MEMBERS).body == b"abc"
        assert client._given_io is io


@pytest.mark.parametrize(
    ("io", "call", "missing"),
    [
        (
            object(),
            Client.invoke_endpoint,
            r"object has no method send\(\), which is needed for every call",
        ),
        (
            HttpClientIO(),
            Client.invoke_endpoint_with_response_stream,
            r"HttpClientIO has no method open\(\), which is needed for a streamed",
        ),
    ],
)
def test_missing_method_is_named_with_the_feature(
    io: object, call: Callable[..., object], missing: str
) -> None:
    client = Client(io=io, **settings("http://127.0.0.1:9"))
    with pytest.raises(TypeError, match=f"{missing}.*smruntime_core.effects"):
        call(client, **MEMBERS)


def test_missing_method_of_an_async_io_is_named_with_the_feature() -> None:
    async def main() -> None:
        client = AsyncClient(io=AsyncioStreamsIO(), **settings("http://127.0.0.1:9"))
        await client.invoke_endpoint_with_response_stream(**MEMBERS)

    with pytest.raises(TypeError, match=r"AsyncioStreamsIO has no method open\(\)"):
        asyncio.run(main())


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_connections", 5),
        ("engine", "h11"),
        ("proxy", "http://proxy.example:3128"),
        ("trust_env", True),
        ("tls", None),
        ("socket_options", ()),
    ],
)
def test_settings_of_connections_are_refused_beside_io(
    kind: Callable[..., Any], name: str, value: object
) -> None:
    with pytest.raises(sm.ConstructionError, match=f"{name}.*`io` brings its own"):
        kind(io=HttpClientIO(), region="us-east-1", **{name: value})


@pytest.mark.parametrize("kind", [sockets.Client, on_asyncio.AsyncClient, on_trio.AsyncClient])
def test_adapters_take_no_io(kind: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="io"):
        kind(io=HttpClientIO(), region="us-east-1")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_client_over_a_custom_io_is_not_pickled(kind: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="HttpClientIO as 'io' cannot be pickled"):
        pickle.dumps(kind(io=HttpClientIO(), region="us-east-1"))


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("regoin", "region"), ("endpointUrl", "endpoint_url"), ("Retries", "retries")],
)
def test_misspelt_setting_is_named_with_the_one_meant(misspelt: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"{misspelt}.*did you mean {meant}"):
        Client(**{misspelt: "x"})  # type: ignore[arg-type]  # the point of this test
