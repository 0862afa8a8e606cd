"""The addresses of a name, within the caller's time.

`getaddrinfo` has no timeout and may hang, so it runs in a daemon thread of our own, on every transport:
`asyncio.run` and trio would wait for a lookup in one of their threads to end. Calls that ask for the
same name at the same time share one lookup. A thread that hangs is left behind, at most one a name.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import TypeAlias

from smruntime_core.effects import Flow

from ..nonblocking._waiting import Latch, WaitTurn

Address: TypeAlias = "tuple[socket.AddressFamily, tuple[object, ...]]"
Key: TypeAlias = "tuple[int, str, int]"  # process, host and port
NUMERIC = socket.AI_NUMERICHOST


def system(host: str, port: int, flags: int = 0) -> list[Address]:
    """Return the addresses that the system's resolver finds; empty if it finds none.

    It gets the name in bytes, since text costs an import of 2 ms (encodings.idna).
    """
    try:
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        return []
    return [(family, address) for family, _, _, _, address in found]


class Lookup(Latch):
    """One question that is being asked; it opens with the answer."""

    answer: list[Address] | None = None

    def answered(self, answer: list[Address]) -> None:
        """Wake all callers with the addresses."""
        self.answer = answer
        self.open()


class Resolver:
    """Looks names up by `look` (host and port in, addresses out)."""

    def __init__(self, look: Callable[[str, int], list[Address]] = system) -> None:
        self._look = look
        self._under_way: dict[Key, Lookup] = {}

    def addresses(self, host: str, port: int, seconds: float | None) -> Flow[list[Address] | None]:
        """Return the addresses of `host`, empty if it has none; None after `seconds`."""
        if numeric := system(host, port, NUMERIC):
            return numeric
        lookup = self._ask(host, port)
        yield from WaitTurn(lookup.join(), seconds)
        return lookup.answer

    def _ask(self, host: str, port: int) -> Lookup:
        key = os.getpid(), host, port  # a forked child has none of its parent's threads
        made, settled = Lookup(), False
        try:
            lookup = self._under_way.setdefault(key, made)
            if lookup is made:
                self._start(made, key)
            settled = True
            return lookup
        except RuntimeError:  # no more threads can be started
            return made
        finally:
            if not settled:  # the same, or an interrupt
                self._answer(made, key, [])

    def _start(self, lookup: Lookup, key: Key) -> None:
        def look() -> None:
            answer: list[Address] = []
            try:
                answer = self._look(*key[1:])
            finally:
                self._answer(lookup, key, answer)

        threading.Thread(target=look, name="smruntime-lookup", daemon=True).start()

    def _answer(self, lookup: Lookup, key: Key, answer: list[Address]) -> None:
        if self._under_way.get(key) is lookup:
            del self._under_way[key]
        lookup.answered(answer)
