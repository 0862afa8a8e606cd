"""The same bytes without a client: on raw sockets, by h11, by urllib3, on the loops' streams."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import ours
from measuring import AsyncCall, AsyncSubject, Members, Subject
from server import SHORT_ANSWER
from work import (
    LARGE_SIZE,
    REQUEST_TARGET,
    fresh_members,
    large_answer_members,
    large_members,
    member_headers,
)


def connect(port: int) -> socket.socket:
    """Open a blocking connection to the server."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def header_list(port: int, request: Any) -> list[tuple[str, str]]:
    """Return the header fields of a signed request as they are sent."""
    length = str(len(request.body))
    return [("host", f"127.0.0.1:{port}"), *request.headers, ("content-length", length)]


def request_head(port: int, call_members: Members) -> bytes:
    """Return the head of a signed call."""
    request = ours.signed_request(f"http://127.0.0.1:{port}", call_members)
    fields = [f"{name}: {value}" for name, value in header_list(port, request)]
    return "\r\n".join([f"POST {urlsplit(request.url).path} HTTP/1.1", *fields, "", ""]).encode()


def request_bytes(port: int, call_members: Members) -> bytes:
    """Return the head and the body of a signed call."""
    return request_head(port, call_members) + bytes(call_members["body"])


def receive_answer(connection: socket.socket) -> None:
    """Receive a short answer."""
    bytes_missing = len(SHORT_ANSWER)
    while bytes_missing:
        bytes_missing -= len(connection.recv(1 << 16))


def exchange(connection: socket.socket, port: int) -> Subject:
    """Send the bytes of a signed call, receive those of its answer, and nothing else."""

    def call(request_data: bytes) -> None:
        connection.sendall(request_data)
        receive_answer(connection)

    request_data = request_bytes(port, fresh_members())
    return Subject(call, lambda: request_data)


def plain_exchange(port: int) -> Subject:
    """Exchange over TCP."""
    return exchange(connect(port), port)


def tls_exchange(port: int, bundle: str) -> Subject:
    """Exchange through TLS."""
    context = ssl.create_default_context(cafile=bundle)
    return exchange(context.wrap_socket(connect(port), server_hostname="127.0.0.1"), port)


def upload(port: int) -> Subject:
    """Hash and send long bodies."""
    connection, head = connect(port), request_head(port, large_members())

    def call(body: bytes) -> None:
        hashlib.sha256(body).hexdigest()
        connection.sendall(head)
        connection.sendall(body)
        receive_answer(connection)

    return Subject(call, lambda: large_members()["body"])


def download(port: int) -> Subject:
    """Receive long bodies, each into a buffer of its own."""
    connection, request_data = connect(port), request_bytes(port, large_answer_members())

    def call(request_data: bytes) -> bytearray:
        connection.sendall(request_data)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(1 << 10)
        body_start = received.partition(b"\r\n\r\n")[2]
        body = bytearray(LARGE_SIZE)
        body[: len(body_start)] = body_start
        filled_size = len(body_start)
        with memoryview(body) as view:
            while filled_size < LARGE_SIZE:
                filled_size += connection.recv_into(view[filled_size:])
        return body

    return Subject(call, lambda: request_data)


def h11_cycle(port: int) -> Subject:
    """Exchange with h11 as the writer of requests and the reader of answers."""
    h11: Any = import_module("h11")
    h11_connection = h11.Connection(our_role=h11.CLIENT)
    connection = connect(port)

    def prepare() -> tuple[list[tuple[str, str]], bytes]:
        request = ours.signed_request(f"http://127.0.0.1:{port}", fresh_members())
        return header_list(port, request), bytes(request.body)

    def call(prepared: tuple[list[tuple[str, str]], bytes]) -> object:
        headers, body = prepared
        request = h11.Request(method="POST", target=REQUEST_TARGET, headers=headers)
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        connection.sendall(b"".join([h11_connection.send(event) for event in events]))
        response = b""
        while True:
            event = h11_connection.next_event()
            if event is h11.NEED_DATA:
                h11_connection.receive_data(connection.recv(1 << 16))
            elif type(event) is h11.Data:
                response += event.data
            elif type(event) is h11.EndOfMessage:
                h11_connection.start_next_cycle()
                return response

    return Subject(call, prepare)


def urlopen(port: int) -> Subject:
    """Exchange by urllib3's pool; the signature does not change, for the server ignores it."""
    connection_pool = import_module("urllib3").HTTPConnectionPool("127.0.0.1", port)
    signed = dict(ours.signed_request(f"http://127.0.0.1:{port}", fresh_members()).headers)

    def prepare() -> tuple[dict[str, str], bytes]:
        call_members = fresh_members()
        return signed | member_headers(call_members), call_members["body"]

    def call(prepared: tuple[dict[str, str], bytes]) -> object:
        headers, body = prepared
        response = connection_pool.urlopen(
            "POST", REQUEST_TARGET, body=body, headers=headers, retries=False, redirect=False
        )
        return response.data

    return Subject(call, prepare)


def asyncio_streams(port: int) -> AsyncSubject:
    """Exchange on asyncio's streams."""

    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncCall]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request_data = request_bytes(port, fresh_members())

        async def call(_: Members) -> object:
            writer.write(request_data)
            await writer.drain()
            return await reader.readexactly(len(SHORT_ANSWER))

        yield call
        writer.close()
        await writer.wait_closed()

    return AsyncSubject(open_stream)


def trio_streams(port: int) -> AsyncSubject:
    """Exchange on trio's streams."""
    trio: Any = import_module("trio")

    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncCall]:
        request_data = request_bytes(port, fresh_members())
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:

            async def call(_: Members) -> None:
                await stream.send_all(request_data)
                bytes_missing = len(SHORT_ANSWER)
                while bytes_missing:
                    bytes_missing -= len(await stream.receive_some())

            yield call

    return AsyncSubject(open_stream, run=trio.run)
