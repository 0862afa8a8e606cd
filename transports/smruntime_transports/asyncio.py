"""The asynchronous client for asyncio, on any of its loops that can watch a socket (uvloop too): the standard library only.

Non-blocking sockets and `add_reader`, neither streams nor protocols: those throw away an answer that came before the upload failed,
take a TLS body that was cut for a whole one, and leave sockets behind when a task is cancelled. Windows' Proactor loop cannot
watch sockets; use the selector loop there.
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

from smruntime_core import Sleep

from ._client import BaseAsyncClient
from ._connection import READ, WRITE, Connection
from ._io import AwaitedWireIO, P, T
from ._settings import WireClientSettings
from ._waits import First, Turn, Wait
from ._wire import Wire

CANNOT_WATCH = "this event loop cannot watch sockets: use asyncio.SelectorEventLoop"


class AsyncioIO(AwaitedWireIO):
    """Answers effects on the running asyncio loop."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._tasks: set[asyncio.Future[None]] = set()  # the loop itself holds on to none of them

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
        loop = asyncio.get_running_loop()
        sock = effect.connection.sock.fileno()
        ready: asyncio.Future[int] = loop.create_future()
        try:
            if effect.mask & READ:
                loop.add_reader(sock, _settle, ready, READ)
            if effect.mask & WRITE:
                loop.add_writer(sock, _settle, ready, WRITE)
        except NotImplementedError:
            raise RuntimeError(CANNOT_WATCH) from None
        try:
            return await _by_then(ready, effect.seconds, 0)
        finally:
            if effect.mask & READ:
                loop.remove_reader(sock)
            if effect.mask & WRITE:
                loop.remove_writer(sock)

    async def turn(self, effect: Turn, /) -> None:
        loop = asyncio.get_running_loop()
        called: asyncio.Future[None] = loop.create_future()
        here = threading.get_ident()

        def wake() -> None:
            if threading.get_ident() == here:
                _settle(called, None)
            else:
                with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                    loop.call_soon_threadsafe(_settle, called, None)

        if not effect.place.when_called(wake):
            await _by_then(called, effect.seconds, None)

    async def first(self, effect: First, /) -> list[Connection]:
        loop = asyncio.get_running_loop()
        open_: list[Connection] = []
        ready: asyncio.Future[None] = loop.create_future()

        def watch(connection: Connection) -> None:
            open_.append(connection)
            loop.remove_writer(connection.sock.fileno())
            _settle(ready, None)

        try:
            for connection in effect.connections:
                loop.add_writer(connection.sock.fileno(), watch, connection)
            await _by_then(ready, effect.seconds, None)
        except NotImplementedError:
            raise RuntimeError(CANNOT_WATCH) from None
        finally:
            for connection in effect.connections:
                loop.remove_writer(connection.sock.fileno())
        return open_


async def _by_then(future: asyncio.Future[T], seconds: float | None, late: T) -> T:
    """What `future` comes to, `late` after so many seconds; at a fraction of what `asyncio.timeout` costs."""
    alarm = None if seconds is None else future.get_loop().call_later(seconds, _settle, future, late)
    try:
        return await future
    finally:
        if alarm is not None:
            alarm.cancel()


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
        super().__init__(settings, AsyncioIO(self._wire))

    def close(self) -> None:
        self._wire.close()
