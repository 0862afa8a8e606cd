"""Which socket is ready, for asyncio: its loops call a function for each that is, for as long as it is.

A wait is over with the first word, so it has to be registered before and taken back after, twice the work of the wait itself. Where there
is epoll we ask one of our own to say so once (`EPOLLONESHOT`), and the loop watches nothing but that one descriptor. The kernel forgets
sockets that are closed. The clients on a loop share an `Epoll`, which the loop holds on to until it is closed; elsewhere `Readers` does as
the loop wants it done.
"""

from __future__ import annotations

import asyncio
import select
from typing import TypeVar
from weakref import ReferenceType, WeakKeyDictionary, ref

from ._connection import READ, WRITE

T = TypeVar("T")

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


class Epoll:
    """All sockets of a loop, of which one at a time waits for each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._waiting: dict[int, asyncio.Future[int]] = {}
        loop.add_reader(self._epoll.fileno(), self._look)
        _EPOLLS[loop] = ref(self)

    def begin(self, sock: int, mask: int, ready: asyncio.Future[int]) -> None:
        """Have `ready` say what `sock` is ready for, if it is for some of `mask`."""
        self._waiting[sock] = ready
        try:
            self._epoll.modify(sock, mask | select.EPOLLONESHOT)
        except FileNotFoundError:  # a new one
            self._epoll.register(sock, mask | select.EPOLLONESHOT)

    def end(self, sock: int) -> None:
        """Nobody waits for it any more; what is said of it then falls on deaf ears, once."""
        self._waiting.pop(sock, None)

    def _look(self) -> None:
        for sock, events in self._epoll.poll(0):
            ready = self._waiting.get(sock)
            if ready is not None:
                settle(ready, events & (READ | WRITE) or READ | WRITE)  # an error or a hang-up shows itself when used


_EPOLLS: WeakKeyDictionary[asyncio.AbstractEventLoop, ReferenceType[Epoll]] = WeakKeyDictionary()


class Readers:
    """The same on loops of any kind."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def begin(self, sock: int, mask: int, ready: asyncio.Future[int]) -> None:
        try:
            if mask & READ:
                self._loop.add_reader(sock, settle, ready, READ)
            if mask & WRITE:
                self._loop.add_writer(sock, settle, ready, WRITE)
        except NotImplementedError:
            raise RuntimeError(CANNOT_WATCH) from None

    def end(self, sock: int) -> None:
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)


def settle(future: asyncio.Future[T], result: T) -> None:
    """Have `result` come of it, unless something has already."""
    if not future.done():
        future.set_result(result)
