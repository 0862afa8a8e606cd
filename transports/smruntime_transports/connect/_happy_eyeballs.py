"""Connecting to a host with several addresses: 250 ms apart, until one answers (RFC 8305).

    connect ──> 250 ms, or a refusal ──> connect to the next as well ──> the first that is open wins

An address that drops packets costs a quarter of a second instead of the whole connect phase. All
connections but the winner are closed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Final, cast

from smruntime_core import DispatchFailure
from smruntime_core.effects import Flow
from smruntime_core.errors import Phase

from ..nonblocking._connection import OPTIONS, Connection, Option
from ..nonblocking._retry import Left, not_sent
from ..nonblocking._waiting import WaitAnyWritable
from ._resolver import Address

STAGGER: Final = 0.25  # seconds
_MAX_REFUSALS_SHOWN: Final = 4


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Return `addresses` with the families in turn, the first one's first (RFC 8305 section 4)."""
    families = dict.fromkeys(family for family, _ in addresses)
    columns = [[address for address in addresses if address[0] == family] for family in families]
    return [address for row in zip_longest(*columns) for address in row if address is not None]


def race(
    addresses: Sequence[Address],
    clock: Callable[[], float],
    left: Left,
    phase: Phase,
    options: Iterable[Option] = OPTIONS,
    source_address: tuple[str, int] | None = None,
) -> Flow[Connection]:
    """Return an open connection to one of `addresses`; raises `DispatchFailure`."""
    attempts = _Attempts(addresses, options, source_address)
    winner: Connection | None = None
    try:
        while attempts.unfinished and (seconds := left()) != 0:
            if not attempts.start_next(clock()):
                continue
            writable = yield from WaitAnyWritable(tuple(attempts.running), attempts.pause(seconds))
            winner = attempts.first_open(writable)
            if winner is not None:
                return winner
    finally:
        attempts.drop_all_but(winner)
    raise attempts.failure(phase)


class _Attempts:
    """The connection attempts of one race: those to come, those running, and those refused."""

    def __init__(
        self,
        addresses: Sequence[Address],
        options: Iterable[Option],
        source_address: tuple[str, int] | None,
    ) -> None:
        self._waiting = interleaved(addresses)
        self._count = len(addresses)
        self._first_host = addresses[0][1][0]
        self._options = options
        self._source_address = source_address
        self.running: dict[Connection, Address] = {}
        self._refusals: list[str] = []

    @property
    def unfinished(self) -> bool:
        """Whether an address is left that may still answer."""
        return bool(self._waiting or self.running)

    def start_next(self, now: float) -> bool:
        """Start the next attempt, if there is one; return False if it failed at once."""
        if self._waiting:
            address = self._waiting.pop(0)
            try:
                self.running[self._start(address, now)] = address
            except OSError as error:  # refused at once, no such family, too many open files
                self._refuse(address, error.strerror or str(error))
                return False
        return True

    def _start(self, address: Address, now: float) -> Connection:
        """Return a connection that is being opened; raises `OSError` if it fails at once."""
        family, socket_address = address
        sock = socket.socket(family, socket.SOCK_STREAM)
        connection = Connection(sock, now)
        try:
            for option in self._options:
                sock.setsockopt(*option)
            if self._source_address is not None:
                sock.bind(self._source_address)
            sock.connect(socket_address)
        except BlockingIOError:
            pass
        except BaseException:
            connection.drop()
            raise
        return connection

    def pause(self, seconds: float | None) -> float | None:
        """Return how long to wait for the running attempts, of the `seconds` that are left."""
        if self._waiting and (seconds is None or seconds > STAGGER):
            return STAGGER
        return seconds

    def first_open(self, writable: Iterable[Connection]) -> Connection | None:
        """Return the first of `writable` that is open; drop those before it that failed."""
        for connection in writable:
            sock = cast("socket.socket", connection.sock)  # TLS comes later
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return connection
            self._refuse(self.running.pop(connection), os.strerror(code))
            connection.drop()
        return None

    def drop_all_but(self, winner: Connection | None) -> None:
        """Close the running attempts other than `winner`."""
        for connection in self.running:
            if connection is not winner:
                connection.drop()

    def _refuse(self, address: Address, reason: str) -> None:
        host, port = address[1][:2]
        self._refusals.append(f"{host}:{port}: {reason}")

    def failure(self, phase: Phase) -> DispatchFailure:
        """Return why there is no connection: every address refused, or the time is over."""
        if len(self._refusals) == self._count:
            return not_sent("refused", phase, "; ".join(self._refusals[:_MAX_REFUSALS_SHOWN]))
        silent = f"none of {self._count} addresses answered within timeouts.connect"
        return not_sent("timeout", phase, f"{silent}; the first is {self._first_host}")
