"""Deadlines on asyncio, and what is left in a loop: nothing, once a client is closed."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from smruntime_core import DispatchFailure, InvokeEndpoint, RetryPolicy, Timeouts
from smruntime_transports.asyncio import AsyncClient, AsyncioIO
from smruntime_transports.nonblocking._connection import READ, WRITE
from smruntime_transports.nonblocking._waiting import First, Place, Turn, Wait
from smruntime_transports.wire._wire import Wire

from .callers import CREDENTIALS, IRIS, STREAMED, connected
from .servers import OK, Peer, acting
from .test_streams import FRAMES, chunked


@pytest.fixture(params=["epoll", "readers"], autouse=True)
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this where there is epoll, and where there is none."""
    if request.param == "readers":
        monkeypatch.delattr(select, "epoll", raising=False)
    elif not hasattr(select, "epoll"):
        pytest.skip("this system has no epoll")


def io() -> AsyncioIO:
    return AsyncioIO(Wire(time.monotonic))


def client(url: str, **settings: Any) -> AsyncClient:
    return AsyncClient(region="us-east-1", endpoint_url=url, credentials=CREDENTIALS, retries=RetryPolicy(max_attempts=1), **settings)


def answering(peer: Peer) -> None:
    while request := peer.read():
        peer.send(chunked(*FRAMES) if b"-response-stream" in request else OK)


def timers() -> int:
    """How many the running loop has that were not taken back."""
    scheduled = getattr(asyncio.get_running_loop(), "_scheduled", ())  # other loops do not say
    return sum(not timer.cancelled() for timer in scheduled)


def test_given_up_in_order_and_soon_after_its_moment() -> None:
    async def wait(asked: AsyncioIO, seconds: float) -> None:
        begun = time.monotonic()
        with connected() as (connection, _):
            assert await asked.wait(Wait(connection, READ, seconds)) == 0
        late.append(seconds)
        assert seconds <= time.monotonic() - begun < seconds + 0.5

    async def main() -> None:
        asked = io()
        await asyncio.gather(*(wait(asked, 0.02 * (1 + number * 7 % 10)) for number in range(10)))
        assert timers() == 0

    late: list[float] = []
    asyncio.run(main())
    assert late == sorted(late)


@pytest.mark.parametrize("seconds", [None, 10.0, 0.0])
def test_what_is_ready_in_time(seconds: float | None) -> None:
    async def main() -> None:
        with connected() as (connection, theirs):
            if seconds == 0.0:
                assert await io().wait(Wait(connection, READ, seconds)) == 0
            theirs.send(b"x")
            asked = io()
            assert await asked.wait(Wait(connection, READ, seconds)) == READ
            assert await asked.wait(Wait(connection, READ | WRITE, seconds)) in (READ, WRITE, READ | WRITE)
            assert await asked.first(First((connection,), 10.0)) == [connection]

    asyncio.run(main())


def test_the_first_of_several() -> None:
    async def main() -> None:
        with connected() as (one, _), connected() as (two, end):
            for connection in (one, two):
                with suppress(BlockingIOError):
                    while True:
                        connection.sock.send(bytes(65536))
            assert await io().first(First((one, two), 0.02)) == []
            asyncio.get_running_loop().call_later(0.02, end.recv, 1 << 24)
            assert await io().first(First((one, two), 10.0)) == [two]

    asyncio.run(main())


def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    async def main() -> None:
        asked = io()
        with connected() as (connection, _):
            for effect in (Wait(connection, READ, 10.0), Turn(Place(), 10.0)):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asked.wait(effect) if isinstance(effect, Wait) else asked.turn(effect), 0.01)
        assert asked._place is not None
        assert not len(asked._place.alarm)
        asked.close()
        assert timers() == 0

    asyncio.run(main())


def test_called_in_the_loop_from_a_thread_and_not_at_all() -> None:
    async def main() -> None:
        asked = io()
        for call in (lambda place: place.call(), lambda place: threading.Thread(target=place.call).start()):
            place = Place()
            waiting = asyncio.ensure_future(asked.turn(Turn(place, 60.0)))
            await asyncio.sleep(0)
            call(place)
            await asyncio.wait_for(waiting, 5.0)
        begun = time.monotonic()
        await asked.turn(Turn(Place(), 0.05))
        assert 0.05 <= time.monotonic() - begun < 1.0

    asyncio.run(main())


def test_no_timer_is_left_by_a_client_that_is_closed_and_one_that_waits_keeps_its() -> None:
    async def main(url: str) -> None:
        async with client(url) as made:
            await made.call(IRIS)
        assert timers() == 0
        asked = io()
        with connected() as (connection, _):
            waiting = asyncio.ensure_future(asked.wait(Wait(connection, READ, 0.05)))
            await asyncio.sleep(0)
            asked.close()
            assert await asyncio.wait_for(waiting, 5.0) == 0
        assert timers() == 0

    with acting(answering) as stage:
        asyncio.run(main(stage.url))


def test_a_silent_server() -> None:
    async def main() -> None:
        async with client(stage.url, timeouts=Timeouts(response=0.05)) as made:
            with pytest.raises(DispatchFailure) as caught:
                await made.call(IRIS)
        assert caught.value.kind == "timeout"

    with acting(lambda peer: peer.idle()) as stage:
        asyncio.run(main())


def test_calls_streams_and_long_bodies() -> None:
    async def main(url: str) -> None:
        async with client(url, max_connections=2) as made:

            async def each() -> None:
                assert (await made.call(IRIS)).body == b"abc"
                assert (await made.call(InvokeEndpoint(endpoint_name="e", body=bytes(3_000_000)))).body == b"abc"
                async with made.stream(STREAMED) as stream:
                    assert [piece async for piece in stream.bytes()]

            await asyncio.gather(*(each() for _ in range(6)))

    with acting(answering) as stage:
        asyncio.run(main(stage.url))


def test_one_client_on_several_loops_and_several_loops_at_once() -> None:
    async def main(shared: AsyncClient | None) -> None:
        async with shared or client(stage.url) as made:
            for _ in range(20):
                await made.call(IRIS)
        done.append(True)

    def run() -> None:
        asyncio.run(main(None))

    done: list[bool] = []
    with acting(answering) as stage:
        shared = client(stage.url)
        for _ in range(3):
            asyncio.run(main(shared))
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(done) == 7


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="this system does not say which files are open")
def test_a_loop_that_is_closed_leaves_no_descriptor() -> None:
    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    def round_() -> None:
        made = client(stage.url)
        asyncio.run(main(made))
        made.close()

    async def main(made: AsyncClient) -> None:
        await made.call(IRIS)

    with acting(answering) as stage:
        round_()
        time.sleep(0.05)
        before = descriptors()
        for _ in range(5):
            round_()
        time.sleep(0.05)
        assert descriptors() <= before + 2
