"""Damaged requests to the local endpoint: it answers or closes, and models get signed calls only.

Each case is the bytes of one connection, cut into pieces, after which the peer closes or sends no
more. Asserted are:

    the endpoint neither raises nor waits after the end of the bytes
    its statuses are those of the protocol, and the same however the bytes are cut
    a call that reaches a model was signed by one of the seeds, or has the bearer token
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import cast

from mutation import cut, mutate

from smruntime_core import (
    Credentials,
    InvokeEndpoint,
    InvokeEndpointWithResponseStream,
    Operation,
    Output,
    Request,
    Scope,
    sign,
)
from smruntime_core.signing import bearer_token, presign
from smruntime_local.hosting._model_host import ModelHost
from smruntime_local.hosting._request_handler import RequestHandler
from smruntime_local.hosting._routing import SingleModel
from smruntime_local.hosting._stream_behavior import StreamBehavior
from smruntime_local.models._container import ContainerReply, make_reply
from smruntime_local.server._connection import MAX_HEAD_SIZE, ServerConnection
from smruntime_local.server._limits import ServerLimits
from smruntime_local.server._slots import ConnectionSlots

NOW = 1_795_000_000.0
URL = "http://127.0.0.1:8080"
REGION = "us-east-1"
KEYS = Credentials("AKIDEXAMPLE", "a secret", "a/token+of=a+session")
SCOPE = Scope(REGION, "sagemaker")
TOKEN = bearer_token(
    KEYS, REGION, now=NOW
).encode()  # it covers no body, so any body is accepted with it
LIMITS = ServerLimits(max_body=100_000)
ACCEPTED = {100, 200, 400, 403, 404, 408, 413}
SIGNED = {("echo", b"1,2,3\n"), ("echo", b'{"stream": true}'), ("echo", bytes(70_000))}

_statuses = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ").findall


class Peer:
    """The server's side of a socket whose peer has sent `pieces`, then closes or is silent."""

    def __init__(self, pieces: Sequence[bytes], *, closes: bool) -> None:
        self.answer = bytearray()
        self._pieces = [piece for piece in pieces if piece][::-1]
        self._closes = closes
        self._read_after_end = 0

    def recv(self, size: int) -> bytes:
        if not self._pieces:
            self._read_after_end += 1
            assert self._read_after_end < 5, "it reads after the end"
            if not self._closes:
                raise TimeoutError
            return b""
        piece = self._pieces.pop()
        if len(piece) > size:
            self._pieces.append(piece[size:])
        return piece[:size]

    def sendall(self, data: bytes) -> None:
        self.answer += data

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR


class Endpoint:
    """The service with one model, which records its calls."""

    def __init__(self) -> None:
        self.received_calls: list[tuple[str, bytes]] = []
        host = ModelHost(
            {"echo": SingleModel(self._model)},
            region=REGION,
            url=URL,
            stream_behavior=StreamBehavior(),
            sleep=lambda _: None,
        )
        self._service = RequestHandler(host, KEYS, SCOPE, url=URL, clock=lambda: NOW)

    def _model(self, call: InvokeEndpoint) -> ContainerReply:
        self.received_calls.append((call.endpoint_name, bytes(call.body)))
        return make_reply(call, "text/plain", [b"as ", b"ordered"])

    def statuses(self, pieces: Sequence[bytes], *, closes: bool) -> list[int]:
        """Return the statuses of the responses on one connection."""
        peer, slots = Peer(pieces, closes=closes), ConnectionSlots(1)
        connection = cast("socket.socket", peer)
        assert slots.acquire(connection, threading.current_thread())
        try:
            ServerConnection(connection, "http", self._service, LIMITS, slots).run()
        except TimeoutError:
            assert not closes, "it waits after the peer closed"
        return [int(status) for status in _statuses(bytes(peer.answer))]


def _write(request: Request, *framing: bytes, body: bytes | None = None) -> bytes:
    """Return a request as bytes; without `framing` with a Content-Length."""
    target = request.url.removeprefix(URL)
    fields = [
        f"{name}: {value}".encode()
        for name, value in request.headers
        if name.lower() not in ("host", "content-length")
    ]
    data = bytes(request.body)
    head = [f"{request.method} {target} HTTP/1.1".encode(), b"Host: 127.0.0.1:8080", *fields]
    head += framing or [b"Content-Length: %d" % len(data)]
    return b"\r\n".join(head) + b"\r\n\r\n" + (data if body is None else body)


def _signed(operation: Operation[Output]) -> Request:
    request = operation.request(URL)
    return Request(
        request.method,
        request.url,
        request.headers + sign(request, KEYS, SCOPE, now=NOW).headers,
        request.body,
    )


def _seeds() -> list[bytes]:
    rows = b"1,2,3\n"
    call = _signed(
        InvokeEndpoint(
            endpoint_name="echo", body=rows, content_type="text/csv", custom_attributes="a=b"
        )
    )
    stream = _signed(
        InvokeEndpointWithResponseStream(
            endpoint_name="echo", body=rows, accept="text/plain", custom_attributes="cut=bytes"
        )
    )
    large = _signed(InvokeEndpoint(endpoint_name="echo", body=bytes(70_000)))
    plain = Request("POST", f"{URL}/endpoints/echo/invocations", (), rows)
    in_query = Request("POST", presign(plain, KEYS, SCOPE, now=NOW, expires=60).url, (), rows)
    bearer = ("Authorization", f"Bearer {TOKEN.decode()}")
    chat = Request(
        "POST", f"{URL}/endpoints/echo/openai/v1/chat/completions", (bearer,), b'{"stream": true}'
    )
    chunks = b"2\r\n1,\r\n4;x=y\r\n2,3\n\r\n0\r\nTrailer: x\r\n\r\n"
    ping = b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"
    return [
        _write(call),
        _write(call, b"Transfer-Encoding: chunked", body=chunks),
        _write(call, b"Expect: 100-continue", b"Content-Length: 6"),
        _write(call, b"Content-Length: 6", b"Connection: close"),
        _write(call) + _write(stream) + ping,
        _write(stream),
        _write(large),
        _write(in_query),
        _write(chat),
        _write(
            chat,
            b"Transfer-Encoding: chunked",
            body=b"10\r\n" + bytes(chat.body) + b"\r\n0\r\n\r\n",
        ),
        _write(plain),
        _write(plain, b"Transfer-Encoding: chunked", body=chunks),
        _write(plain, b"Content-Length: 70000"),
        _write(plain, b"Content-Length: 100001"),
        _write(Request("HEAD", f"{URL}/ping")),
        ping + ping + b"GET /async/x HTTP/1.1\r\nHost: a\r\n\r\n",
    ]


TOKENS = [
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"/",
        b"?",
        b"&",
        b"%",
        b"%00",
        b"%2F",
        b"\0",
        b"\x7f",
        b"\xff",
        b"0",
    ),
    *(
        b"HTTP/1.0",
        b"HTTP/1.1",
        b"HTTP/2.0",
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"CONNECT ",
        b"OPTIONS * ",
        b"http://evil/",
        b"//",
    ),
    *(
        b"Content-Length: 6\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ),
    *(
        b"Host: evil\r\n",
        b"Host: \r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    ),
    *(
        b"Authorization: ",
        b"AWS4-HMAC-SHA256 ",
        b"AWS4-ECDSA-P256-SHA256 ",
        b"Bearer ",
        b"Credential=",
        b"SignedHeaders=host;",
        b"Signature=",
    ),
    *(
        b"X-Amz-Signature=",
        b"X-Amz-Expires=604800",
        b"x-amz-date: 20261118T000000Z\r\n",
        b"x-amz-security-token: ",
        b"UNSIGNED-PAYLOAD",
    ),
    *(
        b"x-amz-content-sha256: ",
        b"x-amz-region-set: *\r\n",
        b"X-Amzn-SageMaker-Custom-Attributes: fault=stall:9@1\r\n",
        b"0\r\n\r\n",
        b"6\r\n",
    ),
]


@cache
def _endpoint() -> tuple[Endpoint, list[bytes]]:
    """Return one endpoint for all cases, and the seeds, each of which it answers."""
    endpoint, seeds = Endpoint(), _seeds()
    for seed in seeds:
        assert endpoint.statuses([seed], closes=True), f"no response to a seed: {seed[:200]!r}"
    assert set(endpoint.received_calls) == SIGNED, "the seeds do not reach the model as expected"
    return endpoint, seeds


def local(random: Random) -> None:
    """Damage the bytes of one connection."""
    endpoint, seeds = _endpoint()
    data = mutate(random, random.choice(seeds), TOKENS)
    closes = random.random() < 0.8
    del endpoint.received_calls[:]
    whole = endpoint.statuses([data], closes=closes)
    assert set(whole) <= ACCEPTED, f"{whole} to {data!r}"
    again = endpoint.statuses(cut(random, data), closes=closes)
    too_long = len(data) > MAX_HEAD_SIZE and again[-1:] == [
        400
    ]  # h11 refuses a long head only while it is incomplete
    assert again == whole or too_long, f"{whole}, cut otherwise {again}, to {data!r}"
    unsigned = set(endpoint.received_calls) - SIGNED
    assert not unsigned or TOKEN in data, (
        f"an unsigned call reached a model: {unsigned} by {data!r}"
    )
