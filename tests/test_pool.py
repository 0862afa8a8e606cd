"""The pool: calls wait in order, within their limits; no slot is lost or used twice."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import trio

import smruntime_core as sm
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3
from smruntime_transports.connect._proxies import Proxy
from smruntime_transports.nonblocking._connection import Connection, Route
from smruntime_transports.wire._pool import Pool, Slot

from .callers import CREDENTIALS, count_idle, drive_asyncio
from .servers import OK, Peer, acting

ROUTE: Route = ("http", "h:80", None)
COLOURS: dict[str, tuple[Any, Callable[..., Any], Callable[[float], Any]]] = {
    "trio": (on_trio.AsyncClient, trio.run, trio.sleep),
    "asyncio": (on_asyncio.AsyncClient, drive_asyncio, asyncio.sleep),
}


@pytest.mark.parametrize("number", [0, -1, 1.5, True, None, "1"])
@pytest.mark.parametrize(
    "client", [sockets.Client, on_urllib3.Client, on_trio.AsyncClient, on_asyncio.AsyncClient]
)
def test_invalid_max_connections_is_refused(client: Any, number: object) -> None:
    with pytest.raises(sm.ConstructionError, match="max_connections"):
        client(region="eu-west-1", max_connections=number)


def slow(peer: Peer) -> None:
    """Answers each request a little later."""
    while peer.read():
        time.sleep(0.02)
        peer.send(OK)


def tasks(
    colour: str, url: str, count: int, most: int, *, warm: bool = False, **settings: Any
) -> list[object]:
    """Make `count` calls at once; return their outcomes and the order in which they ended.

    If `warm`, the client has made a call before.
    """
    client, drive, _ = COLOURS[colour]
    ended: list[object] = []

    async def ask(made: Any, number: int) -> None:
        try:
            await made.invoke_endpoint(endpoint_name="e", body=b"%d" % number)
            ended.append(number)
        except sm.DispatchFailure as failure:
            ended.append(failure)

    async def on_loop() -> None:
        async with client(
            region="us-east-1",
            endpoint_url=url,
            credentials=CREDENTIALS,
            max_connections=most,
            **settings,
        ) as made:
            if warm:
                await made.invoke_endpoint(endpoint_name="e", body=b"")
            if colour == "asyncio":
                await asyncio.gather(*(ask(made, number) for number in range(count)))
                return
            async with trio.open_nursery() as nursery:
                for number in range(count):
                    nursery.start_soon(ask, made, number)

    drive(on_loop)
    return ended


@pytest.mark.parametrize("colour", COLOURS)
def test_tasks_get_connections_in_the_order_of_their_calls(colour: str) -> None:
    with acting(slow) as stage:
        ended = tasks(colour, stage.url, 12, 2, warm=True)
        assert stage.connections == 2
        asked = [int(request.rpartition(b"\r\n\r\n")[2]) for request in stage.requests[1:]]
    assert len(ended) == 12
    if colour == "asyncio":  # trio begins tasks in any order
        assert all(abs(place - number) <= 1 for place, number in enumerate(asked)), asked


@pytest.mark.parametrize("make", [sockets.Client, on_urllib3.Client])
def test_threads_share_two_connections(make: Any) -> None:
    with (
        acting(slow) as stage,
        make(
            region="us-east-1", endpoint_url=stage.url, credentials=CREDENTIALS, max_connections=2
        ) as client,
        ThreadPoolExecutor(12) as threads,
    ):
        answers = list(
            threads.map(
                lambda number: client.invoke_endpoint(endpoint_name="e", body=b"%d" % number).body,
                range(24),
            )
        )
        assert stage.connections == 2
        assert len(stage.requests) == 24
    assert answers == [b"abc"] * 24


@contextmanager
def occupied(peers: threading.Event) -> Iterator[Callable[[Peer], None]]:
    """Run a server that does not answer until the block is left."""

    def act(peer: Peer) -> None:
        peer.read()
        peers.wait(20)
        peer.send(OK)

    try:
        yield act
    finally:
        peers.set()


@pytest.mark.parametrize("colour", COLOURS)
def test_call_that_waits_too_long_for_a_connection_times_out(colour: str) -> None:
    """The others had their time; the one in line had its own, and nothing of it was sent."""
    timeouts = sm.Timeouts(pool=0.1, response=0.5)
    retries = sm.RetryPolicy(max_attempts=1)
    with occupied(threading.Event()) as act, acting(act) as stage:
        first, second = tasks(colour, stage.url, 2, 1, timeouts=timeouts, retries=retries)
        assert len(stage.requests) == 1
    assert isinstance(first, sm.DispatchFailure), first
    assert isinstance(first, TimeoutError)
    assert (first.kind, first.phase, first.delivery) == ("timeout", "pool", "not_sent")
    assert isinstance(second, sm.DispatchFailure), second
    assert (second.phase, second.delivery) == ("head", "maybe_sent")


@pytest.mark.parametrize("make", [sockets.Client, on_urllib3.Client])
def test_thread_that_waits_too_long_for_a_connection_gets_a_timeout(make: Any) -> None:
    held = threading.Event()
    timeouts = sm.Timeouts(pool=0.1)
    settings = {
        "region": "us-east-1",
        "credentials": CREDENTIALS,
        "timeouts": timeouts,
        "retries": sm.RetryPolicy(max_attempts=1),
    }
    with (
        occupied(held) as act,
        acting(act) as stage,
        make(endpoint_url=stage.url, max_connections=1, **settings) as client,
    ):
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(client.invoke_endpoint, endpoint_name="e", body=b"")
            while not stage.requests:
                time.sleep(0.005)
            with pytest.raises(sm.DispatchFailure) as caught:
                client.invoke_endpoint(endpoint_name="e", body=b"")
            assert (caught.value.kind, caught.value.phase, caught.value.delivery) == (
                "timeout",
                "pool",
                "not_sent",
            )
            held.set()
            assert answer.result(10).body == b"abc"
        assert client.invoke_endpoint(endpoint_name="e", body=b"").body == b"abc"


@pytest.mark.parametrize("colour", COLOURS)
def test_cancelled_waiting_call_does_not_block_the_queue(colour: str) -> None:
    client, drive, sleep = COLOURS[colour]
    held = threading.Event()

    async def on_loop(url: str) -> bytes:
        async with client(
            region="us-east-1", endpoint_url=url, credentials=CREDENTIALS, max_connections=1
        ) as made:

            async def ask() -> bytes:
                return bytes((await made.invoke_endpoint(endpoint_name="e", body=b"")).body)

            if colour == "asyncio":
                first, second = asyncio.create_task(ask()), asyncio.create_task(ask())
                await sleep(0.1)
                second.cancel()
                held.set()
                await first
            else:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask)
                    await sleep(0.1)
                    with trio.move_on_after(0.1):
                        await ask()
                    held.set()
            return await ask()

    with occupied(held) as act, acting(act) as stage:
        assert drive(lambda: on_loop(stage.url)) == b"abc"


def acquired(pool: Pool, route: Route = ROUTE, *, fresh: bool = False) -> Slot:
    """Return a slot that was granted at once, with an idle connection if there is one."""
    slot = Slot()
    pool.acquire(slot, route)
    assert slot.called
    pool.take(slot, fresh)
    return slot


def idle(pool: Pool, clock: list[float]) -> tuple[Connection, socket.socket]:
    """Return an idle connection, and its other end."""
    ours, theirs = socket.socketpair()
    slot = acquired(pool, fresh=True)
    connection = slot.connection = Connection(ours, clock[0])
    slot.reusable = True
    pool.release(slot)
    return connection, theirs


def closed(connection: Connection) -> bool:
    return connection.sock.fileno() == -1


def test_connection_that_was_idle_for_longest_serves_next() -> None:
    clock = [0.0]
    pool = Pool(lambda: clock[0])
    (one, end), (two, other_end) = idle(pool, clock), idle(pool, clock)
    with end, other_end:
        assert [acquired(pool).connection for _ in range(3)] == [one, two, None]
        one.drop()
        two.drop()


@pytest.mark.parametrize(
    ("idle_for", "age", "serves"),
    [(45.0, 0.0, True), (45.1, 0.0, False), (0.0, 600.0, True), (0.0, 600.1, False)],
)
def test_connection_is_closed_when_idle_for_45_s_or_600_s_old(
    idle_for: float, age: float, serves: bool
) -> None:
    clock = [0.0]
    pool = Pool(lambda: clock[0])
    connection, end = idle(pool, clock)
    with end:
        connection.idle_since = age
        clock[0] = age + idle_for
        assert (acquired(pool).connection is connection) == serves
        assert closed(connection) != serves
        connection.drop()


@pytest.mark.parametrize("what", [b"HTTP/1.1 200 OK\r\n", b""])
def test_idle_connection_that_received_data_or_was_closed_is_not_reused(what: bytes) -> None:
    clock = [0.0]
    pool = Pool(lambda: clock[0])
    connection, end = idle(pool, clock)
    end.send(what)
    end.shutdown(socket.SHUT_WR)
    assert acquired(pool).connection is None
    assert closed(connection)
    assert count_idle(pool) == 0
    end.close()


def test_closed_pool_keeps_no_connection_until_it_is_used_again() -> None:
    clock = [0.0]
    pool = Pool(lambda: clock[0])
    kept, end = idle(pool, clock)
    late, other_end = idle(pool, clock)
    with end, other_end:
        slot = acquired(pool)
        assert slot.connection is kept
        slot.reusable = True
        pool.close()
        assert closed(late)
        pool.release(slot)
        assert closed(kept)
        again, third_end = idle(pool, clock)
        with third_end:
            assert acquired(pool).connection is again
            again.drop()


@contextmanager
def connected() -> Iterator[Connection]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours, time.monotonic())


def test_connection_released_while_the_pool_closes_is_not_kept() -> None:
    closing = False

    def clock() -> float:
        if closing:
            pool.close()
        return 0.0

    pool = Pool(clock, 1)
    with connected() as connection:
        slot = acquired(pool)
        slot.connection, slot.reusable = connection, True
        closing = True
        pool.release(slot)
        assert count_idle(pool) == 0
        assert closed(connection)


def test_connections_that_take_different_routes_are_not_exchanged() -> None:
    """Direct calls use no connection through a proxy, and the reverse."""
    pool, proxy = Pool(time.monotonic), Proxy("http", "proxy.test", 3128)
    routes: list[Route] = [
        ("http", "h:80", None),
        ("http", "h:80", proxy),
        ("https", "h:80", None),
        ("http", "h:81", None),
    ]
    routes += [
        (
            "http",
            "h:80",
            Proxy("http", "proxy.test", 3128, (("Proxy-Authorization", "Basic YTpi"),)),
        )
    ]
    with connected() as connection:
        slot = acquired(pool, routes[0])
        slot.connection, slot.reusable = connection, True
        pool.release(slot)
        assert [acquired(pool, route).connection for route in routes[1:]] == [None] * 4
        assert acquired(pool, routes[0]).connection is connection


def test_pool_keeps_at_most_max_idle_connections() -> None:
    """As a `PoolManager(maxsize=1)` that does not block: any number in use, one kept."""
    pool = Pool(time.monotonic, max_connections=1000, max_idle_connections=1)
    slots = [acquired(pool) for _ in range(3)]
    ends: list[socket.socket] = []
    for slot in slots:
        ours, theirs = socket.socketpair()
        ends.append(theirs)
        slot.connection, slot.reusable = Connection(ours, time.monotonic()), True
        pool.release(slot)
    assert count_idle(pool) == 1
    pool.close()
    for end in ends:
        end.close()


@pytest.mark.parametrize("most", [1, 2])
def test_fresh_connection_stays_within_max_connections(most: int) -> None:
    clock = [0.0]
    pool = Pool(lambda: clock[0], most)
    kept, end = idle(pool, clock)
    with end:
        slot = acquired(pool, fresh=True)
        assert slot.connection is None
        assert closed(kept) == (most == 1)
        pool.close()


def test_releasing_a_slot_twice_does_not_affect_the_next_call() -> None:
    """Its connection may serve another call by then."""
    pool = Pool(time.monotonic, 1)
    with connected() as connection:
        first = acquired(pool)
        first.connection, first.reusable = connection, True
        pool.release(first)
        second = acquired(pool)
        assert second.connection is connection
        pool.release(first)
        waiting = Slot()
        pool.acquire(waiting, ROUTE)
        assert not waiting.called, "the slot of the second is still in use"
        assert not closed(connection)


class Interrupt(BaseException):
    """What a signal handler raises."""


def test_interrupted_release_is_completed_by_the_next() -> None:
    """Also on behalf of a slot that was about to be granted."""

    class Sensitive(Slot):
        def call(self) -> None:
            if not interrupts:
                interrupts.append(True)
                raise Interrupt
            super().call()

    interrupts: list[bool] = []
    pool = Pool(time.monotonic, 1)
    slot, waiting = acquired(pool), Sensitive()
    pool.acquire(waiting, ROUTE)
    with pytest.raises(Interrupt):
        pool.release(slot)
    pool.release(slot)
    assert interrupts
    assert waiting.called
    pool.release(waiting)
    acquired(pool)


def test_slot_that_was_never_acquired_can_be_released() -> None:
    pool, waiting = Pool(time.monotonic, 1), Slot()
    pool.release(Slot())
    acquired(pool)
    pool.acquire(waiting, ROUTE)
    assert not waiting.called


def test_connection_from_before_a_fork_is_not_kept() -> None:
    pool = Pool(time.monotonic, 1)
    with connected() as connection:
        slot = acquired(pool)
        slot.connection, slot.reusable = connection, True
        connection.pid = -1  # the parent's
        pool.release(slot)
        assert count_idle(pool) == 0
        acquired(pool)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # of 3.12 and later: a thread does not survive
def test_forked_child_begins_with_an_empty_pool() -> None:
    pool = Pool(time.monotonic, 1)
    with connected() as connection:
        slot = acquired(pool)
        slot.connection, slot.reusable = connection, True
        pool.release(slot)
        child = os.fork()
        if not child:
            empty = count_idle(pool) == 0 and acquired(pool).connection is None
            os._exit(0 if empty else 1)
        assert os.waitpid(child, 0)[1] == 0, "the child found a connection of its parent's"
        assert acquired(pool).connection is connection, "the parent lost its own connection"


def test_slot_released_while_it_is_granted_leaves_the_idle_connection() -> None:
    """A generator may be collected after any call, by the very thread that is about to serve it."""

    class Collected(Slot):
        def call(self) -> None:
            super().call()
            pool.release(self)

    pool = Pool(time.monotonic, max_connections=1)
    with connected() as connection:
        slot, waiting, last = acquired(pool), Collected(), Slot()
        slot.connection, slot.reusable = connection, True
        pool.acquire(waiting, ROUTE)
        pool.acquire(last, ROUTE)
        pool.release(slot)
        assert count_idle(pool) == 1
        assert last.called
        assert pool.take(last) is connection


class ReleasingQueue(dict[Slot, None]):
    """A queue of slots that loses `interposed` just after another: a second thread releases it."""

    pool: Pool
    interposed: Slot | None

    # a pool uses this one form
    def pop(self, slot: Slot, default: None = None) -> None:  # type: ignore[override]
        super().pop(slot, default)
        interposed, self.interposed = self.interposed, None
        if interposed is not None:
            self.pool.release(interposed)


def test_waiting_call_is_granted_when_two_slots_are_released_at_once() -> None:
    pool = Pool(time.monotonic, 2)
    first, second, waiting = acquired(pool), acquired(pool), Slot()
    pool.acquire(waiting, ROUTE)
    assert not waiting.called
    connections = first.route_connections
    assert connections is not None
    queue = ReleasingQueue(connections.slot_queue)
    queue.pool, queue.interposed = pool, second
    connections.slot_queue = queue
    pool.release(first)
    assert waiting.called


def test_no_slot_is_lost_when_threads_switch_often() -> None:
    pool, most = Pool(time.monotonic, 2), 2
    using: list[Connection] = []
    stuck: list[int] = []
    ready = threading.Barrier(6)
    ends: list[socket.socket] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        ready.wait()
        for turn in range(1000):
            slot = Slot()
            pool.acquire(slot, ROUTE)
            called = threading.Event()
            slot.when_called(called.set)
            if not called.wait(10):
                stuck.append(number)
                return
            connection = pool.take(slot)
            if connection is None:
                ours, theirs = socket.socketpair()
                ends.append(theirs)
                connection = slot.connection = Connection(ours, time.monotonic())
            with lock:
                using.append(connection)
                assert len(using) <= most
                assert len(set(map(id, using))) == len(using), "one connection in two hands"
            with lock:
                using.remove(connection)
            slot.reusable = (number + turn) % 50 != 0
            pool.release(slot)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        pool.close()
        for end in ends:
            end.close()
    assert not stuck
    (shared,) = pool._connections_by_route.values()
    assert (len(shared.slot_queue), len(shared.idle_connections)) == (0, 0)
