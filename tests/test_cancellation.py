"""Cancel each operation at each suspension, and interrupt sync calls wherever they block.

The client has one connection. After each cancellation the next call must work at once, and all
that was opened must be closed.
"""

from __future__ import annotations

import asyncio
import io
import signal
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from types import coroutine
from typing import Any, NamedTuple

import pytest
import trio
import trustme

from smruntime_core import InvokeEndpoint, RetryPolicy, Timeouts
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3
from smruntime_transports.connect._resolver import Resolver

from .callers import AWAITED, CREDENTIALS, IRIS, STREAMED, drive_uvloop, drive_without_readers
from .helpers import open_files
from .servers import OK, Peer, acting
from .test_proxies import Tunnels, tunnelling
from .test_streams import FRAMES, chunked

LONG = bytes(3_000_000)
MOST = 400  # suspensions; no operation here comes near


def serve(peer: Peer) -> None:
    """Answers each request by its path, the long ones in the middle of their body with a pause."""
    while request := peer.read():
        if b"-response-stream" in request:
            answer = chunked(*FRAMES)
            peer.send(answer[: len(answer) - 50])
            peer.idle(0.003)
            peer.send(answer[len(answer) - 50 :])
        elif b"/busy/" in request and peer.number % 2:
            peer.send(
                b"HTTP/1.1 503 x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )  # the next connection is an even one
        else:
            peer.send(OK)


class Servers(NamedTuple):
    url: str
    secure: str
    proxy: Tunnels
    tls: ssl.SSLContext


@pytest.fixture(scope="module")
def servers(authority: trustme.CA) -> Iterator[Servers]:
    tls, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(tls)
    authority.configure_trust(trusting)

    def secured(peer: Peer) -> None:
        peer.connection = tls.wrap_socket(peer.connection, server_side=True)
        with peer.connection:
            serve(peer)

    with acting(serve) as plain, acting(secured) as secure, tunnelling() as proxy:
        yield Servers(
            plain.url, secure.url.replace("http://127.0.0.1", "https://localhost"), proxy, trusting
        )


async def call(client: Any) -> None:
    await client.call(IRIS)


async def retried(client: Any) -> None:
    await client.call(InvokeEndpoint(endpoint_name="busy", body=b""))


async def streamed(client: Any) -> None:
    async with client.stream(STREAMED) as stream:
        async for _ in stream.bytes():
            pass


async def left_early(client: Any) -> None:
    async with client.stream(STREAMED) as stream:
        async for _ in stream.bytes():
            break


async def uploaded(client: Any) -> None:
    await client.call(InvokeEndpoint(endpoint_name="e", body=LONG))


async def from_a_file(client: Any) -> None:
    await client.call(InvokeEndpoint(endpoint_name="e", body=io.BytesIO(LONG)))


async def from_pieces(client: Any) -> None:
    async def pieces() -> Any:
        yield b"a"
        yield b"b"

    await client.call(InvokeEndpoint(endpoint_name="e", body=pieces()))


class Case(NamedTuple):
    do: Callable[[Any], Awaitable[None]]
    where: str = "plain"  # or "tls", "proxy"
    kept: bool = False  # on a connection that has served


CASES: dict[str, Case] = {
    "a call": Case(call),
    "a call on a kept connection": Case(call, kept=True),
    "a call over TLS": Case(call, "tls"),
    "a call through a proxy": Case(call, "proxy"),
    "a call that is tried again": Case(retried),
    "a stream": Case(streamed),
    "a stream on a kept connection": Case(streamed, kept=True),
    "a stream over TLS": Case(streamed, "tls"),
    "a stream that is left early": Case(left_early),
    "a long body": Case(uploaded),
    "a long body over TLS": Case(uploaded, "tls"),
    "a long body from a file": Case(from_a_file),
    "a body from pieces": Case(from_pieces, "proxy"),
}


def settings(servers: Servers, where: str) -> dict[str, Any]:
    return {
        "region": "us-east-1",
        "endpoint_url": {
            "plain": servers.url.replace("127.0.0.1", "localhost"),
            "tls": servers.secure,
            "proxy": servers.secure,
        }[where],
        "proxy": servers.proxy.url if where == "proxy" else None,
        "credentials": CREDENTIALS,
        "tls": servers.tls,
        "max_connections": 1,
        "retries": RetryPolicy(base_delay=0.001),
        "timeouts": Timeouts(pool=2.0),
    }


class Cut(NamedTuple):
    """The suspension at which an operation was cancelled; None if it ended before."""

    at: int
    reached: bool


@coroutine
def cutting(
    awaitable: Any, at: int, cancel: Callable[[], object], told: list[int]
) -> Generator[Any, Any, None]:
    """Await `awaitable`, and have `cancel` called just before its suspension number `at`."""
    steps = awaitable.__await__()
    sent: Any = None
    failure: BaseException | None = None
    while True:
        try:
            waiting = steps.send(sent) if failure is None else steps.throw(failure)
        except StopIteration:
            return
        sent, failure = None, None
        if len(told) == at:
            cancel()
        told.append(len(told))
        try:
            sent = yield waiting
        except BaseException as error:
            failure = error


async def sweep_asyncio(case: Case, given: dict[str, Any]) -> int:
    for at in range(MOST):
        async with on_asyncio.AsyncClient(**given) as client:
            if case.kept:
                await client.call(IRIS)
            told: list[int] = []

            async def attempt(client: Any = client, at: int = at, told: list[int] = told) -> None:
                task = asyncio.current_task()
                assert task is not None
                await cutting(case.do(client), at, task.cancel, told)

            with suppress(asyncio.CancelledError):
                await asyncio.ensure_future(attempt())
            healthy(client)
            await asyncio.wait_for(client.call(IRIS), 2.0)
            if len(told) <= at:
                return at
    raise AssertionError("it goes on and on")


async def sweep_trio(case: Case, given: dict[str, Any]) -> int:
    for at in range(MOST):
        async with on_trio.AsyncClient(**given) as client:
            if case.kept:
                await client.call(IRIS)
            told: list[int] = []
            with trio.CancelScope() as scope:
                await cutting(case.do(client), at, scope.cancel, told)
            healthy(client)
            with trio.fail_after(2.0):
                await client.call(IRIS)
            if len(told) <= at:
                return at
    raise AssertionError("it goes on and on")


def healthy(client: Any) -> None:
    """No slot is in use and no call waits."""
    assert client._wire is not None
    for shared in client._wire._pool._connections_by_route.values():
        assert not shared.slot_queue


SWEEPS: dict[str, Callable[[Case, dict[str, Any]], Any]] = {
    "asyncio": lambda case, given: asyncio.run(sweep_asyncio(case, given)),
    "trio": lambda case, given: trio.run(sweep_trio, case, given),
}
# the loops that asyncio's IO treats differently, which a few cases are enough for
OTHER_LOOPS = {"without readers": drive_without_readers}
if "uvloop" in AWAITED:
    OTHER_LOOPS["uvloop"] = drive_uvloop


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("loop", SWEEPS)
def test_cancellation_at_every_suspension_loses_nothing(
    servers: Servers, loop: str, name: str
) -> None:
    case = CASES[name]
    before = open_files()
    suspensions = SWEEPS[loop](case, settings(servers, case.where))
    assert suspensions >= 1
    for _ in range(100):  # the server's ends of the last connections
        if open_files() <= before + 2:
            break
        time.sleep(0.02)
    assert open_files() <= before + 2


@pytest.mark.parametrize(
    "name", ["a call over TLS", "a call through a proxy", "a stream", "a long body from a file"]
)
@pytest.mark.parametrize("loop", OTHER_LOOPS)
def test_cancellation_at_every_suspension_loses_nothing_on_other_loops(
    servers: Servers, loop: str, name: str
) -> None:
    case = CASES[name]
    before = open_files(), threading.active_count()
    assert OTHER_LOOPS[loop](lambda: sweep_asyncio(case, settings(servers, case.where))) >= 1
    for _ in range(100):
        if open_files() <= before[0] + 2 and threading.active_count() <= before[1]:
            break
        time.sleep(0.02)
    assert open_files() <= before[0] + 2
    assert threading.active_count() <= before[1]


# ── in the queue ──


@pytest.mark.parametrize("loop", SWEEPS)
def test_cancellation_of_waiting_calls_loses_no_slot(servers: Servers, loop: str) -> None:
    given = settings(servers, "plain")

    async def in_asyncio() -> None:
        async with on_asyncio.AsyncClient(**given) as client, client.stream(STREAMED):
            waiting = [asyncio.ensure_future(client.call(IRIS)) for _ in range(3)]
            await asyncio.sleep(0.05)
            for task in waiting[:2]:
                task.cancel()
            await asyncio.wait(waiting[:2])
            assert client._wire is not None
            (shared,) = client._wire._pool._connections_by_route.values()
            assert len(shared.slot_queue) == 2
            waiting[2].cancel()
            await asyncio.wait(waiting)
        healthy(client)
        await client.call(IRIS)
        client.close()

    async def in_trio() -> None:
        async with on_trio.AsyncClient(**given) as client, client.stream(STREAMED):
            with trio.move_on_after(0.1):
                async with trio.open_nursery() as nursery:
                    for _ in range(3):
                        nursery.start_soon(client.call, IRIS)
        healthy(client)
        await client.call(IRIS)
        client.close()

    if loop == "trio":
        trio.run(in_trio)
    else:
        asyncio.run(in_asyncio())


# ── KeyboardInterrupt ──

BLOCKING: dict[str, Any] = {"sockets": sockets.Client, "urllib3": on_urllib3.Client}
WAITS = ("wait", "wait_any_writable", "wait_turn", "sleep", "supply", "measure")


def do_call(client: Any) -> None:
    client.call(IRIS)


def do_retried(client: Any) -> None:
    client.call(InvokeEndpoint(endpoint_name="busy", body=b""))


def do_stream(client: Any) -> None:
    with client.stream(STREAMED) as stream:
        for _ in stream.bytes():
            pass


def do_upload(client: Any) -> None:
    client.call(InvokeEndpoint(endpoint_name="e", body=io.BytesIO(LONG)))


@contextmanager
def interrupting(monkeypatch: pytest.MonkeyPatch, at: int, told: list[str]) -> Iterator[None]:
    """Ctrl-C comes in the wait number `at`."""
    with monkeypatch.context() as patch:
        for name in WAITS:
            method = getattr(sockets.SocketIO, name)

            def wait(self: Any, effect: Any, method: Any = method, name: str = name) -> Any:
                told.append(name)
                if len(told) == at + 1:
                    raise KeyboardInterrupt
                return method(self, effect)

            patch.setattr(sockets.SocketIO, name, wait)
        yield


@pytest.mark.parametrize("where", ["plain", "tls", "proxy"])
@pytest.mark.parametrize("do", [do_call, do_retried, do_stream, do_upload])
@pytest.mark.parametrize("name", BLOCKING)
def test_interrupt_in_any_wait_leaves_a_usable_client(
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    do: Callable[[Any], None],
    where: str,
) -> None:
    before = open_files()
    for at in range(MOST):
        told: list[str] = []
        with BLOCKING[name](**settings(servers, where)) as client:
            with interrupting(monkeypatch, at, told), suppress(KeyboardInterrupt):
                do(client)
            begun = time.monotonic()
            client.call(IRIS)
            assert time.monotonic() - begun < 1.5
        if len(told) <= at:
            break
    assert told
    for _ in range(100):
        if open_files() <= before + 2:
            break
        time.sleep(0.02)
    assert open_files() <= before + 2


def mute(peer: Peer) -> None:
    if peer.number == 1:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        peer.idle()
    serve(peer)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarm clock")
@pytest.mark.parametrize("body", [b"", LONG])
@pytest.mark.parametrize("name", BLOCKING)
def test_signal_interrupts_a_call_to_a_silent_server(name: str, body: bytes) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with acting(mute) as stage:
        where: Any = {
            "region": "us-east-1",
            "endpoint_url": stage.url,
            "credentials": CREDENTIALS,
            "max_connections": 1,
        }
        with BLOCKING[name](**where, timeouts=Timeouts(pool=1.0)) as client:
            previous = signal.signal(signal.SIGALRM, interrupt)
            try:
                with pytest.raises(KeyboardInterrupt):
                    client.call(InvokeEndpoint(endpoint_name="e", body=body))
            finally:
                signal.signal(signal.SIGALRM, previous)
            client.call(IRIS)
        assert stage.connections == 2


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no such signals")
@pytest.mark.parametrize("name", BLOCKING)
def test_signal_during_a_handshake_closes_the_socket(name: str) -> None:
    left, main_thread = threading.Event(), threading.get_ident()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def act(peer: Peer) -> None:
        peer.connection.recv(4096)
        signal.pthread_kill(main_thread, signal.SIGALRM)
        while peer.connection.recv(4096):
            pass
        left.set()

    with acting(act) as stage:
        where: Any = {
            "region": "us-east-1",
            "endpoint_url": stage.url.replace("http:", "https:"),
            "credentials": CREDENTIALS,
        }
        with BLOCKING[name](**where) as client:
            previous = signal.signal(signal.SIGALRM, interrupt)
            try:
                with pytest.raises(KeyboardInterrupt) as held:
                    client.call(IRIS)
            finally:
                signal.signal(signal.SIGALRM, previous)
        assert left.wait(10.0), "while the interrupt is still held"
        del held


@pytest.mark.parametrize("name", BLOCKING)
def test_signal_interrupts_a_call_that_waits_for_a_slot(servers: Servers, name: str) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with BLOCKING[name](**settings(servers, "plain")) as client:
        with client.stream(STREAMED):
            previous = signal.signal(signal.SIGALRM, interrupt)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                with pytest.raises(KeyboardInterrupt):
                    client.call(IRIS)
            finally:
                signal.signal(signal.SIGALRM, previous)
        client.call(IRIS)


# ── a name that is being looked up ──


@pytest.mark.parametrize("loop", SWEEPS)
def test_cancellation_does_not_wait_for_a_lookup(loop: str) -> None:
    released = threading.Event()

    def look(host: str, port: int) -> list[Any]:
        released.wait(5)
        return []

    def client_of(make: Any) -> Any:
        client = make(
            region="us-east-1",
            endpoint_url="http://slow.test",
            credentials=CREDENTIALS,
            max_connections=1,
        )
        assert client._wire is not None
        client._wire._connector._resolver = Resolver(look)
        return client

    async def in_asyncio() -> None:
        async with client_of(on_asyncio.AsyncClient) as client:
            with suppress(TimeoutError):
                await asyncio.wait_for(client.call(IRIS), 0.1)
            healthy(client)

    async def in_trio() -> None:
        async with client_of(on_trio.AsyncClient) as client:
            with trio.move_on_after(0.1):
                await client.call(IRIS)
            healthy(client)

    begun = time.monotonic()
    if loop == "trio":
        trio.run(in_trio)
    else:
        asyncio.run(in_asyncio())
    assert time.monotonic() - begun < 3
    released.set()
