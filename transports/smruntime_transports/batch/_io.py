"""The IOs of a run: threads, or tasks of an event loop, which make the calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, Self

from ._calls import AsyncCallMaker, CallMaker
from ._checkpoint import Checkpoint
from ._effects import AwaitCalls, NotePostponed, ReadRecords, StartCall, WriteResults
from ._groups import Call, FinishedCall
from ._sinks import ResultWriter

if TYPE_CHECKING:
    import trio


class FileEffects:
    """The effects that both IOs answer alike: results and the checkpoint."""

    def __init__(self, writer: ResultWriter, checkpoint: Checkpoint | None) -> None:
        self._writer = writer
        self._checkpoint = checkpoint

    def write(self, effect: WriteResults) -> None:
        self._writer.write(effect.results)

    def note_sent(self, call: Call) -> None:
        if self._checkpoint is not None and call.group.job is None:
            self._checkpoint.note_sent(call.group)

    def note_postponed(self, effect: NotePostponed) -> None:
        if self._checkpoint is not None:
            self._checkpoint.note_postponed(effect.group, has_run=effect.has_run)


class ThreadIO:
    """Makes each call in a thread; threads are started as they are needed, and reused.

    At the end of a `with` block their calls have ended, except after `KeyboardInterrupt`: the
    threads are daemons, so that the process need not wait for them.
    """

    def __init__(self, records: Iterable[object], files: FileEffects, make_call: CallMaker) -> None:
        self._records: Iterator[object] = iter(records)
        self._files = files
        self._make_call = make_call
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._finished: SimpleQueue[FinishedCall] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._in_flight = 0

    def read_records(self, effect: ReadRecords) -> list[object]:
        return list(islice(self._records, effect.count))

    def start_call(self, effect: StartCall) -> None:
        self._files.note_sent(effect.call)
        self._in_flight += 1
        if self._in_flight > len(self._threads):
            thread = threading.Thread(target=self._work, name="smruntime batch", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._calls.put(effect.call)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                finished = self._make_call(call)
            except BaseException as crash:  # raised where the run is
                finished = FinishedCall(call, crash=crash)
            self._finished.put(finished)

    def await_calls(self, effect: AwaitCalls) -> list[FinishedCall]:
        finished_calls: list[FinishedCall] = []
        with suppress(Empty):
            finished_calls.append(self._finished.get(timeout=effect.timeout))
            while True:
                finished_calls.append(self._finished.get_nowait())
        self._in_flight -= len(finished_calls)
        return _raise_crashes(finished_calls)

    def write_results(self, effect: WriteResults) -> None:
        self._files.write(effect)

    def note_postponed(self, effect: NotePostponed) -> None:
        self._files.note_postponed(effect)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        for _ in self._threads:
            self._calls.put(None)
        if error is None or isinstance(error, Exception):
            for thread in self._threads:
                thread.join()


class TaskGroup(Protocol):
    """The tasks of a run on one event loop; all end with the block of `async with`."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
    def spawn(self, work: Callable[[Call], Awaitable[None]], call: Call) -> None:
        """Start a task that awaits `work(call)`."""
        ...

    def wake(self) -> None:
        """End a wait."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return after `wake`, or `seconds`."""
        ...


class AsyncioTasks:
    """Tasks on asyncio."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[None]] = set()
        self._event = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Callable[[Call], Awaitable[None]], call: Call) -> None:
        task = asyncio.ensure_future(work(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def wake(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


class TrioTasks:
    """Tasks on trio."""

    def __init__(self) -> None:
        import trio

        self._trio = trio
        self._event = trio.Event()
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
            # what ended the block is raised as it is, not in a group
            await self._manager.__aexit__(None, None, None)

    def spawn(self, work: Callable[[Call], Awaitable[None]], call: Call) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(work, call)

    def wake(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        with self._trio.move_on_after(seconds):
            await self._event.wait()
        self._event = self._trio.Event()


class TaskIO:
    """Makes each call in a task of the running event loop."""

    def __init__(
        self,
        records: Iterable[object] | AsyncIterable[object],
        files: FileEffects,
        make_call: AsyncCallMaker,
        tasks: TaskGroup,
    ) -> None:
        self._iterator: Iterator[object] | None = None
        self._async_iterator: AsyncIterator[object] | None = None
        if isinstance(records, AsyncIterable):
            self._async_iterator = aiter(records)
        else:
            self._iterator = iter(records)
        self._files = files
        self._make_call = make_call
        self._tasks = tasks
        self._finished: list[FinishedCall] = []

    async def read_records(self, effect: ReadRecords) -> list[object]:
        if self._iterator is not None:
            return list(islice(self._iterator, effect.count))
        records: list[object] = []
        while self._async_iterator is not None and len(records) < effect.count:
            try:
                records.append(await anext(self._async_iterator))
            except StopAsyncIteration:
                break
        return records

    async def start_call(self, effect: StartCall) -> None:
        self._files.note_sent(effect.call)
        self._tasks.spawn(self._work, effect.call)

    async def _work(self, call: Call) -> None:
        try:
            finished = await self._make_call(call)
        except Exception as crash:  # raised where the run is
            finished = FinishedCall(call, crash=crash)
        self._finished.append(finished)
        self._tasks.wake()

    async def await_calls(self, effect: AwaitCalls) -> list[FinishedCall]:
        if not self._finished:
            await self._tasks.wait(effect.timeout)
        finished_calls, self._finished = self._finished, []
        return _raise_crashes(finished_calls)

    async def write_results(self, effect: WriteResults) -> None:
        self._files.write(effect)

    async def note_postponed(self, effect: NotePostponed) -> None:
        self._files.note_postponed(effect)


def _raise_crashes(finished_calls: list[FinishedCall]) -> list[FinishedCall]:
    """Return the calls, or raise what one of them raised that is no error of a call."""
    for finished in finished_calls:
        if finished.crash is not None:
            raise finished.crash
    return finished_calls
