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

from ..nonblocking._socket_errors import raise_if_interrupt
from ..nonblocking._waiting import Latch

Address: TypeAlias = "tuple[socket.AddressFamily, tuple[object, ...]]"
LookUpFunction: TypeAlias = "Callable[[str, int], list[Address]]"
LookupKey: TypeAlias = "tuple[int, str, int]"  # process, host and port
NUMERIC_HOST: Final = socket.AI_NUMERICHOST


def system_addresses(host: str, port: int, resolver_flags: int = 0) -> list[Address]:
    """Return the addresses that the system's resolver finds; empty if it finds none."""
    try:
        # in bytes, since text costs an import of 2 ms (encodings.idna)
        address_infos = socket.getaddrinfo(
            host.encode("ascii"), port, type=socket.SOCK_STREAM, flags=resolver_flags
        )
    except OSError as error:
        raise_if_interrupt(error)
        return []
    except UnicodeError:
        return []
    return [
        (address_family, socket_address)
        for address_family, _, _, _, socket_address in address_infos
    ]


class Lookup(Latch):
    """One lookup that is running; it opens with the addresses."""

    addresses: list[Address] | None = None

    def resolve(self, addresses: list[Address]) -> None:
        """Wake all callers with the addresses."""
        self.addresses = addresses
        self.open()


class Resolver:
    """The resolver of a client, over a function that blocks (`look_up_name`)."""

    def __init__(self, look_up_name: LookUpFunction = system_addresses) -> None:
        self._look_up_name = look_up_name
        self._running_lookups: dict[LookupKey, Lookup] = {}

    def addresses(self, host: str, port: int, seconds: float | None) -> Flow[list[Address] | None]:
        """Return the addresses of `host`, empty if it has none; None after `seconds`."""
        if numeric_addresses := system_addresses(host, port, NUMERIC_HOST):
            return numeric_addresses
        lookup = self._join_lookup(host, port)
        yield from lookup.wait_open(seconds)
        return lookup.addresses

    def _join_lookup(self, host: str, port: int) -> Lookup:
        """Return the running lookup of `host`, or start one."""
        lookup_key = os.getpid(), host, port  # a forked child has none of its parent's threads
        new_lookup, is_started = Lookup(), False
        try:
            lookup = self._running_lookups.setdefault(lookup_key, new_lookup)
            if lookup is new_lookup:
                self._start_lookup(new_lookup, lookup_key)
            is_started = True
            return lookup
        except RuntimeError:  # no more threads can be started
            return new_lookup
        finally:
            if not is_started:  # that, or an interrupt
                self._finish_lookup(new_lookup, lookup_key, [])

    def _start_lookup(self, lookup: Lookup, lookup_key: LookupKey) -> None:
        def look_up_name() -> None:
            addresses: list[Address] = []
            try:
                addresses = self._look_up_name(*lookup_key[1:])
            finally:
                self._finish_lookup(lookup, lookup_key, addresses)

        threading.Thread(target=look_up_name, name="smruntime-lookup", daemon=True).start()

    def _finish_lookup(
        self, lookup: Lookup, lookup_key: LookupKey, addresses: list[Address]
    ) -> None:
        if self._running_lookups.get(lookup_key) is lookup:
            del self._running_lookups[lookup_key]
        lookup.resolve(addresses)
