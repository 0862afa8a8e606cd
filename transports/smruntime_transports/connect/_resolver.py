"""The addresses of a name, within the caller's time.

`getaddrinfo` has no timeout and may hang, so it runs in a daemon thread of our own, on every
transport: `asyncio.run` and trio would wait for a lookup in one of their threads to end. Calls that
ask for the same name at the same time share one lookup. A thread that hangs is left behind, at most
one for each name.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import Final, TypeAlias

from smruntime_core.effects import Flow

from ..nonblocking._waiting import Latch, WaitTurn

Address: TypeAlias = "tuple[socket.AddressFamily, tuple[object, ...]]"
LookUp: TypeAlias = "Callable[[str, int], list[Address]]"
Key: TypeAlias = "tuple[int, str, int]"  # process, host and port
NUMERIC: Final = socket.AI_NUMERICHOST


def system_addresses(host: str, port: int, flags: int = 0) -> list[Address]:
    """Return the addresses that the system's resolver finds; empty if it finds none."""
    try:
        # in bytes, since text costs an import of 2 ms (encodings.idna)
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        return []
    return [(family, address) for family, _, _, _, address in found]


class Lookup(Latch):
    """One lookup that is running; it opens with the addresses."""

    addresses: list[Address] | None = None

    def resolve(self, addresses: list[Address]) -> None:
        """Wake all callers with the addresses."""
        self.addresses = addresses
        self.open()


class Resolver:
    """The resolver of a client, over a function that blocks (`look_up`)."""

    def __init__(self, look_up: LookUp = system_addresses) -> None:
        self._look_up = look_up
        self._running: dict[Key, Lookup] = {}

    def addresses(self, host: str, port: int, seconds: float | None) -> Flow[list[Address] | None]:
        """Return the addresses of `host`, empty if it has none; None after `seconds`."""
        if numeric := system_addresses(host, port, NUMERIC):
            return numeric
        lookup = self._join(host, port)
        yield from WaitTurn(lookup.join(), seconds)
        return lookup.addresses

    def _join(self, host: str, port: int) -> Lookup:
        """Return the running lookup of `host`, or start one."""
        key = os.getpid(), host, port  # a forked child has none of its parent's threads
        created, started = Lookup(), False
        try:
            lookup = self._running.setdefault(key, created)
            if lookup is created:
                self._start(created, key)
            started = True
            return lookup
        except RuntimeError:  # no more threads can be started
            return created
        finally:
            if not started:  # that, or an interrupt
                self._finish(created, key, [])

    def _start(self, lookup: Lookup, key: Key) -> None:
        def look_up() -> None:
            addresses: list[Address] = []
            try:
                addresses = self._look_up(*key[1:])
            finally:
                self._finish(lookup, key, addresses)

        threading.Thread(target=look_up, name="smruntime-lookup", daemon=True).start()

    def _finish(self, lookup: Lookup, key: Key, addresses: list[Address]) -> None:
        if self._running.get(key) is lookup:
            del self._running[key]
        lookup.resolve(addresses)
