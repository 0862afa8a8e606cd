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
from server import ANSWER
from work import LARGE, TARGET, header_fields, large_answer_members, large_members, members


def connect(port: int) -> socket.socket:
    """Open a blocking connection to the server."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def header_list(port: int, request: Any) -> list[tuple[str, str]]:
    """Return the header fields of a signed request as they are sent."""
    length = str(len(request.body))
    return [("host", f"127.0.0.1:{port}"), *request.headers, ("content-length", length)]


def request_head(port: int, fresh: Members) -> bytes:
    """Return the head of a signed call."""
    request = ours.signed_request(f"http://127.0.0.1:{port}", fresh)
    fields = [f"{name}: {value}" for name, value in header_list(port, request)]
    return "\r\n".join([f"POST {urlsplit(request.url).path} HTTP/1.1", *fields, "", ""]).encode()


def request_bytes(port: int, fresh: Members) -> bytes:
    """Return the head and the body of a signed call."""
    return request_head(port, fresh) + bytes(fresh["body"])


def receive_answer(connection: socket.socket) -> None:
    """Receive a short answer."""
    missing = len(ANSWER)
    while missing:
        missing -= len(connection.recv(1 << 16))


def exchange(connection: socket.socket, port: int) -> Subject:
    """Send the bytes of a signed call, receive those of its answer, and nothing else."""

    def call(message: bytes) -> None:
        connection.sendall(message)
        receive_answer(connection)

    message = request_bytes(port, members())
    return Subject(call, lambda: message)


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
    connection, message = connect(port), request_bytes(port, large_answer_members())

    def call(message: bytes) -> bytearray:
        connection.sendall(message)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(1 << 10)
        start = received.partition(b"\r\n\r\n")[2]
        body = bytearray(LARGE)
        body[: len(start)] = start
        filled = len(start)
        with memoryview(body) as view:
            while filled < LARGE:
                filled += connection.recv_into(view[filled:])
        return body

    return Subject(call, lambda: message)


def h11_cycle(port: int) -> Subject:
    """Exchange with h11 as the writer of requests and the reader of answers."""
    h11: Any = import_module("h11")
    protocol = h11.Connection(our_role=h11.CLIENT)
    connection = connect(port)

    def prepare() -> tuple[list[tuple[str, str]], bytes]:
        request = ours.signed_request(f"http://127.0.0.1:{port}", members())
        return header_list(port, request), bytes(request.body)

    def call(prepared: tuple[list[tuple[str, str]], bytes]) -> object:
        headers, body = prepared
        request = h11.Request(method="POST", target=TARGET, headers=headers)
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        connection.sendall(b"".join([protocol.send(event) for event in events]))
        answer = b""
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                protocol.receive_data(connection.recv(1 << 16))
            elif type(event) is h11.Data:
                answer += event.data
            elif type(event) is h11.EndOfMessage:
                protocol.start_next_cycle()
                return answer

    return Subject(call, prepare)


def urlopen(port: int) -> Subject:
    """Exchange by urllib3's pool; the signature does not change, for the server ignores it."""
    pool = import_module("urllib3").HTTPConnectionPool("127.0.0.1", port)
    signed = dict(ours.signed_request(f"http://127.0.0.1:{port}", members()).headers)

    def prepare() -> tuple[dict[str, str], bytes]:
        fresh = members()
        return signed | header_fields(fresh), fresh["body"]

    def call(prepared: tuple[dict[str, str], bytes]) -> object:
        headers, body = prepared
        answer = pool.urlopen(
            "POST", TARGET, body=body, headers=headers, retries=False, redirect=False
        )
        return answer.data

    return Subject(call, prepare)


def asyncio_streams(port: int) -> AsyncSubject:
    """Exchange on asyncio's streams."""

    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncCall]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = request_bytes(port, members())

        async def call(_: Members) -> object:
            writer.write(sent)
            await writer.drain()
            return await reader.readexactly(len(ANSWER))

        yield call
        writer.close()
        await writer.wait_closed()

    return AsyncSubject(open_stream)


def trio_streams(port: int) -> AsyncSubject:
    """Exchange on trio's streams."""
    trio: Any = import_module("trio")

    @asynccontextmanager
    async def open_stream() -> AsyncIterator[AsyncCall]:
        sent = request_bytes(port, members())
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:

            async def call(_: Members) -> None:
                await stream.send_all(sent)
                missing = len(ANSWER)
                while missing:
                    missing -= len(await stream.receive_some())

            yield call

    return AsyncSubject(open_stream, run=trio.run)
