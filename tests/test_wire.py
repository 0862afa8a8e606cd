"""The wire: deadlines hold, connecting raises only our errors, nothing is left open."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

import smruntime_core as sm
from smruntime_core import service
from smruntime_core.notices import AttemptEnded, Notice
from smruntime_core.streaming import PayloadPart
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3
from smruntime_transports.wire._pool import DEFAULT_MAX_CONNECTIONS

from .callers import CREDENTIALS, IRIS, STREAMED, Performer, Step, count_idle, drive_asyncio
from .servers import OK, Peer, acting, scripted
from .test_sessions import CLOSED, OPENED
from .test_streams import FRAMES, chunked


@contextmanager
def endless(head: bytes, piece: bytes) -> Iterator[str]:
    """Answers with `head` and then `piece`, over and over, as fast as it can."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pour(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(1 << 16)
                connection.sendall(head)
                while True:
                    connection.sendall(piece)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=pour, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 900000000000\r\n\r\n"


def test_deadline_ends_an_endless_body_from_a_fast_server(perform: Performer) -> None:
    with endless(LENGTH, bytes(1 << 16)) as url:
        begun = time.monotonic()
        (outcome,) = perform(url, Step(options={"timeout": 0.3, "max_body": None}))
        assert time.monotonic() - begun < 5
    assert isinstance(outcome, TimeoutError), outcome


def test_body_is_bounded_by_default(perform: Performer) -> None:
    with endless(LENGTH, b"x") as url:
        (outcome,) = perform(url)
    assert isinstance(outcome, sm.DispatchFailure)
    assert (outcome.kind, outcome.status) == ("too_large", 200)


def test_deadline_ends_an_endless_stream_from_a_fast_server(perform: Performer) -> None:
    head = chunked().partition(b"0\r\n\r\n")[0]
    part = service.event(PayloadPart(bytes(1024)))
    with endless(head, (b"%x\r\n%b\r\n" % (len(part), part)) * 64) as url:
        begun = time.monotonic()
        (outcome,) = perform(url, Step(operation=STREAMED, options={"timeout": 0.3}))
        assert time.monotonic() - begun < 5
    assert isinstance(outcome, TimeoutError), outcome


def test_request_is_not_sent_when_no_time_is_left(perform: Performer) -> None:
    with scripted(OK, OK, OK) as server:
        warm, late = perform(server.url, Step(), Step(options={"timeout": 1e-9}))
        assert warm.body == b"abc"
        assert isinstance(late, TimeoutError)
        assert isinstance(late, sm.DispatchFailure)
        assert late.delivery == "not_sent"
        assert len(server.requests) == 1


# Python's wrap_socket loses the socket if the peer resets at the wrong moment: a warning then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_server_that_closes_before_tls_is_a_dispatch_failure(perform: Performer) -> None:
    def act(peer: Peer) -> None:
        peer.reset()

    with acting(act) as stage:
        (outcome,) = perform(
            stage.url.replace("http://", "https://"), retries=sm.RetryPolicy(max_attempts=1)
        )
    assert isinstance(outcome, sm.DispatchFailure), outcome
    assert outcome.delivery == "not_sent"
    gc.collect()


def test_client_keeps_at_most_the_default_number_of_connections() -> None:
    async def main(url: str) -> int:
        async with on_asyncio.AsyncClient(
            region="us-east-1", endpoint_url=url, credentials=CREDENTIALS
        ) as client:
            await asyncio.gather(*(client.call(IRIS) for _ in range(DEFAULT_MAX_CONNECTIONS + 20)))
            assert client._wire is not None
            return count_idle(client._wire._pool)

    answers = [OK] * (DEFAULT_MAX_CONNECTIONS + 20)
    with scripted(0.5, *answers) as server:
        assert drive_asyncio(lambda: main(server.url)) <= DEFAULT_MAX_CONNECTIONS


def test_stream_that_ends_after_close_keeps_no_connection() -> None:
    with scripted(chunked(*FRAMES)) as server:
        client = sockets.Client(
            region="us-east-1", endpoint_url=server.url, credentials=CREDENTIALS
        )
        with client.stream(STREAMED) as stream:
            client.close()
            list(stream.bytes())
        assert client._wire is not None
        assert count_idle(client._wire._pool) == 0


@pytest.mark.parametrize("name", ["trio", "asyncio"])
def test_session_is_closed_when_its_task_is_cancelled(name: str) -> None:
    where: dict[str, Any] = {"region": "us-east-1", "credentials": CREDENTIALS}

    async def talk(client: Any) -> None:
        async with client.session("chat") as session:
            await session.invoke(body=b"slow")

    async def on_trio_loop(url: str) -> None:
        async with on_trio.AsyncClient(endpoint_url=url, **where) as client:
            with trio.move_on_after(0.3):
                await talk(client)

    async def on_asyncio_loop(url: str) -> None:
        async with on_asyncio.AsyncClient(endpoint_url=url, **where) as client:
            task = asyncio.ensure_future(talk(client))
            await asyncio.wait([task], timeout=0.3)
            task.cancel()
            await asyncio.wait([task])

    def act(peer: Peer) -> None:
        while request := peer.read():
            if b"CLOSE" in request:
                peer.send(CLOSED)
            elif b"NEW_SESSION" in request:
                peer.send(OPENED)
            else:
                peer.idle(3.0)
                return

    with acting(act) as stage:
        if name == "trio":
            trio.run(on_trio_loop, stage.url)
        else:
            drive_asyncio(lambda: on_asyncio_loop(stage.url))
        assert [b"CLOSE" in request for request in stage.requests] == [False, False, True]


def test_failing_observer_leaves_no_stream_open() -> None:
    def observe(notice: Notice) -> None:
        if isinstance(notice, AttemptEnded):
            raise ZeroDivisionError

    with scripted(chunked(*FRAMES)) as server:
        client = sockets.Client(
            region="us-east-1", endpoint_url=server.url, credentials=CREDENTIALS, observe=observe
        )
        with client, pytest.raises(ZeroDivisionError):
            client.stream(STREAMED)
        assert client._wire is not None
        assert count_idle(client._wire._pool) == 0


@pytest.mark.parametrize("name", ["trio", "asyncio"])
def test_session_that_cannot_be_closed_in_time_raises(name: str) -> None:
    where: dict[str, Any] = {
        "region": "us-east-1",
        "credentials": CREDENTIALS,
        "timeouts": sm.Timeouts(response=0.2),
    }

    async def talk(client: Any) -> None:
        async with client, client.session("chat"):
            pass

    def act(peer: Peer) -> None:
        while request := peer.read():
            if b"CLOSE" in request:
                peer.idle(3.0)
                return
            peer.send(OPENED)

    make: Any = {"trio": on_trio.AsyncClient, "asyncio": on_asyncio.AsyncClient}[name]
    drive: Any = {"trio": trio.run, "asyncio": drive_asyncio}[name]
    with acting(act) as stage:
        client = make(endpoint_url=stage.url, **where)
        with pytest.raises(TimeoutError):
            drive(lambda: talk(client))


def test_very_long_time_limits_work(perform: Performer) -> None:
    """poll() cannot count so many milliseconds."""
    years = 9e8
    with scripted(OK) as server:
        (outcome,) = perform(
            server.url,
            timeouts=sm.Timeouts(
                connect=years, pool=years, response=years, idle=years, total=years
            ),
        )
    assert isinstance(outcome, sm.InvokeEndpointOutput), outcome


@pytest.mark.parametrize(
    "wrong", [{"tls": "ca.pem"}, {"tls": True}, {"trust_env": "no"}, {"pools": 3}], ids=str
)
def test_unusable_settings_are_refused_by_the_constructor(wrong: dict[str, Any]) -> None:
    clients = (
        [on_urllib3.Client]
        if "pools" in wrong
        else [sockets.Client, on_urllib3.Client, on_trio.AsyncClient, on_asyncio.AsyncClient]
    )
    for client in clients:
        with pytest.raises(sm.ConstructionError, match=next(iter(wrong))):
            client(region="eu-west-1", **wrong)
