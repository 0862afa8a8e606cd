"""Waits and connections on asyncio, uvloop and a loop that cannot watch sockets."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from smruntime_core import DispatchFailure, InvokeEndpoint, RetryPolicy, Timeouts
from smruntime_core.effects import Sleep
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports.asyncio import AsyncClient, AsyncioIO
from smruntime_transports.nonblocking._connection import READ, WRITE, Connection, poll_and_drop
from smruntime_transports.nonblocking._waiting import Ticket, Wait, WaitAnyWritable, WaitTurn
from smruntime_transports.wire._wire import Wire

from .callers import CREDENTIALS, IRIS, STREAMED, LoopWithoutReaders, connected
from .helpers import call_in_thread
from .servers import OK, Peer, acting
from .test_streams import FRAMES, chunked

LOOPS = ["asyncio", "without readers", *([] if sys.platform == "win32" else ["uvloop"])]
EARLY = 0.001  # seconds that uvloop's timers, which round to milliseconds, may be early


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.SelectorEventLoop() if name == "asyncio" else LoopWithoutReaders()


@pytest.fixture(params=LOOPS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[loop for loop in LOOPS if loop != "without readers"])
def watching(request: pytest.FixtureRequest) -> str:
    """Return the name of a loop that can watch sockets."""
    return str(request.param)


def on(name: str, main: Awaitable[Any]) -> Any:
    with asyncio.Runner(loop_factory=lambda: new_loop(name)) as runner:
        return runner.run(main)  # type: ignore[arg-type]  # all of ours are coroutines


def io() -> AsyncioIO:
    return AsyncioIO(Wire(time.monotonic))


def client(url: str, **settings: Any) -> AsyncClient:
    return AsyncClient(
        region="us-east-1",
        endpoint_url=url,
        credentials=CREDENTIALS,
        retries=RetryPolicy(max_attempts=1),
        **settings,
    )


def answering(peer: Peer) -> None:
    while request := peer.read():
        peer.send(chunked(*FRAMES) if b"-response-stream" in request else OK)


def timers() -> int:
    """Return how many timers the running loop has that are not cancelled; uvloop does not tell."""
    scheduled = getattr(asyncio.get_running_loop(), "_scheduled", ())
    return sum(not timer.cancelled() for timer in scheduled)


def had_reader(descriptor: int, loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Remove the reader of `descriptor` and return whether there was one; uvloop does not tell."""
    return bool((loop or asyncio.get_running_loop()).remove_reader(descriptor))


def pair() -> tuple[Connection, socket.socket]:
    ours, theirs = socket.socketpair()
    return Connection(ours, 0.0), theirs


# ── deadlines ──


def test_each_deadline_is_kept_and_they_expire_in_order(name: str) -> None:
    async def wait(asked: AsyncioIO, seconds: float) -> None:
        begun = time.monotonic()
        with connected() as (connection, _):
            assert await asked.wait(Wait(connection, READ, seconds)) == 0
        late.append(seconds)
        assert seconds - EARLY * (name == "uvloop") <= time.monotonic() - begun < seconds + 0.5

    async def main() -> None:
        asked = io()
        await asyncio.gather(*(wait(asked, 0.02 * (1 + number * 7 % 10)) for number in range(10)))
        assert timers() == 0

    late: list[float] = []
    on(name, main())
    if name != "without readers":  # threads run in any order
        assert late == sorted(late)


@pytest.mark.parametrize("mask", [READ, WRITE, READ | WRITE])
def test_wait_that_is_ready_in_time_leaves_no_timer(name: str, mask: int) -> None:
    async def main() -> None:
        with connected() as (connection, theirs):
            theirs.send(b"x")
            assert await io().wait(Wait(connection, mask, 60.0)) & mask
            assert timers() == 0

    on(name, main())


def test_call_and_closed_client_leave_no_timer_and_no_reader(name: str) -> None:
    async def main(url: str) -> None:
        async with client(url) as made:
            await made.call(IRIS)
            assert timers() == 0
            assert made._wire is not None
            (connections,) = made._wire._pool._connections_by_route.values()
            descriptors = [connection.sock.fileno() for connection in connections.idle_connections]
        await asyncio.sleep(0)
        if name != "without readers":
            assert [had_reader(descriptor) for descriptor in descriptors] == [False]

    with acting(answering) as stage:
        on(name, main(stage.url))


def test_silent_server_times_out(name: str) -> None:
    async def main() -> None:
        async with client(stage.url, timeouts=Timeouts(response=0.05)) as made:
            with pytest.raises(DispatchFailure) as caught:
                await made.call(IRIS)
        assert caught.value.kind == "timeout"
        assert timers() == 0

    with acting(lambda peer: peer.idle()) as stage:
        on(name, main())


# ── waiting ──


@pytest.mark.parametrize("seconds", [None, 10.0, 0.0])
def test_wait_says_what_the_socket_is_ready_for(name: str, seconds: float | None) -> None:
    async def main() -> None:
        with connected() as (connection, theirs):
            asked = io()
            if seconds == 0.0:
                assert await asked.wait(Wait(connection, READ, seconds)) == 0
            assert await asked.wait(Wait(connection, WRITE, seconds)) == WRITE
            theirs.send(b"x")
            assert await asked.wait(Wait(connection, READ, seconds)) == READ
            assert await asked.wait(Wait(connection, READ | WRITE, seconds)) in (
                READ,
                WRITE,
                READ | WRITE,
            )
            theirs.close()
            assert await asked.wait(Wait(connection, READ, seconds)) == READ

    on(name, main())


def test_wait_for_either_ends_with_the_first(name: str) -> None:
    async def main() -> None:
        with connected(full=True) as (connection, theirs):
            assert await io().wait(Wait(connection, READ | WRITE, 0.02)) == 0
            theirs.send(b"x")
            assert await io().wait(Wait(connection, READ | WRITE, 5.0)) == READ
            connection.sock.recv(1)
            asyncio.get_running_loop().call_later(0.02, theirs.recv, 1 << 24)
            assert await io().wait(Wait(connection, READ | WRITE, 5.0)) == WRITE

    on(name, main())


def test_first_writable_of_several_is_returned(name: str) -> None:
    async def main() -> None:
        with connected(full=True) as (one, _), connected(full=True) as (two, end):
            assert await io().wait_any_writable(WaitAnyWritable((one, two), 0.02)) == []
            asyncio.get_running_loop().call_later(0.02, end.recv, 1 << 24)
            assert await io().wait_any_writable(WaitAnyWritable((one, two), 10.0)) == [two]

    on(name, main())


def test_wait_is_not_ended_by_what_the_task_has_read_already(name: str) -> None:
    """A selector loop calls the reader once more before the task runs."""

    async def main() -> None:
        asked = io()
        with connected() as (connection, theirs):
            for _ in range(3):
                asyncio.get_running_loop().call_soon(theirs.send, b"x")
                assert await asked.wait(Wait(connection, READ, 5.0)) == READ
                assert connection.sock.recv(10) == b"x"
                assert await asked.wait(Wait(connection, READ, 0.02)) == 0

    on(name, main())


def test_bytes_that_come_between_two_waits_end_the_second(name: str) -> None:
    async def main() -> None:
        asked = io()
        with connected() as (connection, theirs):
            for _ in range(3):
                assert await asked.wait(Wait(connection, READ, 0.01)) == 0
                theirs.send(b"x")
                await asyncio.sleep(0.01)
                assert await asked.wait(Wait(connection, READ, 5.0)) == READ
                assert connection.sock.recv(10) == b"x"

    on(name, main())


def test_unread_bytes_and_closed_idle_connections_do_not_spin() -> None:
    class Counted(selectors.DefaultSelector):
        looks = 0

        def select(self, timeout: float | None = None) -> Any:
            self.looks += 1
            return super().select(timeout)

    async def main() -> None:
        with connected() as (connection, theirs):
            assert await io().wait(Wait(connection, READ, 0.01)) == 0
            for end in (lambda: theirs.send(b"x"), theirs.close):
                end()
                looks = counted.looks
                await asyncio.sleep(0.05)
                assert counted.looks - looks < 10
                assert await io().wait(Wait(connection, READ, 5.0)) == READ

    counted = Counted()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(counted)) as runner:
        runner.run(main())


@pytest.mark.parametrize("before", [0.0, 0.01])
def test_reset_ends_the_wait_whenever_it_comes(name: str, before: float) -> None:
    """Libuv reports an error once, not for as long as it lasts."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
            connection, asked = Connection(ours, 0.0), io()
            theirs.send(b"x")
            assert await asked.wait(Wait(connection, READ, 5.0)) == READ
            assert connection.sock.recv(10) == b"x"
            waiting = asyncio.ensure_future(asked.wait(Wait(connection, READ, 5.0)))
            if before:
                await asyncio.sleep(before)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.close()
            assert await waiting == READ
            with pytest.raises(ConnectionResetError):
                connection.sock.recv(10)
            connection.drop()

    on(name, main())


def test_ticket_is_called_in_the_loop_by_a_thread_or_not_at_all(name: str) -> None:
    async def main() -> None:
        asked = io()
        calls: list[Callable[[Ticket], object]] = [Ticket.call, call_in_thread]
        for call in calls:
            ticket = Ticket()
            waiting = asyncio.ensure_future(asked.wait_turn(WaitTurn(ticket, 60.0)))
            await asyncio.sleep(0)
            call(ticket)
            await asyncio.wait_for(waiting, 5.0)
        begun = time.monotonic()
        await asked.wait_turn(WaitTurn(Ticket(), 0.05))
        assert 0.05 - EARLY * (name == "uvloop") <= time.monotonic() - begun < 1.0
        assert timers() == 0

    on(name, main())


def test_ticket_called_after_the_loop_was_closed_is_ignored(name: str) -> None:
    async def main() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(io().wait_turn(WaitTurn(ticket, None)), 0.01)

    ticket = Ticket()
    on(name, main())
    ticket.call()


# ── cancellation ──


def test_cancelled_waits_leave_neither_timer_nor_thread(name: str) -> None:
    async def main() -> None:
        asked, threads = io(), threading.active_count()
        with connected(full=True) as (connection, _), connected(full=True) as (other, _):
            waits: list[Awaitable[Any]] = [
                asked.wait(Wait(other, READ | WRITE, 10.0)),
                asked.wait_any_writable(WaitAnyWritable((connection,), None)),
                asked.wait_turn(WaitTurn(Ticket(), 10.0)),
            ]
            for wait in waits:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(wait, 0.01)
            assert timers() == 0
            deadline = time.monotonic() + 2.0  # the thread of a wait would last 10 s
            while threading.active_count() > threads and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            assert threading.active_count() == threads

    on(name, main())


def test_hanging_up_in_a_thread_ends_a_wait(name: str) -> None:
    async def main() -> None:
        with connected() as (connection, _):
            waiting = asyncio.ensure_future(io().wait(Wait(connection, READ, 10.0)))
            await asyncio.sleep(0.01)
            threading.Thread(target=connection.hang_up).start()
            assert await asyncio.wait_for(waiting, 5.0) == READ

    on(name, main())


def test_hanging_up_a_dropped_connection_does_nothing() -> None:
    with connected() as (connection, _):
        connection.drop()
        connection.hang_up()


def test_coroutine_collected_after_its_loop_was_closed_raises_nothing(watching: str) -> None:
    loop = new_loop(watching)
    with connected(full=True) as (connection, _):
        waiting = io().wait(Wait(connection, READ | WRITE, 10.0))
        task = loop.create_task(waiting)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        waiting.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # on purpose
        del task


# ── a connection ends: its reader goes first, or the next socket would have it ──


async def dropped_here(connection: Connection) -> None:
    connection.drop()
    await asyncio.sleep(0)


async def dropped_by_a_thread(connection: Connection) -> None:
    thread = threading.Thread(target=connection.drop)
    thread.start()
    thread.join()
    assert connection.sock.fileno() != -1, "only the loop's own thread may touch its readers"
    await asyncio.sleep(0.01)


async def forgotten(connection: Connection) -> None:
    del connection
    gc.collect()
    await asyncio.sleep(0)


@pytest.mark.parametrize("end", [dropped_here, dropped_by_a_thread, forgotten])
def test_next_socket_with_the_descriptor_has_no_reader(
    watching: str, end: Callable[[Connection], Awaitable[None]]
) -> None:
    async def main() -> None:
        connections = []
        connection, theirs = pair()
        descriptor = connection.sock.fileno()
        assert await io().wait(Wait(connection, READ, 0.01)) == 0
        connections.append(connection)
        del connection
        await end(connections.pop())
        assert theirs.recv(1) == b"", "the connection is closed"
        theirs.close()
        reused = [socket.socketpair() for _ in range(3)]
        assert descriptor in [sock.fileno() for both in reused for sock in both], "a test of reuse"
        assert not had_reader(descriptor)
        for ours, other in reused:
            connection = Connection(ours, 0.0)
            other.send(b"x")
            assert await io().wait(Wait(connection, READ, 5.0)) == READ
            connection.drop()
            other.close()

    on(watching, main())


@pytest.mark.parametrize("closed", [False, True])
def test_connection_is_dropped_after_its_loop_has_stopped(watching: str, closed: bool) -> None:
    loop = new_loop(watching)
    connection, theirs = pair()
    descriptor = connection.sock.fileno()
    assert loop.run_until_complete(io().wait(Wait(connection, READ, 0.01))) == 0
    if closed:
        loop.close()
    connection.drop()
    assert theirs.recv(1) == b""
    if not closed:
        assert not had_reader(descriptor, loop)
        loop.close()
    theirs.close()


def test_connection_moves_to_another_loop(watching: str) -> None:
    first, second = new_loop(watching), new_loop(watching)
    connection, theirs = pair()

    async def receive() -> bytes:
        assert await io().wait(Wait(connection, READ, 0.01)) == 0
        theirs.send(b"x")
        assert await io().wait(Wait(connection, READ, 5.0)) == READ
        return connection.sock.recv(1)

    for loop, other in ((first, second), (second, first), (first, second)):
        assert loop.run_until_complete(receive()) == b"x"
        assert not had_reader(connection.sock.fileno(), other)
    connection.drop()
    theirs.close()
    first.close()
    second.close()


def test_forgotten_client_closes_its_connections(name: str) -> None:
    async def main() -> None:
        made = client(stage.url)
        await made.call(IRIS)
        del made
        gc.collect()
        end = time.monotonic() + 5.0
        while stage.under_way and time.monotonic() < end:
            await asyncio.sleep(0.01)
        assert not stage.under_way

    with acting(answering) as stage:
        on(name, main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("how", ["drop", "forget", "wait"])
def test_forked_child_leaves_its_parents_reader_alone(watching: str, how: str) -> None:
    """A child shares its parent's epoll: what it removes there is removed for both."""

    async def main() -> None:
        connection, theirs = pair()
        assert await io().wait(Wait(connection, READ, 0.01)) == 0
        child = os.fork()
        if not child:
            signal.alarm(10)
            failed = True
            try:
                failed = not in_child(connection, how)
            finally:
                os._exit(failed)
        assert os.waitpid(child, 0)[1] == 0
        theirs.send(b"x")
        assert await io().wait(Wait(connection, READ, 5.0)) == READ
        connection.drop()
        theirs.close()

    on(watching, main())


def in_child(connection: Connection, how: str) -> bool:
    if how == "wait":
        asyncio._set_running_loop(None)
        loop = asyncio.SelectorEventLoop()
        waited = loop.run_until_complete(io().wait(Wait(connection, READ, 0.01))) == 0
        connection.drop()
        loop.close()
        return waited
    if how == "forget":
        connection.__del__()
    else:
        connection.drop()
    return connection.sock.fileno() == -1


# ── threads and tasks ──


def test_thread_has_the_context_and_its_outcome_comes_back(name: str) -> None:
    here: contextvars.ContextVar[str] = contextvars.ContextVar("here")

    async def main() -> None:
        here.set("set by the task")
        assert await io().in_thread(here.get) == "set by the task"
        with pytest.raises(ZeroDivisionError):
            await io().in_thread(divmod, 1, 0)

    on(name, main())


def test_neither_a_cancelled_task_nor_the_end_of_the_loop_waits_for_a_thread(name: str) -> None:
    released = threading.Event()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(io().in_thread(released.wait, 10.0), 0.02)

    begun = time.monotonic()
    on(name, main())
    assert time.monotonic() - begun < 5.0
    released.set()


def test_task_outlives_the_one_that_started_it(name: str) -> None:
    async def main() -> None:
        done = asyncio.Event()
        asked = io()

        async def work() -> None:
            await asked.sleep(Sleep(0.02))
            done.set()

        async def start() -> None:
            asked.start_task(work)

        await asyncio.ensure_future(start())
        gc.collect()
        await asyncio.wait_for(done.wait(), 5.0)

    on(name, main())


# ── calls ──


def test_calls_streams_and_long_bodies(name: str) -> None:
    async def main(url: str) -> None:
        async with client(url, max_connections=2) as made:

            async def each() -> None:
                assert (await made.call(IRIS)).body == b"abc"
                assert (
                    await made.call(InvokeEndpoint(endpoint_name="e", body=bytes(3_000_000)))
                ).body == b"abc"
                async with made.stream(STREAMED) as stream:
                    assert [piece async for piece in stream.bytes()]

            await asyncio.gather(*(each() for _ in range(6)))

    with acting(answering) as stage:
        on(name, main(stage.url))


def test_one_client_on_several_loops_and_several_loops_at_once(name: str) -> None:
    async def main(shared: AsyncClient | None, leave_open: bool = False) -> None:
        made = shared or client(stage.url)
        for _ in range(20):
            await made.call(IRIS)
        if not leave_open:
            made.close()
        done.append(True)

    done: list[bool] = []
    with acting(answering) as stage:
        shared = client(stage.url)
        for leave_open in (False, True, True, False):
            on(name, main(shared, leave_open))
        assert stage.connections == 2, "an open connection goes along to the next loop"
        threads = [threading.Thread(target=lambda: on(name, main(None))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(done) == 8


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="this system does not say which files are open"
)
def test_closed_loop_leaves_no_descriptor(name: str) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    def round_() -> None:
        made = client(stage.url)
        on(name, made.call(IRIS))
        made.close()

    with acting(answering) as stage:
        round_()
        time.sleep(0.05)
        before = descriptors()
        for _ in range(5):
            round_()
        time.sleep(0.05)
        assert descriptors() <= before + 2


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are not reused in order there")
def test_polling_thread_ends_though_another_socket_gets_the_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread of a cancelled wait may begin to poll after the socket has been closed."""
    may_poll = threading.Event()
    threads_before = threading.active_count()

    def poll_late(duplicates: list[Connection], mask: int, seconds: float | None) -> int:
        may_poll.wait(5)
        return poll_and_drop(duplicates, mask, seconds)

    async def main() -> None:
        waiting = asyncio.ensure_future(io().wait(Wait(connection, READ, 60.0)))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])

    monkeypatch.setattr(on_asyncio, "poll_and_drop", poll_late)
    with connected() as (connection, _):
        on("without readers", main())
        descriptor = connection.sock.fileno()
        connection.drop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert descriptor in (ours.fileno(), theirs.fileno()), "the number is not used again"
            may_poll.set()
            deadline = time.monotonic() + 2
            while threading.active_count() > threads_before and time.monotonic() < deadline:
                time.sleep(0.01)
            assert threading.active_count() <= threads_before, "the thread polls another socket"
