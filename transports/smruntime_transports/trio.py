"""The asynchronous client for trio: structured cancellation, no threads but for names and files."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Unpack

try:
    import trio
except ImportError as error:
    raise ImportError("smruntime_transports.trio needs trio: pip install 'smruntime-core[trio]'") from error

from smruntime_core import Sleep

from ._client import BaseAsyncClient
from ._connection import READ, WRITE, Connection
from ._io import AwaitedWireIO, P, T
from ._nested import Sock
from ._settings import WireClientSettings
from ._waits import First, Turn, Wait
from ._wire import Wire


class TrioIO(AwaitedWireIO):
    """Answers effects on trio."""

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a tuple, as trio takes a function that returns a coroutine for a mistake."""
        (answer,) = await trio.to_thread.run_sync(lambda: (function(*args, **kwargs),), abandon_on_cancel=True)
        return answer

    def beside(self, do: Callable[[], Awaitable[None]]) -> None:
        """In a system task: no nursery of a caller's would let it outlive the caller."""
        trio.lowlevel.spawn_system_task(do)

    def home(self) -> object:
        return trio.lowlevel.current_trio_token()

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def shelter(self, do: Callable[[], Awaitable[None]], seconds: float) -> None:
        with trio.move_on_after(seconds, shield=True):
            await do()

    async def sleep(self, effect: Sleep, /) -> None:
        await trio.sleep(effect.seconds)

    async def wait(self, effect: Wait, /) -> int:
        sock = effect.connection.sock
        with trio.move_on_after(_limit(effect.seconds)):
            if effect.mask == READ:
                await trio.lowlevel.wait_readable(sock)
                return READ
            if effect.mask == WRITE:
                await trio.lowlevel.wait_writable(sock)
                return WRITE
            return await _either(sock)
        return 0

    async def turn(self, effect: Turn, /) -> None:
        called = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wake() -> None:
            with suppress(trio.RunFinishedError):  # nobody waits any more
                token.run_sync_soon(called.set)

        if not effect.place.when_called(wake):
            with trio.move_on_after(_limit(effect.seconds)):
                await called.wait()

    async def first(self, effect: First, /) -> list[Connection]:
        open_: list[Connection] = []

        async def watch(connection: Connection) -> None:
            await trio.lowlevel.wait_writable(connection.sock)
            open_.append(connection)
            nursery.cancel_scope.cancel()

        with trio.move_on_after(_limit(effect.seconds)):
            async with trio.open_nursery() as nursery:
                for connection in effect.connections:
                    nursery.start_soon(watch, connection)
        return open_


async def _either(sock: Sock) -> int:
    """Until `sock` is readable or writable: the first of two tasks to wake says which."""
    ready = 0

    async def first(mask: int) -> None:
        nonlocal ready
        await (trio.lowlevel.wait_readable if mask == READ else trio.lowlevel.wait_writable)(sock)
        ready |= mask
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first, READ)
        nursery.start_soon(first, WRITE)
    return ready


def _limit(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


class AsyncClient(BaseAsyncClient):
    """SageMaker Runtime on trio: takes `Settings` and `WireSettings`.

    Cancelling a call anywhere closes its connection and leaks nothing.
    Raises `ConstructionError` for settings that cannot work.
    """

    Takes = WireClientSettings

    def __init__(self, **settings: Unpack[WireClientSettings]) -> None:
        self._wire = Wire(trio.current_time, settings)
        super().__init__(settings, TrioIO(self._wire))

    def close(self) -> None:
        self._wire.close()
