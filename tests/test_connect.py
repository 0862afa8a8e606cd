"""Opening connections: lookups within the deadline, all addresses tried, the losers closed."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import trio

from smruntime_core import (
    ConstructionError,
    DispatchFailure,
    InvokeEndpointOutput,
    RetryPolicy,
    Timeouts,
    run,
)
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3
from smruntime_transports.connect._happy_eyeballs import STAGGER_SECONDS, interleaved
from smruntime_transports.connect._resolver import Address, Resolver
from smruntime_transports.nonblocking._connection import OPTIONS
from smruntime_transports.wire._wire import Wire

from .callers import CREDENTIALS, IRIS
from .servers import OK, acting, scripted

Look = Callable[[str, int], list[Address]]
KINDS: dict[str, Any] = {
    "sockets": sockets.Client,
    "urllib3": on_urllib3.Client,
    "trio": on_trio.AsyncClient,
    "asyncio": on_asyncio.AsyncClient,
}
ONCE = RetryPolicy(max_attempts=1)


def outcomes(
    name: str, url: str, look: Look | Resolver, *, calls: int = 1, **settings: Any
) -> list[Any]:
    """Return the outcomes of simultaneous calls on a transport that resolves by `look`."""
    client = KINDS[name](
        region="us-east-1", endpoint_url=url, credentials=CREDENTIALS, retries=ONCE, **settings
    )
    client._wire._connector._resolver = look if isinstance(look, Resolver) else Resolver(look)
    found: list[Any] = []

    def block() -> None:
        try:
            found.append(client.call(IRIS))
        except DispatchFailure as error:
            found.append(error)

    async def one() -> None:
        try:
            found.append(await client.call(IRIS))
        except DispatchFailure as error:
            found.append(error)

    async def all_on_trio() -> None:
        async with client, trio.open_nursery() as nursery:
            for _ in range(calls):
                nursery.start_soon(one)

    async def all_on_asyncio() -> None:
        async with client:
            await asyncio.gather(*(one() for _ in range(calls)))

    if name == "trio":
        trio.run(all_on_trio)
    elif name == "asyncio":
        asyncio.run(all_on_asyncio())
    else:
        threads = [threading.Thread(target=block) for _ in range(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
    return found


@pytest.fixture(params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def black_hole(host: str) -> Iterator[int]:
    """Yield a port of `host` that drops packets, since the backlog of its listener is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, 0))
        listener.listen(0)
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]


def at(host: str, port: int) -> Address:
    return socket.AF_INET, (host, port)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_hanging_lookup_fails_after_the_connect_timeout(name: str) -> None:
    released = threading.Event()

    def look(host: str, port: int) -> list[Address]:
        released.wait(10)
        return []

    begun = time.monotonic()
    (outcome,) = outcomes(name, "http://slow.test:1", look, timeouts=Timeouts(connect=0.2))
    assert time.monotonic() - begun < 5, (
        "asyncio.run and trio.run did not wait for the thread either"
    )
    released.set()
    assert isinstance(outcome, TimeoutError)
    assert isinstance(outcome, DispatchFailure)
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("timeout", "resolve", "not_sent")


def test_calls_that_time_out_leave_nothing_in_a_lookup_that_hangs(name: str) -> None:
    released = threading.Event()

    def look(host: str, port: int) -> list[Address]:
        released.wait(10)
        return []

    resolver = Resolver(look)
    found = outcomes(name, "http://slow.test:1", resolver, calls=5, timeouts=Timeouts(connect=0.1))
    (lookup,) = resolver._running_lookups.values()
    waiting = len(lookup._waiting_tickets)
    released.set()
    assert [outcome.kind for outcome in found] == ["timeout"] * 5
    assert waiting == 0, f"{waiting} of 5 calls that ended are still in the queue of the lookup"


def test_simultaneous_calls_share_one_lookup(name: str) -> None:
    asked: list[str] = []

    def look(host: str, port: int) -> list[Address]:
        asked.append(host)
        time.sleep(0.3)
        return [at("127.0.0.1", port)]

    with scripted(*[OK] * 20) as server:
        found = outcomes(name, f"http://many.test:{port_of(server.url)}", look, calls=20)
    assert all(isinstance(outcome, InvokeEndpointOutput) for outcome in found), found
    assert asked == ["many.test"]


def test_name_without_addresses_is_a_refused_connection(name: str) -> None:
    (outcome,) = outcomes(name, "http://absent.test", lambda *_: [])
    assert isinstance(outcome, DispatchFailure)
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("refused", "resolve", "not_sent")


def test_numeric_address_is_not_looked_up(name: str) -> None:
    def look(host: str, port: int) -> list[Address]:
        raise AssertionError(host)

    with scripted(OK) as server:
        (outcome,) = outcomes(name, server.url, look)
    assert isinstance(outcome, InvokeEndpointOutput)


def test_next_address_is_tried_when_one_refuses_or_is_unusable(name: str) -> None:
    with scripted(OK) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = [
            (socket.AddressFamily.AF_UNSPEC, ("nowhere", 1)),
            at(*closed.getsockname()),
            at("127.0.0.1", port_of(server.url)),
        ]
        begun = time.monotonic()
        (outcome,) = outcomes(name, "http://some.test", lambda *_: found)
    assert isinstance(outcome, InvokeEndpointOutput), outcome
    assert time.monotonic() - begun < 2


def test_address_that_drops_packets_delays_a_call_by_the_stagger(name: str) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    with scripted(OK) as server, black_hole("127.0.0.2") as hole:
        begun = time.monotonic()
        (outcome,) = outcomes(
            name,
            "http://some.test",
            lambda *_: [at("127.0.0.2", hole), at("127.0.0.1", port_of(server.url))],
        )
        seconds = time.monotonic() - begun
    assert isinstance(outcome, InvokeEndpointOutput), outcome
    assert STAGGER_SECONDS <= seconds < STAGGER_SECONDS + 2
    gc.collect()  # trio's and asyncio's own
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 2, "the loser was closed"


def test_four_addresses_that_drop_packets_fail_after_the_connect_timeout(name: str) -> None:
    with ExitStack() as stack:
        holes = [
            at(f"127.0.0.{n}", stack.enter_context(black_hole(f"127.0.0.{n}"))) for n in range(2, 6)
        ]
        begun = time.monotonic()
        (outcome,) = outcomes(
            name, "http://some.test", lambda *_: holes, timeouts=Timeouts(connect=0.8)
        )
        assert time.monotonic() - begun < 0.8 + 1.5
    assert isinstance(outcome, TimeoutError)
    assert isinstance(outcome, DispatchFailure)
    assert (outcome.phase, outcome.delivery) == ("connect", "not_sent")


def test_addresses_of_both_families_are_interleaved() -> None:
    four = [(socket.AF_INET, (f"10.0.0.{n}", 1)) for n in range(3)]
    six = [(socket.AF_INET6, (f"::{n}", 1, 0, 0)) for n in range(2)]
    found: list[Address] = [*six, *four]
    assert interleaved(found) == [six[0], four[0], six[1], four[1], four[2]]
    assert interleaved([]) == []


def test_forked_child_starts_its_own_lookup() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    names = Resolver(lambda host, port: [at("127.0.0.1", port)])
    names._running_lookups[os.getpid(), "some.test", 1] = names._join_lookup(
        "other.test", 1
    )  # one that will never be answered
    child = os.fork()
    if not child:
        os._exit(
            0
            if names._join_lookup("some.test", 1)
            is not names._running_lookups.get((os.getppid(), "some.test", 1))
            else 1
        )
    assert os.waitpid(child, 0)[1] == 0


KEEPIDLE = (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7)


def test_socket_options_of_the_caller_are_set_after_ours() -> None:
    with acting(lambda peer: peer.idle()) as stage:
        wire = Wire(time.monotonic, {"socket_options": [KEEPIDLE]})
        flow = wire._connector.connect_to_host("127.0.0.1", port_of(stage.url), lambda: 5.0)
        connection = run(flow, sockets.SocketIO(wire))
        assert isinstance(connection.sock, socket.socket)
        found = [connection.sock.getsockopt(level, name) for level, name, _ in (*OPTIONS, KEEPIDLE)]
        connection.drop()
    assert found[:2] == [1, 1]
    assert found[-1] == 7
    assert found[2:-1] == [7, 10, 5]


def test_every_transport_accepts_socket_options(name: str) -> None:
    with scripted(OK) as server:
        (outcome,) = outcomes(name, server.url, lambda *_: [], socket_options=[KEEPIDLE])
    assert isinstance(outcome, InvokeEndpointOutput), outcome


@pytest.mark.parametrize("options", [7, [7], [(1, 2)], [("a", 1, 2)], [(1, 2, "x")], "abc"])
def test_malformed_socket_options_are_refused(name: str, options: Any) -> None:
    with pytest.raises(ConstructionError, match="socket_options"):
        KINDS[name](region="eu-west-1", socket_options=options)
