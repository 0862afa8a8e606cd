"""Waits and deadlines on trio, on its own clock and a mock one; nothing stays behind in a run."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
import trio.testing

from smruntime_core import DispatchFailure, RetryPolicy, Timeouts
from smruntime_transports.nonblocking._connection import READ, WRITE, Connection
from smruntime_transports.nonblocking._waiting import Ticket, Wait, WaitAnyWritable, WaitTurn
from smruntime_transports.trio import AsyncClient, TrioIO
from smruntime_transports.wire._wire import Wire

from .callers import CREDENTIALS, IRIS, connected
from .helpers import call_in_thread
from .servers import OK, Peer, acting


def io() -> TrioIO:
    return TrioIO(Wire(time.monotonic))


def client(url: str, **settings: Any) -> AsyncClient:
    return AsyncClient(
        region="us-east-1",
        endpoint_url=url,
        credentials=CREDENTIALS,
        retries=RetryPolicy(max_attempts=1),
        **settings,
    )


def answering(peer: Peer) -> None:
    while peer.read():
        peer.send(OK)


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def on_mock_time(main: Callable[[trio.testing.MockClock], Any]) -> None:
    clock = trio.testing.MockClock()
    trio.run(main, clock, clock=clock)


@pytest.mark.parametrize("mask", [READ, WRITE, READ | WRITE])
def test_wait_ends_at_its_deadline_and_not_before(mask: int) -> None:
    async def main(clock: trio.testing.MockClock) -> None:
        replies: list[int] = []

        async def wait() -> None:
            replies.append(await io().wait(Wait(connection, mask, 10.0)))

        with connected(full=True) as (connection, _):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                clock.jump(9.99)
                await trio.testing.wait_all_tasks_blocked()
                assert not replies
                clock.jump(0.01)
                await trio.testing.wait_all_tasks_blocked()
                assert replies == [0]

    on_mock_time(main)


@pytest.mark.parametrize("mask", [READ, READ | WRITE])
@pytest.mark.parametrize("seconds", [None, 10.0, 0.0])
def test_wait_returns_what_is_ready_in_time(mask: int, seconds: float | None) -> None:
    async def main() -> None:
        with connected(full=True) as (connection, theirs):
            theirs.send(b"x")
            assert await io().wait(Wait(connection, mask, seconds)) == READ

    trio.run(main)


def test_wait_whose_deadline_passes_before_its_task_runs_ends() -> None:
    """Another task keeps the run busy past the deadline; which of them is next is random."""

    async def main() -> None:
        with connected(full=True) as (connection, _), trio.fail_after(5):
            for _ in range(12):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(io().wait, Wait(connection, READ | WRITE, 0.001))
                    nursery.start_soon(busy)

    async def busy() -> None:
        time.sleep(0.005)

    trio.run(main)


def test_wait_of_zero_seconds_only_polls() -> None:
    async def main() -> None:
        with connected() as (connection, _):
            assert await io().wait(Wait(connection, READ, 0.0)) == 0

    trio.run(main)


def test_many_waits_end_in_the_order_of_their_deadlines() -> None:
    async def main(clock: trio.testing.MockClock) -> None:
        clock.autojump_threshold = 0.0
        begun, late = trio.current_time(), []

        async def wait(seconds: float) -> None:
            with connected() as (connection, _):
                assert await io().wait(Wait(connection, READ, seconds)) == 0
            late.append(trio.current_time() - begun)
            assert seconds <= late[-1] < seconds + 1e-6

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(wait, 1.0 + number * 37 % 100)
        assert late == sorted(late)

    on_mock_time(main)


def test_cancelled_waits_leave_no_task() -> None:
    async def main() -> None:
        before = tasks()
        with connected(full=True) as (connection, _):
            for mask in (READ, WRITE, READ | WRITE):
                with trio.move_on_after(0.01) as scope:
                    await io().wait(Wait(connection, mask, 10.0))
                assert scope.cancelled_caught
            with trio.move_on_after(0.01) as scope:
                await io().wait_any_writable(WaitAnyWritable((connection,), None))
            assert scope.cancelled_caught
            with trio.move_on_after(0.01) as scope:
                await io().wait_turn(WaitTurn(Ticket(), 10.0))
            assert scope.cancelled_caught
        assert tasks() == before

    trio.run(main)


def test_first_writable_of_several_is_returned() -> None:
    async def main() -> None:
        with connected(full=True) as (one, _), connected(full=True) as (two, end):
            assert await io().wait_any_writable(WaitAnyWritable((one, two), 0.02)) == []

            async def read() -> None:
                await trio.sleep(0.02)
                end.recv(1 << 24)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                assert await io().wait_any_writable(WaitAnyWritable((one, two), 10.0)) == [two]

    trio.run(main)


def test_hanging_up_in_a_thread_ends_a_wait() -> None:
    async def main() -> None:
        with connected() as (connection, _), trio.fail_after(5.0):
            await trio.to_thread.run_sync(lambda: threading.Timer(0.02, connection.hang_up).start())
            assert await io().wait(Wait(connection, READ, 10.0)) == READ

    trio.run(main)


def test_ticket_is_called_in_the_run_by_a_thread_or_not_at_all() -> None:
    async def main() -> None:
        calls: list[Callable[[Ticket], object]] = [Ticket.call, call_in_thread]
        for call in calls:
            ticket = Ticket()
            with trio.fail_after(5.0):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(io().wait_turn, WaitTurn(ticket, 60.0))
                    await trio.testing.wait_all_tasks_blocked()
                    call(ticket)
        begun = trio.current_time()
        await io().wait_turn(WaitTurn(late, 0.05))
        assert 0.05 <= trio.current_time() - begun < 1.0

    late = Ticket()
    trio.run(main)
    late.call()  # after the run, which is ignored


def test_call_leaves_no_task_and_keeps_no_run_from_ending() -> None:
    async def main(url: str) -> None:
        before = tasks()
        async with client(url) as made:
            await made.call(IRIS)
            assert tasks() == before

    begun = time.monotonic()
    with acting(answering) as stage:
        trio.run(main, stage.url)
        made = client(stage.url)
        trio.run(made.call, IRIS)
        made.close()
    assert time.monotonic() - begun < 5.0


def test_silent_server_times_out_on_mock_time() -> None:
    async def main(clock: trio.testing.MockClock) -> None:
        clock.autojump_threshold = 0.3
        begun = trio.current_time()
        async with client(stage.url, timeouts=Timeouts(response=1000.0)) as made:
            with pytest.raises(DispatchFailure) as caught:
                await made.call(IRIS)
        assert caught.value.kind == "timeout"
        assert 1000.0 <= trio.current_time() - begun < 2000.0

    with acting(lambda peer: peer.idle()) as stage:
        on_mock_time(main)


def test_one_client_in_several_runs_and_several_runs_at_once() -> None:
    async def main(shared: AsyncClient | None) -> None:
        async with shared or client(stage.url) as made:
            for _ in range(20):
                await made.call(IRIS)
            with connected() as (connection, _):
                assert await io().wait(Wait(connection, READ, 0.02)) == 0
        done.append(True)

    done: list[bool] = []
    with acting(answering) as stage:
        shared = client(stage.url)
        for _ in range(3):
            trio.run(main, shared)
        threads = [threading.Thread(target=trio.run, args=(main, None)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(done) == 7


def test_deadline_holds_in_a_generator_that_is_closed_after_the_run() -> None:
    left: list[Any] = []
    replies: list[int] = []

    async def generator() -> AsyncIterator[None]:
        try:
            yield
        finally:
            with trio.CancelScope(shield=True), connected() as (connection, theirs):
                replies.append(await io().wait(Wait(connection, READ, 0.02)))
                theirs.send(b"x")
                replies.append(await io().wait(Wait(connection, READ, 10.0)))

    async def main() -> None:
        left.append(generator())
        await anext(left[0])

    trio.run(main)
    assert replies == [0, READ]


def test_deadline_in_a_shielded_scope_is_waited_out_at_the_end_of_a_run() -> None:
    replies: list[int] = []

    async def last_request(connection: Connection, theirs: socket.socket) -> None:
        with trio.CancelScope(shield=True):
            replies.append(await io().wait(Wait(connection, READ, 0.2)))
            theirs.send(b"x")
            replies.append(await io().wait(Wait(connection, READ, 60.0)))

    async def main(connection: Connection, theirs: socket.socket) -> None:
        trio.lowlevel.spawn_system_task(last_request, connection, theirs)
        await trio.testing.wait_all_tasks_blocked()

    begun = time.monotonic()
    with connected() as pair:
        trio.run(main, *pair)
    assert replies == [0, READ]
    assert 0.2 <= time.monotonic() - begun < 5.0


def test_client_works_in_guest_mode() -> None:
    async def guest(url: str) -> bytes:
        async with client(url) as made:
            with connected() as (connection, _):
                assert await io().wait(Wait(connection, READ, 0.02)) == 0
            return (await made.call(IRIS)).body

    async def host(url: str) -> bytes:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            guest,
            url,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=over.set_result,
        )
        return bytes((await asyncio.wait_for(over, 10.0)).unwrap())

    with acting(answering) as stage:
        assert asyncio.run(host(stage.url)) == b"abc"
