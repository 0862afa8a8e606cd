"""The asynchronous client for asyncio, on any of its loops (uvloop, for instance).

A flow over non-blocking sockets yields effects, and `AsyncioIO` has one method to answer each. To
wait for a socket it creates a future, has the loop's reader or writer of the socket set the
result, and awaits it.

A deadline is a timer: `loop.call_later(seconds, ...)` sets the future's result to 0, of which the
flow makes a timeout error. When the wait ends the timer is cancelled. (uvloop rounds to
milliseconds, so a deadline may be half of one early.)

Adding and removing a reader for each wait makes a call 20 % slower (117 µs instead of 97), so a
connection has a `_Watcher`, which keeps its reader until the connection is closed. Writers are
rarely needed and are added for one wait. Windows' default loop has neither readers nor writers;
there a thread polls the socket.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Unpack

from smruntime_core.effects import Sleep

from .client._boundary import boundary
from .client._client import AsyncClient as BaseClient
from .client._settings import WireClientSettings
from .nonblocking._connection import READ, WRITE, Connection, poll_any
from .nonblocking._waiting import Wait, WaitAnyWritable, WaitTurn
from .system._io import AsyncSystem, P, T
from .wire._io import AsyncWireIO


class AsyncioSystem(AsyncSystem):
    """What asyncio offers beside connections: sleeping, threads and tasks."""

    def __init__(self) -> None:
        super().__init__()
        # a loop keeps only weak references to its tasks
        self._tasks: set[asyncio.Future[None]] = set()

    async def sleep(self, effect: Sleep, /) -> None:
        await asyncio.sleep(effect.seconds)

    async def wait_turn(self, effect: WaitTurn, /) -> None:
        loop = asyncio.get_running_loop()
        called = loop.create_future()

        def wake() -> None:  # any thread may call this
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_resolve, called, 0)

        effect.ticket.when_called(wake)
        await _result_within(called, effect.seconds)

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Use a daemon thread: `asyncio.run` waits at its end for those of `asyncio.to_thread`."""
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        outcome.set_running_or_notify_cancel()  # a cancelled task stops waiting; the thread goes on
        context = contextvars.copy_context()

        def work() -> None:
            try:
                outcome.set_result(context.run(function, *args, **kwargs))
            except BaseException as error:
                outcome.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return await asyncio.wrap_future(outcome)

    def start_task(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run_shielded(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Do without a shield: cancelling a task ends one await, and later ones run as usual."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await work()
        except TimeoutError:
            if not limit.expired():  # it is an error of `work`
                raise

    def current_loop(self) -> object:
        return asyncio.get_running_loop()


class AsyncioIO(AsyncWireIO, AsyncioSystem):
    """The IO over connections on the running asyncio loop."""

    async def wait(self, effect: Wait, /) -> int:
        if effect.seconds == 0:  # only look, after other tasks have had a turn
            await asyncio.sleep(0)
            return effect.connection.poll(effect.mask, 0.0)
        return await self._until_ready(effect.mask, effect.seconds, effect.connection)

    async def wait_any_writable(self, effect: WaitAnyWritable, /) -> list[Connection]:
        await self._until_ready(WRITE, effect.seconds, *effect.connections)
        return [connection for connection in effect.connections if connection.poll(WRITE, 0.0)]

    async def _until_ready(self, mask: int, seconds: float | None, *connections: Connection) -> int:
        """Return what one of `connections` is ready for (some of `mask`), 0 after `seconds`."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[int] = loop.create_future()
        watchers = [_watcher(connection, loop) for connection in connections]
        try:
            for watcher in watchers:
                watcher.start(ready, mask)
            return await _result_within(ready, seconds)
        except NotImplementedError:  # by `add_reader` or `add_writer`
            return await self._block(mask, seconds, *connections)
        finally:
            for watcher in watchers:
                watcher.stop(mask)

    async def _block(self, mask: int, seconds: float | None, *connections: Connection) -> int:
        """Poll in a thread, for loops that cannot watch sockets."""
        try:
            return await self.in_thread(poll_any, connections, mask, seconds)
        except asyncio.CancelledError:
            for connection in connections:
                connection.hang_up()  # so that the thread ends
            raise


async def _result_within(future: asyncio.Future[int], seconds: float | None) -> int:
    """Return the result of `future`, 0 if it has none after `seconds`."""
    timer = None if seconds is None else future.get_loop().call_later(seconds, _resolve, future, 0)
    try:
        return await future
    finally:
        if timer is not None:
            timer.cancel()


def _resolve(future: asyncio.Future[int], result: int) -> None:
    if not future.done():
        future.set_result(result)


class _Watcher:
    """The reader of a connection, and its writer during a wait; not an owner of the connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        self.loop = loop
        self._connection = weakref.ref(connection)
        self._descriptor = connection.sock.fileno()
        self._pid = os.getpid()
        self._waiting: asyncio.Future[int] | None = None
        self._has_reader = False

    def start(self, ready: asyncio.Future[int], mask: int) -> None:
        """Have the loop set the result of `ready` when the socket is ready for some of `mask`."""
        if mask & READ:
            self._waiting = ready
            if not self._has_reader:
                self.loop.add_reader(self._descriptor, self._readable)
                self._has_reader = True
        if mask & WRITE:
            self.loop.add_writer(self._descriptor, _resolve, ready, WRITE)

    def stop(self, mask: int) -> None:
        self._waiting = None
        if mask & WRITE:
            with suppress(RuntimeError):  # the loop is closed, or cannot watch sockets
                self.loop.remove_writer(self._descriptor)

    def _readable(self) -> None:
        """Resolve the wait. The loop calls this for as long as there is something to read."""
        connection = self._connection()
        if connection is None or not connection.poll(READ, 0.0):
            return  # a selector loop calls once more, since it looked before the task has read
        if self._waiting is not None:
            _resolve(self._waiting, READ)
        else:  # nothing waits for it; the next wait adds the reader again
            self.loop.remove_reader(self._descriptor)
            self._has_reader = False

    def release(self, close: Callable[[], None]) -> None:
        """Remove the reader before closing, or the next socket with this descriptor inherits it."""
        if self._pid != os.getpid():  # a forked child shares its parent's epoll
            close()
        elif self.loop.is_running():  # perhaps in another thread
            try:
                self.loop.call_soon_threadsafe(self._remove_reader, close)
            except RuntimeError:  # the loop was closed in between
                close()
        else:
            self._remove_reader(close)

    def _remove_reader(self, close: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed, or cannot watch sockets
            self.loop.remove_reader(self._descriptor)
        close()


def _watcher(connection: Connection, loop: asyncio.AbstractEventLoop) -> _Watcher:
    """Return the connection's watcher on `loop`; it may have one on a former loop."""
    watcher = connection.watcher
    if isinstance(watcher, _Watcher):
        if watcher.loop is loop:
            return watcher
        watcher.release(lambda: None)
    connection.watcher = watcher = _Watcher(loop, connection)
    return watcher


class AsyncClient(BaseClient, takes_io=False):
    """A client of SageMaker Runtime on asyncio.

    Cancelling a call anywhere closes its connection and leaks nothing. A client is used on one loop at a time: close it before another
    loop takes over. Settings that cannot work raise `ConstructionError`.
    """

    _adapter = "asyncio"

    @boundary
    def __init__(self, **settings: Unpack[WireClientSettings]) -> None:
        super().__init__(**settings)
