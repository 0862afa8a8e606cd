"""Which socket is ready, for asyncio: its loops call a function for each that is, for as long as it is.

A wait is over with the first word, so it has to be registered before and taken back after, twice the work of the wait itself. Where there
is epoll we ask one of our own to say so once (`EPOLLONESHOT`), and the loop watches nothing but that one descriptor. The kernel forgets
sockets that are closed. The clients on a loop share an `Epoll`, which the loop holds on to until it is closed; elsewhere `Readers` does as
the loop wants it done.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from weakref import ReferenceType, WeakKeyDictionary, ref

from .nonblocking._connection import READ, WRITE

_ONCE = getattr(select, "EPOLLONESHOT", 0)
CANNOT_WATCH = "this event loop cannot watch sockets: use asyncio.SelectorEventLoop"


def watch(loop: asyncio.AbstractEventLoop) -> Epoll | Readers:
    """What watches sockets on `loop`."""
    known = _EPOLLS.get(loop)
    if known is not None and (epoll := known()) is not None:
        return epoll
    try:
        return Epoll(loop)
    except (AttributeError, OSError):  # there is no such thing here, or no descriptor left for one
        return Readers(loop)
    except NotImplementedError:
        raise RuntimeError(CANNOT_WATCH) from None


class Word(asyncio.Future[int]):
    """What one task waits for, to be said by a callback of the loop's: the task then goes on there and then.

    A future has its task go on in the loop's next round, so that whoever settles it need not be ready for what a task may do. A callback
    of the loop's is, and a round, with its question to the kernel, costs as much as the rest of a wait.
    """

    __slots__ = ("_context", "_wake")  # once somebody waits
    _context: Context
    _wake: Callable[[Word], object]

    def add_done_callback(self, fn: Callable[[Word], object], /, *, context: Context | None = None) -> None:
        """By the task that waits, which there is one of."""
        self._wake, self._context = fn, copy_context() if context is None else context

    def say(self, result: int) -> None:
        """Have `result` come of it, unless something has already. Not for who is part of a task."""
        try:
            self.set_result(result)
            wake = self._wake
        except (asyncio.InvalidStateError, AttributeError):  # nobody waits any more, or yet
            return
        self._context.run(wake, self)

    def cancel(self, msg: object = None) -> bool:
        """By anybody, and so as with any future."""
        cancelled = super().cancel(msg)
        if cancelled and hasattr(self, "_wake"):
            self.get_loop().call_soon(self._wake, self, context=self._context)
        return cancelled


class Epoll:
    """All sockets of a loop, of which one at a time waits for each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._waiting: dict[int, Word] = {}
        loop.add_reader(self._epoll.fileno(), self._look)
        _EPOLLS[loop] = ref(self)

    def begin(self, sock: int, mask: int, ready: Word) -> None:
        """Have `ready` say what `sock` is ready for, if it is for some of `mask`."""
        self._waiting[sock] = ready
        try:
            self._epoll.modify(sock, mask | _ONCE)
        except FileNotFoundError:  # a new one
            self._epoll.register(sock, mask | _ONCE)

    def end(self, sock: int) -> None:
        """Nobody waits for it any more; what is said of it then falls on deaf ears, once."""
        self._waiting.pop(sock, None)

    def _look(self) -> None:
        waiting = self._waiting
        # found out before the first task goes on: it may close a socket, and its number be another's
        said = [(waiting[sock], events) for sock, events in self._epoll.poll(0) if sock in waiting]
        rest: Iterable[tuple[Word, int]] = said
        if len(said) > 1:  # the first task may run the loop itself, or end it, and these were said once
            rest = iter(said)
            said[0][0].get_loop().call_soon(_say, rest)
        _say(rest)


def _say(said: Iterable[tuple[Word, int]]) -> None:
    for word, events in said:
        word.say(events & (READ | WRITE) or READ | WRITE)  # an error or a hang-up shows itself when used


_EPOLLS: WeakKeyDictionary[asyncio.AbstractEventLoop, ReferenceType[Epoll]] = WeakKeyDictionary()


class Readers:
    """The same on loops of any kind."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def begin(self, sock: int, mask: int, ready: Word) -> None:
        try:
            if mask & READ:
                self._loop.add_reader(sock, ready.say, READ)
            if mask & WRITE:
                self._loop.add_writer(sock, ready.say, WRITE)
        except NotImplementedError:
            raise RuntimeError(CANNOT_WATCH) from None

    def end(self, sock: int) -> None:
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)
