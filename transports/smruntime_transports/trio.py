"""The asynchronous client for trio.

A flow over non-blocking sockets yields effects, and `TrioIO` has one method to answer each with
what trio offers: `wait_readable` and `wait_writable` to wait for a socket, `trio.sleep`,
`trio.to_thread`, system tasks.

A deadline is a cancel scope, `trio.move_on_after(seconds)`, around the wait. If it expires, `wait`
replies 0, and the flow makes a timeout error of that. At the end of a run trio cancels what still
runs, but a wait inside a shielded scope goes on until it is over or its deadline passes.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Unpack

try:
    import trio
except ImportError as error:
    remedy = "smruntime_transports.trio needs trio: pip install 'smruntime-core[trio]'"
    raise ImportError(remedy) from error

from smruntime_core.effects import Sleep

from .client._boundary import boundary
from .client._client import AsyncClient as BaseClient
from .client._settings import WireClientSettings
from .nonblocking._connection import READ, WRITE, Connection
from .nonblocking._waiting import Wait, WaitAnyWritable, WaitTurn
from .system._io import AsyncSystem, P, T
from .wire._io import AsyncWireIO


class TrioSystem(AsyncSystem):
    """What trio offers beside connections: sleeping, threads, tasks and shielded scopes."""

    async def sleep(self, effect: Sleep, /) -> None:
        await trio.sleep(effect.seconds)

    async def wait_turn(self, effect: WaitTurn, /) -> None:
        called = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wake() -> None:  # any thread may call this
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(called.set)

        effect.ticket.when_called(wake)
        with _deadline(effect.seconds):
            await called.wait()

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        # in a tuple, since trio refuses functions that return a coroutine, as a user's provider may
        def call() -> tuple[T]:
            return (function(*args, **kwargs),)

        (result,) = await trio.to_thread.run_sync(call, abandon_on_cancel=True)
        return result

    def start_task(self, work: Callable[[], Awaitable[None]]) -> None:
        trio.lowlevel.spawn_system_task(work)  # the caller's nursery would wait for its end

    async def run_shielded(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        with trio.move_on_after(seconds, shield=True):
            await work()

    def current_loop(self) -> object:
        return trio.lowlevel.current_trio_token()


class TrioIO(AsyncWireIO, TrioSystem):
    """The IO over connections on trio."""

    async def wait(self, effect: Wait, /) -> int:
        connection, mask = effect.connection, effect.mask
        if effect.seconds == 0:  # only look, after other tasks have had a turn
            await trio.lowlevel.checkpoint()
            return connection.poll(mask, 0.0)
        with _deadline(effect.seconds):
            if mask == READ:
                await trio.lowlevel.wait_readable(connection.sock)
            elif mask == WRITE:
                await trio.lowlevel.wait_writable(connection.sock)
            else:
                return await _wait_readable_or_writable(connection)
            return mask
        return 0  # the deadline has passed

    async def wait_any_writable(self, effect: WaitAnyWritable, /) -> list[Connection]:
        writable: list[Connection] = []

        async def watch(connection: Connection) -> None:
            await trio.lowlevel.wait_writable(connection.sock)
            writable.append(connection)
            nursery.cancel_scope.cancel()

        with _deadline(effect.seconds):
            async with trio.open_nursery() as nursery:
                for connection in effect.connections:
                    nursery.start_soon(watch, connection)
        return writable


def _deadline(seconds: float | None) -> trio.CancelScope:
    """Return a scope that is cancelled after `seconds`, never if that is None."""
    return trio.move_on_after(math.inf if seconds is None else seconds)


async def _wait_readable_or_writable(connection: Connection) -> int:
    """Wait in two tasks until the first wakes; return what the socket is ready for."""
    ready = 0

    async def watch(wait: Callable[[int], Awaitable[None]], mask: int) -> None:
        nonlocal ready
        await wait(connection.sock.fileno())
        ready |= mask
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, trio.lowlevel.wait_readable, READ)
        nursery.start_soon(watch, trio.lowlevel.wait_writable, WRITE)
    return ready


class AsyncClient(BaseClient, takes_io=False):
    """A client of SageMaker Runtime on trio.

    Cancelling a call anywhere closes its connection and leaks nothing. Settings that cannot work raise `ConstructionError`.
    """

    _adapter = "trio"

    @boundary
    def __init__(self, **settings: Unpack[WireClientSettings]) -> None:
        super().__init__(**settings)
