"""The asynchronous client for trio.

A flow over non-blocking sockets yields effects, and `TrioIO` has one method to answer each with
what trio offers: `wait_readable` and `wait_writable` to wait for a socket, `trio.sleep`,
`trio.to_thread`, system tasks.

A deadline is a cancel scope, `trio.move_on_after(seconds)`, around one wait. When it expires, trio
cancels the wait, `wait` returns 0, and the flow raises a timeout error. A cancellation by the
caller is different: `trio.Cancelled` leaves `wait` and closes the flow, and so the connection.

At the end of a run trio cancels what still runs, but a wait inside a shielded scope goes on until
it is over or its deadline passes.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Unpack

try:
    import trio
except ImportError as _error:
    _INSTALL_HINT: str = "smruntime_transports.trio needs trio: pip install 'smruntime-core[trio]'"
    raise ImportError(_INSTALL_HINT) from _error

from smruntime_core.effects import Sleep

from .client._boundary import boundary
from .client._client import AsyncClient as BaseClient
from .client._settings import WireClientSettings
from .nonblocking._connection import READ, WRITE, Connection
from .nonblocking._waiting import Wait, WaitAnyWritable, WaitTurn
from .system._io import AsyncSystem, P, T
from .wire._io import AsyncWireIO


class TrioSystem(AsyncSystem):
    """The effects that need no connection: sleeping, threads, tasks and shielded scopes."""

    async def sleep(self, effect: Sleep, /) -> None:
        """Sleep for `effect.seconds`."""
        await trio.sleep(effect.seconds)

    async def wait_turn(self, effect: WaitTurn, /) -> None:
        """Wait until the ticket is called, or the deadline passes."""
        turn_event = trio.Event()
        trio_token = trio.lowlevel.current_trio_token()

        def wake_task() -> None:  # any thread may call this
            with suppress(trio.RunFinishedError):
                trio_token.run_sync_soon(turn_event.set)

        effect.ticket.when_called(wake_task)
        with _deadline_scope(effect.seconds):
            await turn_event.wait()

    async def checkpoint(self) -> None:
        """Let other tasks run."""
        await trio.lowlevel.checkpoint()

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread, which a cancelled task does not wait for."""

        # in a tuple, since trio refuses functions that return a coroutine, as a user's provider may
        def call_function() -> tuple[T]:
            return (function(*args, **kwargs),)

        (result,) = await trio.to_thread.run_sync(call_function, abandon_on_cancel=True)
        return result

    def start_task(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` in a task that outlives the current one."""
        trio.lowlevel.spawn_system_task(work)  # the caller's nursery would wait for its end

    async def run_shielded(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Run `work` for at most `seconds`, even if the current task is being cancelled."""
        with trio.move_on_after(seconds, shield=True):
            await work()

    def current_loop(self) -> object:
        """Return the token of the running trio."""
        return trio.lowlevel.current_trio_token()


class TrioIO(AsyncWireIO, TrioSystem):
    """The IO over connections on trio."""

    async def wait(self, effect: Wait, /) -> int:
        """Return what the socket is ready for, 0 if the deadline passes first."""
        connection, mask = effect.connection, effect.mask
        if effect.seconds == 0:  # only look, after other tasks have had a turn
            await trio.lowlevel.checkpoint()
            return connection.poll(mask, 0.0)
        with _deadline_scope(effect.seconds):
            if mask == READ:
                await trio.lowlevel.wait_readable(connection.sock)
            elif mask == WRITE:
                await trio.lowlevel.wait_writable(connection.sock)
            else:
                return await _wait_readable_or_writable(connection)
            return mask
        return 0  # the deadline has passed

    async def wait_any_writable(self, effect: WaitAnyWritable, /) -> list[Connection]:
        """Return the first connections that are writable, none if the deadline passes first."""
        writable_connections: list[Connection] = []

        async def watch_connection(connection: Connection) -> None:
            await trio.lowlevel.wait_writable(connection.sock)
            writable_connections.append(connection)
            nursery.cancel_scope.cancel()

        with _deadline_scope(effect.seconds):
            async with trio.open_nursery() as nursery:
                for connection in effect.connections:
                    nursery.start_soon(watch_connection, connection)
        return writable_connections


def _deadline_scope(seconds: float | None) -> trio.CancelScope:
    """Return a scope that is cancelled after `seconds`, never if that is None."""
    return trio.move_on_after(math.inf if seconds is None else seconds)


async def _wait_readable_or_writable(connection: Connection) -> int:
    """Wait in two tasks until the first wakes; return what the socket is ready for."""
    ready_for = 0

    async def watch_connection(
        wait_until_ready: Callable[[int], Awaitable[None]], mask: int
    ) -> None:
        nonlocal ready_for
        await wait_until_ready(connection.sock.fileno())
        ready_for |= mask
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_connection, trio.lowlevel.wait_readable, READ)
        nursery.start_soon(watch_connection, trio.lowlevel.wait_writable, WRITE)
    return ready_for


class AsyncClient(BaseClient, takes_io=False):
    """A client of SageMaker Runtime on trio.

    Cancelling a call anywhere closes its connection and leaks nothing. Settings that cannot work
    raise `ConstructionError`.
    """

    _adapter = "trio"

    @boundary
    def __init__(self, **settings: Unpack[WireClientSettings]) -> None:
        super().__init__(**settings)
