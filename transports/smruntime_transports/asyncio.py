"""The asynchronous client for asyncio, on any of its loops (uvloop, for instance).

A flow over non-blocking sockets yields effects, and `AsyncioIO` has one method to answer each. To
wait for a socket, `_await_ready` creates a future, lets the loop's reader or writer of the
socket set its result to what the socket is ready for, and awaits it.

A deadline is a timer: `loop.call_later(seconds, ...)` sets the future's result to 0, and the flow
raises a timeout error. When the wait ends the timer is cancelled. (uvloop rounds to milliseconds,
so a deadline may come half a millisecond early.) A cancellation is different: `CancelledError`
leaves the await and closes the flow, which closes the connection.

Adding and removing a reader for each wait makes a call 20 % slower (117 µs instead of 97), so a
connection has a `_SocketWatcher`, which keeps its reader until the connection is closed. Writers
are rarely needed and are added for one wait. Windows' default loop has neither readers nor writers;
there a thread polls the socket.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Unpack

from smruntime_core.effects import Sleep

from .client._boundary import boundary
from .client._client import AsyncClient as BaseClient
from .client._settings import WireClientSettings
from .nonblocking._connection import READ, WRITE, Connection, poll_and_drop
from .nonblocking._waiting import Wait, WaitAnyWritable, WaitTurn
from .system._io import AsyncSystem, P, T
from .wire._io import AsyncWireIO


class AsyncioSystem(AsyncSystem):
    """The effects that need no connection: sleeping, threads and tasks."""

    def __init__(self) -> None:
        super().__init__()
        # a loop keeps only weak references to its tasks
        self._background_tasks: set[asyncio.Future[None]] = set()

    async def sleep(self, effect: Sleep, /) -> None:
        """Sleep for `effect.seconds`."""
        await asyncio.sleep(effect.seconds)

    async def wait_turn(self, effect: WaitTurn, /) -> None:
        """Wait until the ticket is called, or the deadline passes."""
        running_loop = asyncio.get_running_loop()
        turn_future = running_loop.create_future()

        def wake_task() -> None:  # any thread may call this
            with suppress(RuntimeError):  # the loop is closed
                running_loop.call_soon_threadsafe(_set_result, turn_future, 0)

        effect.ticket.when_called(wake_task)
        await _result_within(turn_future, effect.seconds)

    async def checkpoint(self) -> None:
        """Let other tasks run."""
        await asyncio.sleep(0)

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread, which a cancelled task does not wait for.

        It is a daemon thread: `asyncio.run` waits at its end for those of `asyncio.to_thread`. In a
        browser, which has no threads, the function blocks.
        """
        if sys.platform == "emscripten":
            return function(*args, **kwargs)
        thread_future: concurrent.futures.Future[T] = concurrent.futures.Future()
        # a cancelled task stops waiting; the thread goes on
        thread_future.set_running_or_notify_cancel()
        caller_context = contextvars.copy_context()

        def call_function() -> None:
            try:
                thread_future.set_result(caller_context.run(function, *args, **kwargs))
            except BaseException as error:
                thread_future.set_exception(error)

        threading.Thread(target=call_function, daemon=True).start()
        return await asyncio.wrap_future(thread_future)

    def start_task(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` in a task that outlives the current one."""
        background_task = asyncio.ensure_future(work())
        self._background_tasks.add(background_task)
        background_task.add_done_callback(self._background_tasks.discard)

    async def run_shielded(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Run `work` for at most `seconds`, even if the current task is being cancelled.

        No shield is needed: cancelling a task ends one await, and later ones run as usual.
        """
        time_limit = asyncio.timeout(seconds)
        try:
            async with time_limit:
                await work()
        except TimeoutError:
            if not time_limit.expired():  # it is an error of `work`
                raise

    def current_loop(self) -> object:
        """Return the running loop."""
        return asyncio.get_running_loop()


class AsyncioIO(AsyncWireIO, AsyncioSystem):
    """The IO over connections on the running asyncio loop."""

    async def wait(self, effect: Wait, /) -> int:
        """Return what the socket is ready for, 0 if the deadline passes first."""
        if effect.seconds == 0:  # only look, after other tasks have had a turn
            await asyncio.sleep(0)
            return effect.connection.poll(effect.mask, 0.0)
        return await self._await_ready(effect.mask, effect.seconds, effect.connection)

    async def wait_any_writable(self, effect: WaitAnyWritable, /) -> list[Connection]:
        """Return the connections that are writable, none if the deadline passes first."""
        await self._await_ready(WRITE, effect.seconds, *effect.connections)
        return [connection for connection in effect.connections if connection.poll(WRITE, 0.0)]

    async def _await_ready(self, mask: int, seconds: float | None, *connections: Connection) -> int:
        """Return what one of `connections` is ready for (some of `mask`), 0 after `seconds`."""
        running_loop = asyncio.get_running_loop()
        ready_future: asyncio.Future[int] = running_loop.create_future()
        socket_watchers = [_watcher_of(connection, running_loop) for connection in connections]
        try:
            for socket_watcher in socket_watchers:
                socket_watcher.start_wait(ready_future, mask)
            return await _result_within(ready_future, seconds)
        except NotImplementedError:  # by `add_reader` or `add_writer`
            return await self._poll_any(mask, seconds, *connections)
        finally:
            for socket_watcher in socket_watchers:
                socket_watcher.end_wait(mask)

    async def _poll_any(self, mask: int, seconds: float | None, *connections: Connection) -> int:
        """Poll in a thread, for loops that cannot watch sockets."""
        duplicates = [connection.duplicate() for connection in connections]
        try:
            return await self.in_thread(poll_and_drop, duplicates, mask, seconds)
        except asyncio.CancelledError:
            for connection in connections:
                connection.hang_up()  # so that the thread ends
            raise


async def _result_within(future: asyncio.Future[int], seconds: float | None) -> int:
    """Return the result of `future`, 0 if it has none after `seconds`."""
    if seconds is None:
        return await future
    deadline_timer = future.get_loop().call_later(seconds, _set_result, future, 0)
    try:
        return await future
    finally:
        deadline_timer.cancel()


def _set_result(future: asyncio.Future[int], result: int) -> None:
    if not future.done():
        future.set_result(result)


class _SocketWatcher:
    """The reader of a connection's socket on a loop, and its writer during a wait.

    The loop owns it, so it has only a weak reference to the connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self._connection_reference = weakref.ref(connection)
        self._descriptor = connection.sock.fileno()
        self._process_id = os.getpid()
        self._ready_future: asyncio.Future[int] | None = None
        self._has_reader = False

    def start_wait(self, ready_future: asyncio.Future[int], mask: int) -> None:
        """Set the result of `ready_future` when the socket is ready for some of `mask`."""
        if mask & READ:
            self._ready_future = ready_future
            if not self._has_reader:
                self.loop.add_reader(self._descriptor, self._on_readable)
                self._has_reader = True
        if mask & WRITE:
            self.loop.add_writer(self._descriptor, _set_result, ready_future, WRITE)

    def end_wait(self, mask: int) -> None:
        """Stop setting the future of the wait; stop watching for `WRITE` if that was in `mask`."""
        self._ready_future = None
        if mask & WRITE:
            with suppress(RuntimeError):  # the loop is closed, or cannot watch sockets
                self.loop.remove_writer(self._descriptor)

    def _on_readable(self) -> None:
        """End the wait. The loop calls this for as long as there is something to read."""
        connection = self._connection_reference()
        if connection is None or not connection.poll(READ, 0.0):
            return  # a selector loop calls once more, since it looked before the task has read
        if self._ready_future is not None:
            _set_result(self._ready_future, READ)
        else:  # nothing waits for it; the next wait adds the reader again
            self.loop.remove_reader(self._descriptor)
            self._has_reader = False

    def release(self, close: Callable[[], None]) -> None:
        """Remove the reader before closing, or the next socket with this descriptor inherits it."""
        if self._process_id != os.getpid():  # a forked child shares its parent's epoll
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


def _watcher_of(connection: Connection, loop: asyncio.AbstractEventLoop) -> _SocketWatcher:
    """Return the connection's watcher on `loop`, in place of one on a former loop."""
    socket_watcher = connection.watcher
    if isinstance(socket_watcher, _SocketWatcher):
        if socket_watcher.loop is loop:
            return socket_watcher
        socket_watcher.release(lambda: None)
    connection.watcher = socket_watcher = _SocketWatcher(loop, connection)
    return socket_watcher


class AsyncClient(BaseClient, takes_io=False):
    """A client of SageMaker Runtime on asyncio.

    Cancelling a call anywhere closes its connection and leaks nothing. A client is used on one loop
    at a time: close it before another loop takes over. Settings that cannot work raise
    `ConstructionError`.
    """

    _adapter = "asyncio"

    @boundary
    def __init__(self, **settings: Unpack[WireClientSettings]) -> None:
        super().__init__(**settings)
