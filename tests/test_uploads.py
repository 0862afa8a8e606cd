"""Uploads from files and iterators: every attempt sends the same bytes, early refusals end them."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from smruntime_core import (
    ConstructionError,
    InvokeEndpoint,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    RetryPolicy,
    ServiceError,
    Timeouts,
)
from smruntime_core.effects import Upload
from smruntime_core.http1 import MAX_SINGLE_WRITE
from smruntime_core.testing._server_script import build_response
from smruntime_core.values._bodies import Source
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3

from .callers import AWAITED, CREDENTIALS, IRIS, PERFORMERS, Performer, Step
from .servers import OK, Peer, acting, scripted
from .test_proxies import tunnelling
from .test_streams import FRAMES, chunked

LONG = bytes(range(256)) * 4096 + b"end"
BUSY = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"

BLOCKING: dict[str, Any] = {"sockets": sockets.Client, "urllib3": on_urllib3.Client}


def upload(body: Any) -> Step:
    return Step(InvokeEndpoint(endpoint_name="e", body=body))


def bodies(requests: list[bytes]) -> list[bytes]:
    return [request.partition(b"\r\n\r\n")[2] for request in requests]


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    path = tmp_path / "long"
    path.write_bytes(LONG)
    return path


class Pipe(io.RawIOBase):
    """A file that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(min(size, 1000))


def pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 5000):
        yield data[start : start + 5000]


async def awaited(data: bytes) -> AsyncIterator[bytes]:
    for piece in pieces(data):
        yield piece


SOURCES: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "memoryview": memoryview,
    "a file in memory": io.BytesIO,
    "a pipe": Pipe,
    "an iterator": pieces,
    "an asynchronous iterator": awaited,
}


@pytest.mark.parametrize("size", [0, 1, MAX_SINGLE_WRITE, MAX_SINGLE_WRITE + 1, len(LONG)])
@pytest.mark.parametrize("source", SOURCES)
def test_every_attempt_and_every_call_sends_the_same_body(
    transport: str, perform: Performer, source: str, size: int
) -> None:
    if source == "an asynchronous iterator" and transport not in AWAITED:
        pytest.skip("a client that blocks cannot await its pieces")
    step = upload(SOURCES[source](LONG[:size]))
    with scripted(BUSY, OK, OK) as server:
        outcomes = perform(server.url, step, step, retries=RetryPolicy(base_delay=0.0))
        assert bodies(server.requests) == [LONG[:size]] * 3
        hashes = {request.partition(b"Signature=")[2][:64] for request in server.requests}
    assert all(isinstance(outcome, InvokeEndpointOutput) for outcome in outcomes), outcomes
    assert len(hashes) <= 3
    assert all(
        b"\r\nContent-Length: %d\r\n" % size in request and b"ransfer-" not in request
        for request in server.requests
    )


@pytest.mark.parametrize("offset", [0, 4, 70_000, len(LONG)])
def test_file_is_sent_from_its_position(perform: Performer, long_file: Path, offset: int) -> None:
    with long_file.open("rb") as file, scripted(BUSY, OK, OK) as server:
        file.seek(offset)
        step = upload(file)
        outcomes = perform(server.url, step, step, retries=RetryPolicy(base_delay=0.0))
        assert not file.closed
        assert bodies(server.requests) == [LONG[offset:]] * 3
    assert all(isinstance(outcome, InvokeEndpointOutput) for outcome in outcomes), outcomes


def test_signature_covers_the_bytes_that_are_sent(perform: Performer, long_file: Path) -> None:
    import smruntime_local

    with smruntime_local.serve() as endpoint, long_file.open("rb") as file:
        (output,) = perform(
            endpoint.url,
            Step(InvokeEndpoint(endpoint_name="echo", body=file)),
            credentials=endpoint.credentials,
        )
    assert isinstance(output, InvokeEndpointOutput), output


def test_file_that_shrinks_fails_the_call_without_another_attempt(
    perform: Performer, long_file: Path
) -> None:
    def act(peer: Peer) -> None:
        os.truncate(long_file, 700_000)
        peer.idle()

    with acting(act) as stage, long_file.open("rb", buffering=0) as file:
        with pytest.raises(ConstructionError, match="shorter"):
            raise perform(
                stage.url, upload(Slow(file, stage.closing)), retries=RetryPolicy(base_delay=0.0)
            )[0]
        assert stage.connections == 1


def test_file_closed_between_attempts_fails_the_call(perform: Performer) -> None:
    file = io.BytesIO(LONG)

    def act(peer: Peer) -> None:
        peer.read()
        file.close()
        peer.send(BUSY)

    with acting(act) as stage:
        (outcome,) = perform(stage.url, upload(file), retries=RetryPolicy(base_delay=0.0))
        assert len(stage.requests) == 1
    assert isinstance(outcome, ConstructionError), outcome
    assert outcome.member == "body"


def test_file_of_trio_is_read_as_an_asynchronous_iterator(long_file: Path) -> None:
    async def main(url: str) -> None:
        where: Any = {"region": "us-east-1", "endpoint_url": url, "credentials": CREDENTIALS}
        async with (
            on_trio.AsyncClient(**where) as client,
            await trio.open_file(long_file, "rb") as file,
        ):
            await file.seek(4)
            await client.invoke_endpoint(endpoint_name="e", body=file)

    with scripted(OK) as server:
        trio.run(main, server.url)
        assert bodies(server.requests) == [LONG[4:]]


def test_slow_file_does_not_use_up_the_idle_timeout(perform: Performer, long_file: Path) -> None:
    with long_file.open("rb", buffering=0) as file, scripted(OK) as server:
        (outcome,) = perform(
            server.url, upload(Slow(file, threading.Event())), timeouts=Timeouts(idle=0.15)
        )
    assert isinstance(outcome, InvokeEndpointOutput), outcome


class Slow:
    """A file that is slow to read, after it was measured."""

    def __init__(self, file: io.FileIO, closing: threading.Event) -> None:
        self._file = file
        self._closing = closing
        self._readings = 0

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, /) -> int:
        self._readings += 1
        return self._file.seek(offset)

    def read(self, size: int, /) -> bytes:
        if self._readings > 1:
            self._closing.wait(0.2)
        return self._file.read(size)


def closed() -> io.BytesIO:
    file = io.BytesIO()
    file.close()
    return file


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "text": (lambda: io.StringIO("abc"), "binary"),
    "closed": (closed, "can be read"),
    "an iterator of text": (lambda: iter(["a"]), "iterator of bytes"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_body_that_yields_no_bytes_is_refused_before_connecting(
    perform: Performer, kind: str
) -> None:
    make, words = WRONG[kind]
    with scripted(OK) as server:
        (outcome,) = perform(server.url, upload(make()))
        with pytest.raises(ConstructionError, match=f"body.*{words}"):
            raise outcome
        assert not server.connections


def test_sync_client_refuses_an_asynchronous_iterator() -> None:
    (outcome,) = PERFORMERS["sockets"]("http://127.0.0.1:1", upload(awaited(b"x")))
    assert isinstance(outcome, ConstructionError)


def test_iterator_that_fails_is_never_sent_in_part(perform: Performer) -> None:
    def failing() -> Iterator[bytes]:
        yield b"a"
        raise ZeroDivisionError

    step = upload(failing())
    with scripted(OK) as server:
        with pytest.raises(ZeroDivisionError):
            perform(server.url, step)
        (outcome,) = perform(server.url, step)
        assert isinstance(outcome, ConstructionError), (
            "a later call sent the rest of the iterator as its body"
        )
        assert not server.connections


def test_progress_of_an_upload_is_reported(perform: Performer, long_file: Path) -> None:
    told: list[tuple[int, int]] = []
    with long_file.open("rb") as file, scripted(OK) as server:
        perform(
            server.url,
            Step(
                InvokeEndpoint(endpoint_name="e", body=file),
                {"progress": lambda *counts: told.append(counts)},
            ),
        )
    sent = [counts[0] for counts in told]
    assert sent == sorted(sent)
    assert len(set(sent)) > 2
    assert sent[-1] > len(LONG)
    assert told[-1][1] == len(OK)


# ── refused early ──

TOO_LARGE = build_response(b'{"Message":"no"}', "413 x")
HUGE = 25_000_000
BEGUN = chunked(*FRAMES)[: chunked(*FRAMES).index(b"\r\n\r\n") + 40]  # the head and a little more


def refuse(peer: Peer) -> None:
    peer.read_part(1_000_000)
    peer.send(TOO_LARGE)
    peer.idle()


@pytest.fixture(scope="module")
def huge_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uploads") / "huge"
    path.write_bytes(os.urandom(1000) * (HUGE // 1000))
    return path


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_upload_stops_when_the_server_refuses_it_early(
    perform: Performer, huge_file: Path, kind: str, proxied: bool
) -> None:
    with acting(refuse) as stage, tunnelling() as proxy, huge_file.open("rb") as file:
        settings = {"proxy": proxy.url} if proxied else {}
        step = upload(file if kind == "file" else bytes(HUGE))
        (outcome,) = perform(stage.url, step, retries=RetryPolicy(base_delay=0.0), **settings)
        assert len(stage.requests) == stage.connections == 1
        assert len(proxy.asked) == proxied
    assert isinstance(outcome, ServiceError), outcome
    assert (outcome.status, outcome.message) == (413, "no")


def test_connection_is_not_reused_after_an_early_response(
    perform: Performer, huge_file: Path
) -> None:
    def act(peer: Peer) -> None:
        peer.read_part(1_000_000)
        peer.send(OK)
        peer.idle()

    with acting(act) as stage, huge_file.open("rb") as file:
        outcomes = perform(stage.url, upload(file), upload(file))
        assert stage.connections == 2
    assert all(isinstance(outcome, InvokeEndpointOutput) for outcome in outcomes), outcomes


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_upload_continues_while_the_response_is_read(
    perform: Performer, huge_file: Path, kind: str
) -> None:
    """A model may begin to respond before it has received the whole body."""

    def act(peer: Peer) -> None:
        head, _, body = read_head(peer)
        assert b"-response-stream" in head
        peer.send(BEGUN)
        left = HUGE - len(body)
        while left > 0:
            left -= len(peer.connection.recv(1 << 20))
        peer.send(chunked(*FRAMES).removeprefix(BEGUN))
        peer.idle()

    with acting(act) as stage, huge_file.open("rb") as file:
        body: Any = file if kind == "file" else huge_file.read_bytes()
        operation = InvokeEndpointWithResponseStream(endpoint_name="e", body=body)
        (parts,) = perform(stage.url, Step(operation), retries=RetryPolicy(base_delay=0.0))
    assert isinstance(parts, list), parts
    assert parts


@pytest.mark.parametrize("name", ["sockets", "urllib3"])
def test_stream_left_during_its_upload_frees_the_pool_slot(name: str, huge_file: Path) -> None:
    def act(peer: Peer) -> None:
        if peer.number == 1:
            peer.read_part(1_000_000)
            peer.send(BEGUN)
            peer.idle()
        peer.read()
        peer.send(OK)

    with acting(act) as stage, huge_file.open("rb") as file:
        where: Any = {
            "region": "us-east-1",
            "endpoint_url": stage.url,
            "credentials": CREDENTIALS,
            "max_connections": 1,
        }
        with BLOCKING[name](**where) as client:
            with client.stream(InvokeEndpointWithResponseStream(endpoint_name="e", body=file)):
                pass
            assert client.call(IRIS).body == b"abc"
        assert stage.connections == 2


GROWTH = """if True:
    import asyncio, resource, sys, threading, trio
    from importlib import import_module
    from smruntime_core import Credentials
    name, url, small, huge = sys.argv[1:]
    module = import_module(f"smruntime_transports.{name}")
    make = module.AsyncClient if name in ("trio", "asyncio") else module.Client
    where = dict(region="us-east-1", endpoint_url=url, credentials=Credentials("AKID", "secret"))
    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    def send(path):
        with make(**where) as client, open(path, "rb") as file:
            client.invoke_endpoint(endpoint_name="e", body=file)
    async def awaited():
        async with make(**where) as client:
            for path in (small, huge):
                with open(path, "rb") as file:
                    await client.invoke_endpoint(endpoint_name="e", body=file)
                peaks.append(peak())
    peaks = []
    if name == "trio": trio.run(awaited)
    elif name == "asyncio": asyncio.run(awaited())
    else:
        for path in (small, huge):
            send(path)
            peaks.append(peak())
    print(peaks[1] - peaks[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes as Linux does")
@pytest.mark.parametrize("name", ["sockets", "urllib3", "trio", "asyncio"])
def test_large_file_is_not_held_in_memory(name: str, huge_file: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(bytes(2_000_000))

    def act(peer: Peer) -> None:
        while True:
            head, _, body = read_head(peer)
            wanted = int(
                head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            ) - len(body)
            while wanted > 0:
                wanted -= len(peer.connection.recv(1 << 20))
            peer.send(OK)

    with acting(act) as stage:
        line = [
            sys.executable,
            *(["-P"] if "-P" in sys.orig_argv else []),
            "-c",
            GROWTH,
            name,
            stage.url,
            str(small),
            str(huge_file),
        ]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) <= 1024, f"memory grew by {done.stdout.strip()} KiB"


def read_head(peer: Peer) -> tuple[bytes, bytes, bytes]:
    held = b""
    while b"\r\n\r\n" not in held:
        data = peer.connection.recv(1 << 20)
        if not data:
            raise OSError
        held += data
    return held.partition(b"\r\n\r\n")


def test_repr_of_a_source_hides_its_contents() -> None:
    operation = InvokeEndpoint(endpoint_name="e", body=io.BytesIO(b"secret"))
    assert "secret" not in repr(operation) + repr(operation.request("http://h")) + repr(
        vars(operation)["body"]
    )
    assert isinstance(vars(operation)["body"], Source)
    again = operation.replace(endpoint_name="f")
    assert vars(again)["body"] is vars(operation)["body"]
    shown = repr(Upload(io.BytesIO(b"secret"), 0, 6, hashlib.sha256(b"secret").hexdigest()))
    assert "<redacted>" in shown


def test_unmeasured_file_cannot_be_signed_or_written() -> None:
    from smruntime_core import sign
    from smruntime_core.http1 import write
    from smruntime_core.values._credentials import Scope

    request = InvokeEndpoint(endpoint_name="e", body=io.BytesIO(b"x")).request("http://h")
    with pytest.raises(ConstructionError, match="body"):
        sign(request, CREDENTIALS, Scope("us-east-1", "sagemaker"), now=1.8e9)
    with pytest.raises(ConstructionError, match="body"):
        write(request)
