"""The asynchronous client for asyncio, on any of its loops that can watch a socket (uvloop too): the standard library only.

Non-blocking sockets that the loop watches (`_watch`), neither streams nor protocols: those throw away an answer that came before the
upload failed, take a TLS body that was cut for a whole one, and leave sockets behind when a task is cancelled. Deadlines share one timer
(`_alarm`). Windows' Proactor loop cannot watch sockets; use the selector loop there.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Unpack

from smruntime_core.effects import Sleep

from ._alarm import Alarm
from ._watch import Word, watch
from .client._client import BaseAsyncClient
from .client._settings import WireClientSettings
from .nonblocking._connection import WRITE, Connection
from .nonblocking._waiting import First, Turn, Wait
from .wire._io import AwaitedWireIO, P, T
from .wire._wire import Wire


class AsyncioIO(AwaitedWireIO):
    """Answers effects on the running asyncio loop."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._tasks: set[asyncio.Future[None]] = set()  # the loop itself holds on to none of them
        self._place: _Here | None = None

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread of its own: `asyncio.run` would wait for one of asyncio's executor to end, however long it hangs."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()

        def work() -> None:
            try:
                result = context.run(function, *args, **kwargs)
            except BaseException as error:
                outcome = partial(_fail, answer, error)
            else:
                outcome = partial(_settle, answer, result)
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(outcome)

        threading.Thread(target=work, daemon=True).start()
        return await answer

    def beside(self, do: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(do())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def home(self) -> object:
        return asyncio.get_running_loop()

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    async def shelter(self, do: Callable[[], Awaitable[None]], seconds: float) -> None:
        """asyncio cancels an await, not a task: what is awaited after that goes on."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await do()
        except TimeoutError:
            if not limit.expired():  # a `DispatchFailure` may be one too, and is not ours to keep quiet about
                raise

    async def sleep(self, effect: Sleep, /) -> None:
        await asyncio.sleep(effect.seconds)

    async def wait(self, effect: Wait, /) -> int:
        seconds = effect.seconds
        if seconds == 0:
            await asyncio.sleep(0)
            return effect.connection.poll(effect.mask, 0.0)
        here = self._place  # this is `_here` and `expect` written out, for every call comes by
        if here is None or here.loop is not asyncio.get_running_loop():
            here = self._here()
        sock = effect.connection.sock.fileno()
        ready = Word(loop=here.loop)
        if seconds is not None:
            here.alarm.add(ready, here.loop.time() + seconds)
        try:
            here.sockets.begin(sock, effect.mask, ready)
            return await ready
        finally:
            here.sockets.end(sock)
            here.alarm.remove(ready)

    async def turn(self, effect: Turn, /) -> None:
        here = self._here()
        called = Word(loop=here.loop)
        if effect.place.when_called(partial(here.wake, called)):
            return
        here.expect(called, effect.seconds)
        try:
            await called
        finally:
            here.alarm.remove(called)

    async def first(self, effect: First, /) -> list[Connection]:
        here = self._here()
        socks = [connection.sock.fileno() for connection in effect.connections]
        ready = Word(loop=here.loop)
        here.expect(ready, effect.seconds)
        try:
            for sock in socks:
                here.sockets.begin(sock, WRITE, ready)
            await ready
        finally:
            for sock in socks:
                here.sockets.end(sock)
            here.alarm.remove(ready)
        return [connection for connection in effect.connections if connection.poll(WRITE, 0.0)]

    def close(self) -> None:
        """Leave no timer in the running loop, if this was used on it."""
        place, self._place = self._place, None
        if place is not None and place.loop is _running():
            place.rest()

    def _here(self) -> _Here:
        loop = asyncio.get_running_loop()
        here = self._place
        if here is None or here.loop is not loop:
            here = self._place = _Here(loop)
        return here


class _Here:
    """What a client has on a loop: an alarm, and what watches its sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.sockets = watch(loop)
        self.alarm: Alarm[Word] = Alarm(self._arm, lambda word: loop.call_soon(word.say, 0))
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, word: Word, seconds: float | None) -> None:
        """Have 0 said after so many seconds, unless it is removed from the alarm before."""
        if seconds is not None:
            self.alarm.add(word, self.loop.time() + seconds)

    def wake(self, word: Word) -> None:
        """Have 1 said, at the call of any thread."""
        soon = self.loop.call_soon if _running() is self.loop else self.loop.call_soon_threadsafe
        with suppress(RuntimeError):  # it has been closed: nobody waits any more
            soon(word.say, 1)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.alarm.ring(self.loop.time())

    def rest(self) -> None:
        """Take the alarm's timer back if nobody waits."""
        if self._timer is not None and not len(self.alarm):
            self._timer.cancel()
            self._ring()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _settle(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


class AsyncClient(BaseAsyncClient):
    """SageMaker Runtime on asyncio: takes `Settings` and `WireSettings`.

    Cancelling a call anywhere closes its connection and leaks nothing.
    A client is used on one loop at a time: close it before another loop takes over.
    Raises `ConstructionError` for settings that cannot work.
    """

    Takes = WireClientSettings

    def __init__(self, **settings: Unpack[WireClientSettings]) -> None:
        self._wire = Wire(time.monotonic, settings)
        self._own = AsyncioIO(self._wire)
        super().__init__(settings, self._own)

    def close(self) -> None:
        self._wire.close()
        self._own.close()
