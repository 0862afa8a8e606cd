"""The asynchronous client for trio: structured cancellation, no threads but for names and files.

A deadline of a wait is no cancel scope, which costs as much as the wait itself, but an entry in the run's alarm (`_alarm`), which says
of the socket that it is closing: trio wakes who waits for it. The alarm sleeps in a system task, from the first wait that has a deadline
until it has rung for nobody. It holds up no end of a run, and goes when the last client that has something to wait for is left.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Unpack

try:
    import trio
except ImportError as error:
    raise ImportError("smruntime_transports.trio needs trio: pip install 'smruntime-core[trio]'") from error

from smruntime_core.effects import Sleep

from ._alarm import Alarm
from .client._client import BaseAsyncClient
from .client._settings import WireClientSettings
from .connect._tls_in_tls import Sock
from .nonblocking._connection import READ, WRITE, Connection
from .nonblocking._waiting import First, Turn, Wait
from .wire._io import AwaitedWireIO, P, T
from .wire._wire import Wire


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
        sock, mask, seconds = effect.connection.sock, effect.mask, effect.seconds
        if seconds is None:
            return await _READY[mask](sock) or mask
        if seconds == 0:
            await trio.lowlevel.checkpoint()
            return effect.connection.poll(mask, 0.0)
        if mask == READ | WRITE:  # by tasks that have yet to begin: an alarm that rings before they do would wake nobody
            return await _either(sock, seconds)
        alarm = _alarm()
        alarm.add(sock, trio.current_time() + seconds)
        try:
            if not alarm.over:
                return await _READY[mask](sock) or mask
            with trio.move_on_after(seconds):
                return await _READY[mask](sock) or mask
        except trio.ClosedResourceError:  # says the alarm; nobody else has it
            pass
        finally:
            alarm.remove(sock)
        return 0

    async def turn(self, effect: Turn, /) -> None:
        called = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wake() -> None:
            if _running() is token:
                called.set()
            else:
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


async def _either(sock: Sock, seconds: float | None = None) -> int:
    """Until `sock` is readable or writable: the first of two tasks to wake says which; 0 if `seconds` passed first."""
    ready = 0

    async def first(mask: int) -> None:
        nonlocal ready
        await _READY[mask](sock)
        ready |= mask
        nursery.cancel_scope.cancel()

    with trio.move_on_after(_limit(seconds)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first, READ)
            nursery.start_soon(first, WRITE)
    return ready


_READY: dict[int, Callable[[Sock], Awaitable[int | None]]] = {
    READ: trio.lowlevel.wait_readable,
    WRITE: trio.lowlevel.wait_writable,
    READ | WRITE: _either,
}


class _RunAlarm(Alarm[Sock]):
    """The alarm of a run, in a task of its own while it is armed.

    It is `over` when the run is, but for who is shielded from that: who waits then is given up, who waits later needs a cancel scope.
    """

    def __init__(self) -> None:
        super().__init__(self._arm_task, _give_up)
        self.over = False
        self._scope: trio.CancelScope | None = None
        self._gone = trio.Event()

    def _arm_task(self, when: float) -> None:
        if self._scope is not None:
            self._scope.deadline = when
        elif not self.over:
            scope, gone = trio.CancelScope(deadline=when), trio.Event()
            try:
                trio.lowlevel.spawn_system_task(self._sleep, scope, gone)
            except RuntimeError:  # no task comes into a run that only has left-over generators to end
                self.over = True
            else:
                self._scope, self._gone = scope, gone

    async def _sleep(self, scope: trio.CancelScope, gone: trio.Event) -> None:
        try:
            with scope:
                await trio.sleep_forever()
        except trio.Cancelled:
            self.over = True
            self.ring(math.inf)
            raise
        finally:
            self._scope = None
            self.disarmed()
            gone.set()
        self.ring(trio.current_time())

    async def dismiss(self) -> None:
        """Have the task end if nobody waits, and wait for that."""
        if self._scope is not None and not len(self):
            self._scope.cancel()
            with trio.CancelScope(shield=True):
                await self._gone.wait()


def _give_up(sock: Sock) -> None:
    """Whoever waits for it need not any more."""
    with suppress(OSError):  # it has been closed, and nobody does
        trio.lowlevel.notify_closing(sock)


_ALARM: trio.lowlevel.RunVar[_RunAlarm] = trio.lowlevel.RunVar("smruntime_transports alarm")


def _alarm() -> _RunAlarm:
    """That of this run."""
    try:
        return _ALARM.get()
    except LookupError:
        alarm = _RunAlarm()
        _ALARM.set(alarm)
        return alarm


def _running() -> object:
    """What stands for the run that calls this; None outside of trio."""
    try:
        return trio.lowlevel.current_trio_token()
    except RuntimeError:
        return None


def _limit(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


class AsyncClient(BaseAsyncClient):
    """SageMaker Runtime on trio: takes `Settings` and `WireSettings`.

    Cancelling a call anywhere closes its connection and leaks nothing.
    Raises `ConstructionError` for settings that cannot work.
    """

    Takes = WireClientSettings

    def __init__(self, **settings: Unpack[WireClientSettings]) -> None:
        self._wire = Wire(time.monotonic, settings)
        super().__init__(settings, TrioIO(self._wire))

    def close(self) -> None:
        self._wire.close()

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await _alarm().dismiss()
