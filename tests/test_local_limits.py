"""The local endpoint under load and attack: its costs are limited, and other clients are served."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest
import trustme
from botocore.config import Config

import smruntime_local
from smruntime_core import Credentials, InvokeEndpoint, Request, Scope, sign
from smruntime_core.signing import bearer_token
from smruntime_local.models._ngram import split_tokens
from smruntime_transports.sockets import Client

LARGE = 60_000_000  # bytes
MEMORY = 100_000_000  # bytes that the endpoint may grow by


def connect(url: str, seconds: float = 10.0) -> socket.socket:
    host, _, port = url.partition("://")[2].partition(":")
    return socket.create_connection((host, int(port)), seconds)


def read_all(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes, however it closes."""
    data = b""
    with suppress(ConnectionError):
        while piece := connection.recv(65536):
            data += piece
    return data


def client_of(url: str, credentials: Credentials, region: str = "us-east-1") -> Client:
    return Client(region=region, endpoint_url=url, credentials=credentials)


def signed_head(
    url: str,
    credentials: Credentials,
    body: bytes,
    *,
    path: str = "/endpoints/echo/invocations",
    extra: str = "",
    scope: Scope | None = None,
) -> bytes:
    """Return the head of a signed request whose body is `body`."""
    request = Request("POST", f"{url}{path}", (("Content-Type", "text/csv"),), body)
    fields = (
        *request.headers,
        *sign(
            request, credentials, scope or Scope("us-east-1", "sagemaker"), now=time.time()
        ).headers,
    )
    lines = "".join(
        f"{name}: {value}\r\n"
        for name, value in fields
        if name.lower() not in ("host", "content-length")
    )
    return f"POST {path} HTTP/1.1\r\nHost: {url.partition('://')[2]}\r\n{lines}{extra}".encode()


# ── a server in a process of its own, whose memory and threads can be measured ──


class Server(NamedTuple):
    url: str
    credentials: Credentials
    process_id: int

    def measured(self, name: str) -> int:
        """Return a number of /proc/…/status: bytes, or a count."""
        for line in Path(f"/proc/{self.process_id}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0]) * (1024 if value.endswith("kB") else 1)
        raise AssertionError(f"there is no {name}")


@contextmanager
def server(*arguments: str) -> Iterator[Server]:
    """Start the endpoint as a shell does; it is alive at the end, or the test fails."""
    line = [sys.executable, "-m", "smruntime_local", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            exported = [
                process.stdout.readline().strip().removeprefix("export ").partition("=")[::2]
                for _ in range(6)
            ]
            variables = dict(exported)
            keys = Credentials(
                variables["AWS_ACCESS_KEY_ID"],
                variables["AWS_SECRET_ACCESS_KEY"],
                variables["AWS_SESSION_TOKEN"],
            )
            yield Server(variables["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"], keys, process.pid)
            assert process.poll() is None, f"the endpoint died: {process.stderr.read()}"
            process.terminate()
            assert process.stderr.read() == ""
        finally:
            process.kill()


measurable = pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="memory is read from /proc"
)
HALF_OPEN = (
    b"",
    b"POST /endpoints/echo/invocations HTTP/1.1\r\nHost: a\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
)


@measurable
def test_300_half_open_connections_are_closed_while_a_client_is_served() -> None:
    with server("--head-seconds", "3", "--body-seconds", "3") as running, ExitStack() as stack:
        before = running.measured("VmRSS")
        held = [stack.enter_context(connect(running.url)) for _ in range(300)]
        for number, connection in enumerate(held):
            connection.sendall(HALF_OPEN[number % 3])
        begun = time.monotonic()
        with client_of(running.url, running.credentials) as client:
            for _ in range(5):
                assert client.invoke_endpoint(endpoint_name="echo", body=b"abc").body
        assert time.monotonic() - begun < 3, "a client waits for the half-open connections"
        assert running.measured("Threads") < 256 + 10
        ends = [read_all(connection)[:12] for connection in held]
        assert time.monotonic() - begun < 10
        assert set(ends) <= {b"", b"HTTP/1.1 408"}
        assert ends.count(b"HTTP/1.1 408") >= 50
        assert running.measured("VmHWM") - before < MEMORY
        deadline = time.monotonic() + 5
        while running.measured("Threads") > 10 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running.measured("Threads") <= 10, "threads outlive their connections"


def upload(
    url: str, head: bytes, body: bytes, answers: list[bytes], *, pieces: int = 1 << 20
) -> None:
    """Send a head and as much of a body as the server takes, and keep the answer."""
    with connect(url, 30.0) as connection:
        with suppress(ConnectionError, TimeoutError):
            connection.sendall(head)
            for start in range(0, len(body), pieces):
                connection.sendall(body[start : start + pieces])
        answers.append(read_all(connection))


UNSIGNED = b"POST /endpoints/echo/invocations HTTP/1.1\r\nHost: a\r\n"


@measurable
@pytest.mark.parametrize("kind", ["unsigned", "chunked", "wrong secret"])
def test_8_large_bodies_without_a_valid_signature_are_refused_within_100_mb(kind: str) -> None:
    body = bytes(LARGE)
    with server() as running:
        before = running.measured("VmRSS")
        head = UNSIGNED + f"Content-Length: {LARGE}\r\n\r\n".encode()
        if kind == "chunked":
            head = UNSIGNED + f"Transfer-Encoding: chunked\r\n\r\n{LARGE:x}\r\n".encode()
        if kind == "wrong secret":
            wrong = Credentials(
                running.credentials.access_key_id, "wrong", running.credentials.session_token
            )
            head = signed_head(
                running.url,
                wrong,
                body,
                extra=f"Connection: close\r\nContent-Length: {LARGE}\r\n\r\n",
            )
        answers: list[bytes] = []
        threads = [
            threading.Thread(target=upload, args=(running.url, head, body, answers))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        with client_of(running.url, running.credentials) as client:
            assert (
                client.with_options(timeout=10.0)
                .invoke_endpoint(endpoint_name="echo", body=b"abc")
                .body
            )
        for thread in threads:
            thread.join()
        grown = running.measured("VmHWM") - before
        assert grown < MEMORY, f"{grown / 1e6:.0f} MB more for bodies that are refused"
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 403"] * 8


# ── one limit each, in this process ──


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve(
        head_seconds=0.5, body_seconds=0.5, idle_seconds=0.5, send_seconds=0.5
    ) as running:
        yield running


def test_large_body_without_a_valid_signature_is_refused_from_its_head(
    endpoint: smruntime_local.Endpoint,
) -> None:
    keys, url = endpoint.credentials, endpoint.url
    other_key = Credentials("AKIDOTHER", keys.secret_access_key, keys.session_token)
    other_token = Credentials(keys.access_key_id, keys.secret_access_key, "other")
    length = "Content-Length: 65537\r\n\r\n"
    heads = {
        "unsigned": (UNSIGNED + length.encode(), b"403", b"MissingAuthenticationToken"),
        "unsigned and chunked": (
            UNSIGNED + b"Transfer-Encoding: chunked\r\n\r\n",
            b"403",
            b"MissingAuthenticationToken",
        ),
        "waiting for 100": (
            UNSIGNED + b"Expect: 100-continue\r\n" + length.encode(),
            b"403",
            b"MissingAuthenticationToken",
        ),
        "another key": (
            signed_head(url, other_key, b"", extra=length),
            b"403",
            b"UnrecognizedClient",
        ),
        "another token": (
            signed_head(url, other_token, b"", extra=length),
            b"403",
            b"UnrecognizedClient",
        ),
        "malformed": (
            UNSIGNED + b"Authorization: AWS4-HMAC-SHA256 x\r\n" + length.encode(),
            b"403",
            b"IncompleteSignature",
        ),
        "GET": (
            b"GET /ping HTTP/1.1\r\nHost: a\r\n" + length.encode(),
            b"403",
            b"MissingAuthenticationToken",
        ),
        "too large": (UNSIGNED + b"Content-Length: 67108865\r\n\r\n", b"413", b"67108864 bytes"),
        "without a token": (
            UNSIGNED.replace(b"/invocations", b"/openai/v1/chat/completions") + length.encode(),
            b"403",
            b'"error"',
        ),
    }
    for name, (head, status, says) in heads.items():
        with connect(url) as connection:
            connection.sendall(head)
            begun = time.monotonic()
            first = connection.recv(65536)
            assert time.monotonic() - begun < 0.4, f"{name}: the answer waits for the body"
            assert first.startswith(b"HTTP/1.1 " + status), (name, first)
            assert b"connection: close" in first.lower()
            connection.shutdown(socket.SHUT_WR)
            assert says in first + read_all(connection), name


def test_large_signed_body_is_accepted(endpoint: smruntime_local.Endpoint) -> None:
    body = os.urandom(3_000_000)
    with client_of(endpoint.url, endpoint.credentials) as client:
        assert len(client.invoke_endpoint(endpoint_name="echo", body=body).body) > 4_000_000
        token = bearer_token(endpoint.credentials, endpoint.region, now=time.time())
    path = "/endpoints/echo/openai/v1/chat/completions"
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n"
    with connect(endpoint.url) as connection:
        connection.sendall(
            head.encode() + b"Connection: close\r\nContent-Length: 3000000\r\n\r\n" + body
        )
        assert read_all(connection).startswith(b"HTTP/1.1 200")


def test_refused_request_is_counted_once(endpoint: smruntime_local.Endpoint) -> None:
    seen = endpoint.requests_seen
    wrong = Credentials(
        endpoint.credentials.access_key_id, "wrong", endpoint.credentials.session_token
    )
    answers: list[bytes] = []
    upload(
        endpoint.url,
        signed_head(
            endpoint.url,
            wrong,
            bytes(70_000),
            extra="Connection: close\r\nContent-Length: 70000\r\n\r\n",
        ),
        bytes(70_000),
        answers,
    )
    upload(endpoint.url, UNSIGNED + b"Content-Length: 70000\r\n\r\n", b"", answers)
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 403"] * 2
    assert endpoint.requests_seen == seen + 2


SLOW = {
    "nothing": (b"", b"", b""),
    "a head": (
        b"POST /endpoints/echo/invocations HTTP/1.1\r\nHost: a\r\nX: ",
        b"x",
        b"HTTP/1.1 408",
    ),
    "a body": (UNSIGNED + b"Content-Length: 1000\r\n\r\n", b"x", b"HTTP/1.1 408"),
}


@pytest.mark.parametrize("slow", SLOW)
def test_request_that_arrives_byte_by_byte_is_refused_in_time(
    endpoint: smruntime_local.Endpoint, slow: str
) -> None:
    first, drip, status = SLOW[slow]
    with connect(endpoint.url) as connection:
        connection.settimeout(0.05)
        begun = time.monotonic()
        connection.sendall(first)
        answer, over = b"", False
        while not over and time.monotonic() - begun < 5:
            with suppress(TimeoutError, ConnectionError):
                connection.sendall(drip)
                piece = connection.recv(65536)
                answer, over = answer + piece, not piece or bool(answer + piece)
        assert 0.4 < time.monotonic() - begun < 2
        assert answer.startswith(status)
        assert not answer or b"_seconds" in answer


def test_chunks_that_arrive_slowly_are_refused_in_time(endpoint: smruntime_local.Endpoint) -> None:
    body = b"x" * 100
    head = signed_head(
        endpoint.url, endpoint.credentials, body, extra="Transfer-Encoding: chunked\r\n\r\n"
    )
    begun = time.monotonic()
    with connect(endpoint.url) as connection:
        connection.sendall(head)
        with suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(b"1\r\nx\r\n")
                time.sleep(0.02)
                if time.monotonic() - begun > 1:
                    break
        assert read_all(connection).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begun < 4


def test_idle_connection_is_closed_and_its_client_opens_another(
    endpoint: smruntime_local.Endpoint,
) -> None:
    with connect(endpoint.url) as connection:
        for _ in range(2):  # a kept connection serves another request, as long as it comes in time
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
        assert connection.recv(65536) == b""
        assert 0.3 < time.monotonic() - begun < 2
    with client_of(endpoint.url, endpoint.credentials) as client:
        for _ in range(2):
            assert client.invoke_endpoint(endpoint_name="echo", body=b"x").body
            time.sleep(0.7)


def test_connection_whose_peer_does_not_read_is_closed(endpoint: smruntime_local.Endpoint) -> None:
    body = bytes(12_000_000)
    with connect(endpoint.url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(
            signed_head(
                endpoint.url,
                endpoint.credentials,
                body,
                extra=f"Content-Length: {len(body)}\r\n\r\n",
            )
        )
        connection.sendall(body)
        assert open_connections(endpoint)
        deadline = time.monotonic() + 10
        while open_connections(endpoint) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not open_connections(endpoint), "the endpoint still waits for the peer to read"


def open_connections(endpoint: smruntime_local.Endpoint) -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if getattr(getattr(thread, "_target", None), "__self__", None) is endpoint
    ][1:]


def test_silent_tls_handshake_is_closed() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with smruntime_local.serve(tls=context, head_seconds=0.3) as secured:
        begun = time.monotonic()
        with socket.create_connection(
            ("localhost", int(secured.url.rpartition(":")[2])), 5
        ) as connection:
            connection.sendall(b"\x16\x03\x01")
            assert read_all(connection) == b""
        assert 0.2 < time.monotonic() - begun < 2


# ── the number of connections ──


def test_connection_beyond_the_limit_closes_the_one_that_waited_longest() -> None:
    with smruntime_local.serve(max_connections=3) as small, ExitStack() as stack:
        waiting = []
        for _ in range(3):
            waiting.append(stack.enter_context(connect(small.url)))
            time.sleep(0.05)
        begun = time.monotonic()
        fourth = stack.enter_context(connect(small.url))
        fourth.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
        assert fourth.recv(65536).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - begun < 3
        assert waiting[0].recv(1) == b""
        for spared in waiting[1:]:
            spared.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
            assert spared.recv(65536).startswith(b"HTTP/1.1 200")


def test_connection_that_serves_a_request_is_never_closed_for_another() -> None:
    """Two streams take 1.5 s each and all slots; the third client waits for one of them."""
    with (
        smruntime_local.serve(max_connections=2) as small,
        client_of(small.url, small.credentials) as client,
    ):
        outcomes: list[bytes] = []

        def stream() -> None:
            with client.invoke_endpoint_with_response_stream(
                endpoint_name="echo", body=b"abc", custom_attributes="fault=stall:1.5@1"
            ) as parts:
                outcomes.append(b"".join(parts.bytes()))

        threads = [threading.Thread(target=stream) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        begun = time.monotonic()
        with client_of(small.url, small.credentials) as other:
            assert other.invoke_endpoint(endpoint_name="echo", body=b"x").body
        assert time.monotonic() - begun > 0.5
        for thread in threads:
            thread.join()
        assert len(outcomes) == 2 and all(outcome.endswith(b"}") for outcome in outcomes)


def test_burst_of_more_clients_than_connections_is_served() -> None:
    with smruntime_local.serve(max_connections=5) as small, ExitStack() as stack:
        crowd = [stack.enter_context(connect(small.url, 30.0)) for _ in range(20)]
        for connection in crowd:
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert [read_all(connection)[:12] for connection in crowd] == [b"HTTP/1.1 200"] * 20


def test_closing_ends_half_open_and_queued_connections() -> None:
    """It waits neither for a head, which may take an hour here, nor for a free slot."""
    threads_before = set(threading.enumerate())
    with ExitStack() as stack:
        with smruntime_local.serve(max_connections=2, head_seconds=3600) as small:
            held = [stack.enter_context(connect(small.url)) for _ in range(6)]
            time.sleep(0.1)
            begun = time.monotonic()
        assert time.monotonic() - begun < 60, "closing waited for the deadline of a head"
        assert [read_all(connection) for connection in held] == [b""] * 6
    for thread in set(threading.enumerate()) - threads_before:
        thread.join(60)
        assert not thread.is_alive(), f"{thread.name} runs after the endpoint was closed"


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_connections": 0}, "max_connections=0"),
        ({"max_body": 1.5}, "max_body=1.5"),
        ({"max_body": True}, "max_body=True"),
        ({"head_seconds": 0}, "head_seconds=0"),
        ({"body_seconds": float("nan")}, "body_seconds=nan"),
        ({"idle_seconds": float("inf")}, "idle_seconds=inf"),
        ({"send_seconds": "1"}, "send_seconds='1'"),
    ],
)
def test_invalid_limit_is_named(limits: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}: must be"):
        smruntime_local.serve(**limits)  # type: ignore[arg-type]  # that is the point


# ── what models and the protocol make of odd input ──


@pytest.mark.parametrize(
    "text", [" " * 1_000_000, "a" + "\t\n " * 400_000, "a " * 400_000 + " " * 400_000 + "."]
)
def test_tokens_are_found_in_linear_time(text: str) -> None:
    begun = time.monotonic()
    tokens = split_tokens(text)
    assert time.monotonic() - begun < 3
    assert "".join(tokens) == text.rstrip()


def test_ngram_continues_a_prompt_of_blanks(endpoint: smruntime_local.Endpoint) -> None:
    with client_of(endpoint.url, endpoint.credentials) as client:
        begun = time.monotonic()
        assert client.invoke_endpoint(
            endpoint_name="ngram", body=b"The import" + b" " * 500_000, content_type="text/plain"
        ).body
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("operation", ["invoke_endpoint", "invoke_endpoint_with_response_stream"])
def test_empty_header_value_is_an_absent_member(
    endpoint: smruntime_local.Endpoint, operation: str
) -> None:
    """Botocore allows empty members, and sends and signs their empty values."""
    theirs = boto3.client(
        "sagemaker-runtime",
        region_name=endpoint.region,
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.credentials.access_key_id,
        aws_secret_access_key=endpoint.credentials.secret_access_key,
        aws_session_token=endpoint.credentials.session_token,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    answer = getattr(theirs, operation)(
        EndpointName="echo", Body=b"x", Accept="", ContentType="", CustomAttributes=""
    )
    body = (
        answer["Body"].read()
        if operation == "invoke_endpoint"
        else b"".join(e["PayloadPart"]["Bytes"] for e in answer["Body"])
    )
    assert body == b'{"endpoint_name": "echo", "body": "eA=="}'


def test_every_empty_header_value_is_an_absent_member(endpoint: smruntime_local.Endpoint) -> None:
    names = [
        binding.wire_name
        for binding in InvokeEndpoint._table.bindings
        if binding.wire_name.lower().startswith(("x-amzn", "accept"))
    ]
    assert len(names) > 8
    extra = "".join(
        f"{name}:{blank}\r\n" for name, blank in zip(names, ["", " ", "\t"] * 9, strict=False)
    )
    head = signed_head(
        endpoint.url,
        endpoint.credentials,
        b"x",
        extra=f"{extra}Connection: close\r\nContent-Length: 1\r\n\r\n",
    )
    with connect(endpoint.url) as connection:
        connection.sendall(head + b"x")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert answer.endswith(b'{"endpoint_name": "echo", "body": "eA==", "content_type": "text/csv"}')
