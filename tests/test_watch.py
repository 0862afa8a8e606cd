"""Who watches sockets on asyncio, by epoll and by the loop's own means: one word for each wait, and silence after it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import select
import selectors
import socket
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from smruntime_transports._watch import Epoll, Readers, Word, watch
from smruntime_transports.nonblocking._connection import READ, WRITE

KINDS: list[Any] = [
    pytest.param(Epoll, marks=pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")),
    Readers,
]


class Counted(selectors.DefaultSelector):
    """How often the loop looked."""

    looks = 0

    def select(self, timeout: float | None = None) -> Any:
        self.looks += 1
        return super().select(timeout)


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


async def word(sockets: Epoll | Readers, sock: socket.socket, mask: int, seconds: float = 1.0) -> int:
    """What is said of `sock`, 0 if nothing is."""
    ready = Word(loop=asyncio.get_running_loop())
    sockets.begin(sock.fileno(), mask, ready)
    try:
        async with asyncio.timeout(seconds):
            return await ready
    except TimeoutError:
        return 0
    finally:
        sockets.end(sock.fileno())


def on_a_loop(make: Callable[[Any], Epoll | Readers], main: Callable[[Epoll | Readers, Counted], Any]) -> None:
    counted = Counted()

    async def run() -> None:
        await main(make(asyncio.get_running_loop()), counted)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(counted)) as runner:
        runner.run(run())


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_is_ready_for(kind: Any) -> None:
    async def main(sockets: Epoll | Readers, _selector: Counted) -> None:
        with pair() as (ours, theirs):
            assert await word(sockets, ours, WRITE) == WRITE
            assert await word(sockets, ours, READ, 0.02) == 0
            theirs.send(b"x")
            for _turn in range(3):
                assert await word(sockets, ours, READ) == READ
            assert await word(sockets, ours, READ | WRITE) in (READ, WRITE, READ | WRITE)
            assert ours.recv(10) == b"x"
            assert await word(sockets, ours, READ, 0.02) == 0
            theirs.close()
            assert await word(sockets, ours, READ) & READ

    on_a_loop(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_hears_what_is_said_after_a_wait(kind: Any) -> None:
    async def main(sockets: Epoll | Readers, counted: Counted) -> None:
        with pair() as (ours, theirs):
            assert await word(sockets, ours, READ, 0.02) == 0
            theirs.send(b"x")
            looks = counted.looks
            await asyncio.sleep(0.05)
            assert counted.looks - looks < 10, "it spins"
            assert await word(sockets, ours, READ) == READ

    on_a_loop(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_a_closed_socket_is_soon_anothers(kind: Any) -> None:
    async def main(sockets: Epoll | Readers, _selector: Counted) -> None:
        numbers = set()
        for _turn in range(5):
            with pair() as (ours, theirs):
                numbers.add(ours.fileno())
                assert await word(sockets, ours, READ, 0.01) == 0
                theirs.send(b"x")
                assert await word(sockets, ours, READ) == READ
        assert len(numbers) < 5

    on_a_loop(kind, main)


@pytest.mark.parametrize("kind", KINDS)
def test_many_at_once(kind: Any) -> None:
    async def main(sockets: Epoll | Readers, _selector: Counted) -> None:
        pairs = [socket.socketpair() for _ in range(50)]
        waiting = [asyncio.ensure_future(word(sockets, ours, READ)) for ours, _ in pairs]
        await asyncio.sleep(0)
        for _, theirs in pairs[::2]:
            theirs.send(b"x")
        assert await asyncio.gather(*waiting[::2]) == [READ] * 25
        assert not any(task.done() for task in waiting[1::2])
        for _, theirs in pairs:
            theirs.close()
        assert all(await asyncio.gather(*waiting))
        for ours, _ in pairs:
            ours.close()

    on_a_loop(kind, main)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")
def test_one_for_each_loop_and_none_after_it() -> None:
    seen: list[weakref.ref[object]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sockets = watch(loop)
        assert type(sockets) is Epoll
        assert watch(loop) is sockets
        assert not any(sockets is known() for known in seen)
        seen.append(weakref.ref(sockets))

    for _ in range(3):
        asyncio.run(main())
        gc.collect()
        assert seen[-1]() is None


def test_loops_where_there_is_no_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        assert type(watch(asyncio.get_running_loop())) is Readers

    monkeypatch.delattr(select, "epoll", raising=False)
    asyncio.run(main())


def test_loops_that_cannot_watch_say_so() -> None:
    class Proactor:
        def add_reader(self, *_: object) -> None:
            raise NotImplementedError

        add_writer = add_reader

    loop: Any = Proactor()
    with asyncio.Runner() as runner:
        ready = Word(loop=runner.get_loop())
        with pytest.raises(RuntimeError, match="SelectorEventLoop"):
            watch(loop).begin(0, READ, ready)
        for mask in (READ, WRITE):
            with pytest.raises(RuntimeError, match="SelectorEventLoop"):
                Readers(loop).begin(0, mask, ready)


# ── a word ──


@pytest.mark.parametrize("before", [(), ("set",)])
def test_a_task_that_was_told_is_where_it_was(before: tuple[str, ...]) -> None:
    """In its own context, an empty one too: what it sets there is its own."""
    here: contextvars.ContextVar[str] = contextvars.ContextVar("here")

    async def main() -> None:
        async def wait() -> tuple[int, str, str]:
            for value in before:
                here.set(value)
            seen = await word_
            found = here.get("nothing")
            here.set("mine")
            await asyncio.sleep(0)
            return seen, found, here.get()

        loop = asyncio.get_running_loop()
        word_ = Word(loop=loop)
        task = loop.create_task(wait(), context=contextvars.Context())
        await asyncio.sleep(0)
        loop.call_soon(word_.say, 5)
        assert await task == (5, before[0] if before else "nothing", "mine")
        assert here.get("nothing") == "nothing"

    asyncio.run(main())


def test_a_task_that_is_cancelled_hears_nothing() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        word_ = Word(loop=loop)

        async def wait() -> int:
            return await word_

        task = loop.create_task(wait())
        await asyncio.sleep(0)
        task.cancel("enough")
        word_.say(5)
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        said = Word(loop=loop)
        said.say(5)
        said.say(6)
        assert await said == 5

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")
def test_a_task_that_ends_the_loop_takes_no_word_from_others() -> None:
    async def ending(sockets: Epoll | Readers, sock: socket.socket) -> None:
        await word(sockets, sock, READ)
        raise KeyboardInterrupt

    loop = asyncio.new_event_loop()
    sockets, pairs = watch(loop), [socket.socketpair() for _ in range(4)]
    ends = loop.create_task(ending(sockets, pairs[2][0]))
    others = [loop.create_task(word(sockets, ours, READ)) for ours, _ in (*pairs[:2], pairs[3])]
    for _, theirs in pairs:
        loop.call_later(0.01, theirs.send, b"x")
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asyncio.wait((ends, *others)))
    assert loop.run_until_complete(asyncio.gather(*others)) == [READ] * 3
    assert isinstance(ends.exception(), KeyboardInterrupt)
    loop.close()
    for sock in (end for pair in pairs for end in pair):
        sock.close()


class Nesting:
    """A loop that what it calls may run on, as those of desktops and notebooks do."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []

    def get_debug(self) -> bool:
        return False

    def add_reader(self, _fd: int, callback: Callable[[], None]) -> None:
        self.look = callback

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self.soon.append(lambda: callback(*args))

    def run(self) -> None:
        self.look()
        while self.soon:
            self.soon.pop(0)()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")
def test_whoever_hears_a_word_may_run_the_loop_until_others_heard_theirs() -> None:
    loop: Any = Nesting()
    words = Word(loop=loop), Word(loop=loop)
    all_heard: list[bool] = []

    def hear(_: Word) -> None:
        loop.run()
        all_heard.append(all(word_.done() for word_ in words))

    sockets = Epoll(loop)
    with pair() as (first, sends), pair() as (second, sends_too):
        for sock, word_ in ((first, words[0]), (second, words[1])):
            word_.add_done_callback(hear)
            sockets.begin(sock.fileno(), READ, word_)
        sends.send(b"x")
        sends_too.send(b"x")
        loop.run()
    assert all_heard == [True, True]
