"""The least that anybody could do: the same bytes through a bare socket, TLS, h11, urllib3, and our exchange by hand on a loop."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

import ours
from measuring import Call, Subject
from server import ANSWER
from work import BODY, LARGE, LARGE_ENDPOINT, TARGET

import smruntime_core as sm
from smruntime_core.http1 import Exchange

Moving: TypeAlias = "tuple[Callable[[memoryview], Awaitable[object]], Callable[[], Awaitable[bytes]], Callable[[], Awaitable[object]]]"


def connect(port: int) -> socket.socket:
    """A blocking connection to the benchmark's server."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def fields(port: int, request: sm.Request) -> list[tuple[str, str]]:
    """The header fields of a signed request, as they are sent."""
    return [("host", f"127.0.0.1:{port}"), *request.headers, ("content-length", str(len(request.body)))]


def head(port: int, **changes: object) -> bytes:
    """The head of a signed call."""
    request = ours.signed(f"http://127.0.0.1:{port}", **changes)
    target = "/" + request.url.split("/", 3)[3]
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields(port, request))]
    return "\r\n".join([*lines, "", ""]).encode()


def receive(connection: socket.socket) -> None:
    """A small answer."""
    missing = len(ANSWER)
    while missing:
        missing -= len(connection.recv(1 << 16))


def exchange(port: int) -> Subject:
    """The bytes of a signed call out, the bytes of its answer in, and nothing else."""
    return _exchange(connect(port), head(port) + BODY)


def tls_exchange(port: int, context: ssl.SSLContext) -> Subject:
    """The same through TLS."""
    return _exchange(context.wrap_socket(connect(port), server_hostname="127.0.0.1"), head(port) + BODY)


def _exchange(connection: socket.socket, message: bytes) -> Subject:
    def exchange() -> None:
        connection.sendall(message)
        receive(connection)

    return Subject(exchange)


def upload(port: int) -> Subject:
    """A long body hashed and sent."""
    body = b"x" * LARGE
    connection, message = connect(port), head(port, body=body)

    def upload() -> None:
        hashlib.sha256(body).hexdigest()
        connection.sendall(message)
        connection.sendall(body)
        receive(connection)

    return Subject(upload)


def download(port: int) -> Subject:
    """A long body received into a buffer of its own."""
    connection, message = connect(port), head(port, endpoint_name=LARGE_ENDPOINT) + BODY

    def download() -> bytearray:
        connection.sendall(message)
        begun = b""
        while b"\r\n\r\n" not in begun:
            begun += connection.recv(1 << 10)
        rest = begun.partition(b"\r\n\r\n")[2]
        body = bytearray(LARGE)
        body[: len(rest)] = rest
        filled = len(rest)
        with memoryview(body) as room:
            while filled < LARGE:
                filled += connection.recv_into(room[filled:])
        return body

    return Subject(download)


def h11_cycle(port: int) -> Subject:
    """The exchange with h11 writing the request and reading the answer."""
    h11: Any = import_module("h11")
    request = ours.signed(f"http://127.0.0.1:{port}")
    headers = fields(port, request)
    protocol = h11.Connection(our_role=h11.CLIENT)
    connection = connect(port)

    def cycle() -> bytes:
        begun = protocol.send(h11.Request(method="POST", target=TARGET, headers=headers))
        connection.sendall(begun + protocol.send(h11.Data(data=BODY)) + protocol.send(h11.EndOfMessage()))
        body = b""
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                protocol.receive_data(connection.recv(1 << 16))
            elif type(event) is h11.Data:
                body += event.data
            elif type(event) is h11.EndOfMessage:
                protocol.start_next_cycle()
                return body

    return Subject(cycle)


def urlopen(port: int) -> Subject:
    """The exchange by a pool of urllib3's."""
    pool = import_module("urllib3").HTTPConnectionPool("127.0.0.1", port)
    headers = dict(ours.signed(f"http://127.0.0.1:{port}").headers)
    return Subject(lambda: pool.urlopen("POST", TARGET, body=BODY, headers=headers, retries=False, redirect=False).data)


@asynccontextmanager
async def by_hand(port: int, connected: Callable[[int], Awaitable[Moving]]) -> AsyncIterator[Call]:
    """Our exchange on one connection as the loop offers it: no pool, no deadlines."""
    request = ours.signed(f"http://127.0.0.1:{port}")
    send, receive, close = await connected(port)

    async def call() -> object:
        exchange = Exchange(request)
        while (data := exchange.data_to_send()) is not None:
            await send(data)
            exchange.sent(len(data))
        while not exchange.done:
            exchange.receive_data(await receive())
        return exchange.response()

    try:
        yield call
    finally:
        await close()


async def asyncio_streams(port: int) -> Moving:
    """A connection of asyncio's."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    def send(data: memoryview) -> Awaitable[None]:
        writer.write(data)
        return writer.drain()

    async def close() -> None:
        writer.close()
        await writer.wait_closed()

    return send, partial(reader.read, 1 << 16), close


async def trio_streams(port: int) -> Moving:
    """A connection of trio's."""
    stream = await import_module("trio").open_tcp_stream("127.0.0.1", port)
    return stream.send_all, stream.receive_some, stream.aclose


@asynccontextmanager
async def on_a_socket(port: int, readable: Callable[[socket.socket], Awaitable[object]]) -> AsyncIterator[Call]:
    """The least of all: our exchange on a bare socket, and nothing of the loop's but a wait."""
    request = ours.signed(f"http://127.0.0.1:{port}")
    with connect(port) as connection:
        connection.setblocking(False)

        async def call() -> object:
            exchange = Exchange(request)
            while (data := exchange.data_to_send()) is not None:
                exchange.sent(connection.send(data))
            while not exchange.done:
                await readable(connection)
                exchange.receive_data(connection.recv(1 << 16))
            return exchange.response()

        yield call


async def asyncio_readable(sock: socket.socket) -> None:
    """Until there is something to read."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, ready.set_result, None)
    try:
        await ready
    finally:
        loop.remove_reader(sock)
