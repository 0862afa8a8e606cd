"""The pool: who comes waits in line and is called in turn, on every transport; nobody waits for longer than allowed."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import trio

import smruntime_core as sm
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3
from smruntime_transports.nonblocking._connection import Connection
from smruntime_transports.wire import _pool
from smruntime_transports.wire._pool import Pool

from .callers import CREDENTIALS, drive_asyncio
from .servers import OK, Peer, acting

ORIGIN = ("http", "h:80")
COLOURS: dict[str, tuple[Any, Callable[..., Any], Callable[[float], Any]]] = {
    "trio": (on_trio.AsyncClient, trio.run, trio.sleep),
    "asyncio": (on_asyncio.AsyncClient, drive_asyncio, asyncio.sleep),
}


@pytest.mark.parametrize("number", [0, -1, 1.5, True, None, "1"])
@pytest.mark.parametrize("client", [sockets.Client, on_urllib3.Client, on_trio.AsyncClient, on_asyncio.AsyncClient])
def test_what_is_no_number_of_connections(client: Any, number: object) -> None:
    with pytest.raises(sm.ConstructionError, match="max_connections"):
        client(region="eu-west-1", max_connections=number)


def slow(peer: Peer) -> None:
    """Answers each request a little later."""
    while peer.read():
        time.sleep(0.02)
        peer.send(OK)


def tasks(colour: str, url: str, count: int, most: int, *, warm: bool = False, **settings: Any) -> list[object]:
    """What `count` calls made at once by one client come to, and in which order they end; if `warm`, it has made one before."""
    client, drive, _ = COLOURS[colour]
    ended: list[object] = []

    async def ask(made: Any, number: int) -> None:
        try:
            await made.invoke_endpoint(endpoint_name="e", body=b"%d" % number)
            ended.append(number)
        except sm.DispatchFailure as failure:
            ended.append(failure)

    async def on_loop() -> None:
        async with client(region="us-east-1", endpoint_url=url, credentials=CREDENTIALS, max_connections=most, **settings) as made:
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
def test_tasks_stand_in_line(colour: str) -> None:
    with acting(slow) as stage:
        ended = tasks(colour, stage.url, 12, 2, warm=True)
        assert stage.connections == 2
        asked = [int(request.rpartition(b"\r\n\r\n")[2]) for request in stage.requests[1:]]
    assert len(ended) == 12
    if colour == "asyncio":  # trio begins tasks in any order
        assert all(abs(place - number) <= 1 for place, number in enumerate(asked)), asked


@pytest.mark.parametrize("make", [sockets.Client, on_urllib3.Client])
def test_threads_stand_in_line(make: Any) -> None:
    with (
        acting(slow) as stage,
        make(region="us-east-1", endpoint_url=stage.url, credentials=CREDENTIALS, max_connections=2) as client,
        ThreadPoolExecutor(12) as threads,
    ):
        answers = list(threads.map(lambda number: client.invoke_endpoint(endpoint_name="e", body=b"%d" % number).body, range(24)))
        assert stage.connections == 2
        assert len(stage.requests) == 24
    assert answers == [b"abc"] * 24


@contextmanager
def occupied(peers: threading.Event) -> Iterator[Callable[[Peer], None]]:
    """A server that answers nobody until the block is left."""

    def act(peer: Peer) -> None:
        peer.read()
        peers.wait(20)
        peer.send(OK)

    try:
        yield act
    finally:
        peers.set()


@pytest.mark.parametrize("colour", COLOURS)
def test_who_waits_for_too_long_hears_so(colour: str) -> None:
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
def test_a_thread_that_waits_for_too_long_hears_so(make: Any) -> None:
    held = threading.Event()
    timeouts = sm.Timeouts(pool=0.1)
    settings = {"region": "us-east-1", "credentials": CREDENTIALS, "timeouts": timeouts, "retries": sm.RetryPolicy(max_attempts=1)}
    with occupied(held) as act, acting(act) as stage, make(endpoint_url=stage.url, max_connections=1, **settings) as client:
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(client.invoke_endpoint, endpoint_name="e", body=b"")
            while not stage.requests:
                time.sleep(0.005)
            with pytest.raises(sm.DispatchFailure) as caught:
                client.invoke_endpoint(endpoint_name="e", body=b"")
            assert (caught.value.kind, caught.value.phase, caught.value.delivery) == ("timeout", "pool", "not_sent")
            held.set()
            assert answer.result(10).body == b"abc"
        assert client.invoke_endpoint(endpoint_name="e", body=b"").body == b"abc"


@pytest.mark.parametrize("colour", COLOURS)
def test_who_is_cancelled_in_line_leaves_no_gap(colour: str) -> None:
    client, drive, sleep = COLOURS[colour]
    held = threading.Event()

    async def on_loop(url: str) -> bytes:
        async with client(region="us-east-1", endpoint_url=url, credentials=CREDENTIALS, max_connections=1) as made:

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


def idle(pool: Pool, clock: list[float]) -> tuple[Connection, socket.socket]:
    """A connection that is being kept, and its other end."""
    ours, theirs = socket.socketpair()
    connection = Connection(ours, clock[0])
    assert pool.enter(ORIGIN) is None
    pool.give_back(ORIGIN, connection)
    return connection, theirs


def closed(connection: Connection) -> bool:
    return connection.sock.fileno() == -1


def test_the_one_that_has_been_idle_for_longest_serves_next() -> None:
    clock = [0.0]
    pool = Pool(lambda: clock[0])
    (one, end), (two, other_end) = idle(pool, clock), idle(pool, clock)
    with end, other_end:
        assert [pool.take(ORIGIN), pool.take(ORIGIN), pool.take(ORIGIN)] == [one, two, None]
        one.drop()
        two.drop()


@pytest.mark.parametrize(("idle_for", "age", "serves"), [(45.0, 0.0, True), (45.1, 0.0, False), (0.0, 600.0, True), (0.0, 600.1, False)])
def test_idle_and_age(idle_for: float, age: float, serves: bool) -> None:
    clock = [0.0]
    pool = Pool(lambda: clock[0])
    connection, end = idle(pool, clock)
    with end:
        connection.idle_since = age
        clock[0] = age + idle_for
        assert (pool.take(ORIGIN) is connection) == serves
        assert closed(connection) != serves
        connection.drop()


@pytest.mark.parametrize("what", [b"HTTP/1.1 200 OK\r\n", b""])
def test_what_speaks_or_ends_unasked_is_not_used(what: bytes) -> None:
    clock = [0.0]
    pool = Pool(lambda: clock[0])
    connection, end = idle(pool, clock)
    end.send(what)
    end.shutdown(socket.SHUT_WR)
    assert pool.take(ORIGIN) is None
    assert closed(connection)
    assert pool.idle == 0
    end.close()


def test_a_closed_pool_keeps_nothing_until_it_is_used_again() -> None:
    clock = [0.0]
    pool = Pool(lambda: clock[0])
    kept, end = idle(pool, clock)
    late, other_end = idle(pool, clock)
    with end, other_end:
        assert pool.take(ORIGIN) is kept
        pool.close()
        assert closed(late)
        pool.give_back(ORIGIN, kept)
        assert closed(kept)
        again, third_end = idle(pool, clock)
        with third_end:
            assert pool.take(ORIGIN) is again
            again.drop()


@contextmanager
def connected() -> Iterator[Connection]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours, time.monotonic())


def test_what_comes_back_while_the_pool_is_closed_is_not_kept() -> None:
    closing = False

    def clock() -> float:
        if closing:
            pool.close()
        return 0.0

    pool = Pool(clock, 1)
    with connected() as connection:
        pool.enter(ORIGIN)
        closing = True  # it is closed after `give_back` has looked whether it is
        pool.give_back(ORIGIN, connection)
        assert pool.idle == 0
        assert connection.sock.fileno() == -1


def test_a_connection_from_before_a_fork_is_not_counted_after_it() -> None:
    pool = Pool(time.monotonic, 1)
    with connected() as connection:
        connection.pid = -1  # the parent's
        assert pool.enter(ORIGIN) is None
        pool.drop(ORIGIN, connection)
        assert pool.enter(ORIGIN) is not None, "the one place is taken"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of 3.12 and later: a thread does not survive
def test_a_forked_child_begins_with_an_empty_pool_whoever_held_its_lock() -> None:
    pool = Pool(time.monotonic, 1)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with pool._lock:
            held.set()
            done.wait(20)

    with connected() as connection:
        pool.enter(ORIGIN)
        pool.give_back(ORIGIN, connection)
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(20)
        child = os.fork()
        if not child:
            os._exit(0 if pool.idle == 0 and pool.take(ORIGIN) is None and pool.enter(ORIGIN) is None else 1)
        done.set()
        holder.join()
        assert os.waitpid(child, 0)[1] == 0
        assert pool.take(ORIGIN) is connection, "the parent's serves on"


class Hooked(deque[Any]):
    """Does something just before the first thing is added to it."""

    before: Callable[[], object] | None = None

    def append(self, item: Any) -> None:
        before, self.before = self.before, None
        if before is not None:
            before()
        super().append(item)


@pytest.mark.parametrize("first", ["who gives back", "who waits"])
def test_who_gives_back_and_who_begins_to_wait_see_each_other(first: str) -> None:
    """Each of the two does its part between the other's look and word."""
    pool = Pool(time.monotonic, 1)
    with connected() as connection:
        assert pool.enter(ORIGIN) is None
        (door,) = pool._doors.values()
        places: list[Any] = []
        if first == "who gives back":
            waiting = door.waiting = Hooked()
            waiting.before = lambda: pool.give_back(ORIGIN, connection)
            places.append(pool.enter(ORIGIN))
        else:
            idle = door.idle = Hooked()
            idle.before = lambda: places.append(pool.enter(ORIGIN))
            pool.give_back(ORIGIN, connection)
        assert places[0].called
        assert places[0].connection is connection


def test_who_is_collected_while_being_called_takes_no_connection_along() -> None:
    """A generator may be collected after any call, by the very thread that is about to serve it."""

    class Idle(deque[Connection]):
        def popleft(self) -> Connection:
            connection = super().popleft()
            assert place is not None
            pool.give_up(ORIGIN, place)
            return connection

    pool = Pool(time.monotonic, most=1)
    assert pool.enter(ORIGIN) is None
    place = pool.enter(ORIGIN)
    pool._doors[ORIGIN].idle = Idle()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pool.give_back(ORIGIN, Connection(ours, time.monotonic()))
        assert pool.idle == 1


def test_threads_that_come_first_come_to_the_same_door() -> None:
    """One of them is stopped while it makes a door, and another comes in."""
    making, made = threading.Event(), threading.Event()

    class Door(_pool._Door):
        def __init__(self) -> None:
            super().__init__()
            if threading.current_thread() is late:
                making.set()
                made.wait(5)

    pool = Pool(time.monotonic, most=1)
    late = threading.Thread(target=pool.take, args=(ORIGIN,))
    with mock.patch.object(_pool, "_Door", Door):
        pool._begin()
        late.start()
        assert making.wait(5)
        assert pool.enter(ORIGIN) is None
        made.set()
        late.join()
    place = pool.enter(ORIGIN)
    assert place is not None, "one at the most"
    pool.leave(ORIGIN)
    assert place.called


def test_nobody_is_forgotten_in_line_however_threads_are_switched() -> None:
    """Connections go from hand to hand without a lock: whoever gives one back and whoever begins to wait must see each other."""
    pool, most = Pool(time.monotonic, 2), 2
    using: list[Connection] = []
    stuck: list[int] = []
    ready = threading.Barrier(6)
    ends: list[socket.socket] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        ready.wait()
        for turn in range(2000):
            connection = pool.take(ORIGIN)
            if connection is None:
                place = pool.enter(ORIGIN)
                if place is not None:
                    called = threading.Event()
                    place.when_called(called.set)
                    if not called.wait(10):
                        stuck.append(number)
                        return
                    connection = place.connection
            if connection is None:
                ours, theirs = socket.socketpair()
                ends.append(theirs)
                connection = Connection(ours, time.monotonic())
            with lock:
                using.append(connection)
                assert len(using) <= most
                assert len(set(map(id, using))) == len(using), "one connection in two hands"
            with lock:
                using.remove(connection)
            if (number + turn) % 50:
                pool.give_back(ORIGIN, connection)
            else:
                pool.drop(ORIGIN, connection)

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
    (door,) = pool._doors.values()
    assert (door.places, len(door.idle), len(door.waiting)) == (0, 0, 0)
