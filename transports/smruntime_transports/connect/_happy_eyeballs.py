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
from ..nonblocking._retry import SecondsLeft, not_sent
from ..nonblocking._socket_errors import raise_if_interrupt
from ..nonblocking._waiting import WaitAnyWritable
from ._resolver import Address

STAGGER_SECONDS: Final = 0.25
_MAX_REFUSALS_SHOWN: Final = 4


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Return `addresses` with the families in turn, the first one's first (RFC 8305 section 4)."""
    address_families = dict.fromkeys(address_family for address_family, _ in addresses)
    addresses_by_family = [
        [address for address in addresses if address[0] == address_family]
        for address_family in address_families
    ]
    address_rows = zip_longest(*addresses_by_family)
    return [address for row in address_rows for address in row if address is not None]


def connect_to_any(
    addresses: Sequence[Address],
    clock: Callable[[], float],
    seconds_left: SecondsLeft,
    phase: Phase,
    socket_options: Iterable[Option] = OPTIONS,
    source_address: tuple[str, int] | None = None,
) -> Flow[Connection]:
    """Return an open connection to one of `addresses`; raises `DispatchFailure`."""
    attempts = _Attempts(addresses, socket_options, source_address)
    open_connection: Connection | None = None
    try:
        while attempts.is_unfinished and (remaining_seconds := seconds_left()) != 0:
            if not attempts.start_next_attempt(clock()):
                continue
            pause_seconds = attempts.seconds_to_wait(remaining_seconds)
            writable_connections = yield from WaitAnyWritable(
                tuple(attempts.running_attempts), pause_seconds
            )
            open_connection = attempts.first_open_connection(writable_connections)
            if open_connection is not None:
                return open_connection
    finally:
        attempts.drop_all_except(open_connection)
    raise attempts.dispatch_failure(phase)


class _Attempts:
    """The attempts to reach one host: addresses to try, running attempts, and refusals."""

    def __init__(
        self,
        addresses: Sequence[Address],
        socket_options: Iterable[Option],
        source_address: tuple[str, int] | None,
    ) -> None:
        self._waiting_addresses = interleaved(addresses)
        self._address_count = len(addresses)
        self._first_host = addresses[0][1][0]
        self._socket_options = socket_options
        self._source_address = source_address
        self.running_attempts: dict[Connection, Address] = {}
        self._refusals: list[str] = []

    @property
    def is_unfinished(self) -> bool:
        """Whether an address is left that may still answer."""
        return bool(self._waiting_addresses or self.running_attempts)

    def start_next_attempt(self, current_time: float) -> bool:
        """Start the next attempt, if there is one; return False if it failed at once."""
        if self._waiting_addresses:
            next_address = self._waiting_addresses.pop(0)
            try:
                connection = self._start_attempt(next_address, current_time)
                self.running_attempts[connection] = next_address
            except OSError as error:  # refused at once, no such family, too many open files
                raise_if_interrupt(error)
                self._record_refusal(next_address, error.strerror or str(error))
                return False
        return True

    def _start_attempt(self, address: Address, current_time: float) -> Connection:
        """Return a connection that is being opened; raises `OSError` if it fails at once."""
        address_family, socket_address = address
        plain_socket = socket.socket(address_family, socket.SOCK_STREAM)
        connection = Connection(plain_socket, current_time)
        try:
            for socket_option in self._socket_options:
                plain_socket.setsockopt(*socket_option)
            if self._source_address is not None:
                plain_socket.bind(self._source_address)
            plain_socket.connect(socket_address)
        except BlockingIOError:
            pass
        except BaseException:
            connection.drop()
            raise
        return connection

    def seconds_to_wait(self, remaining_seconds: float | None) -> float | None:
        """Return how long to wait for the running attempts before the next one starts."""
        if self._waiting_addresses and (
            remaining_seconds is None or remaining_seconds > STAGGER_SECONDS
        ):
            return STAGGER_SECONDS
        return remaining_seconds

    def first_open_connection(
        self, writable_connections: Iterable[Connection]
    ) -> Connection | None:
        """Return the first that is open; drop the failed ones before it."""
        for connection in writable_connections:
            plain_socket = cast("socket.socket", connection.sock)  # TLS comes later
            error_number = plain_socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not error_number:
                return connection
            self._record_refusal(self.running_attempts.pop(connection), os.strerror(error_number))
            connection.drop()
        return None

    def drop_all_except(self, open_connection: Connection | None) -> None:
        """Close the running attempts other than `open_connection`."""
        for connection in self.running_attempts:
            if connection is not open_connection:
                connection.drop()

    def _record_refusal(self, address: Address, refusal_reason: str) -> None:
        host, port = address[1][:2]
        self._refusals.append(f"{host}:{port}: {refusal_reason}")

    def dispatch_failure(self, phase: Phase) -> DispatchFailure:
        """Return why there is no connection: every address refused, or the time is over."""
        if len(self._refusals) == self._address_count:
            return not_sent("refused", phase, "; ".join(self._refusals[:_MAX_REFUSALS_SHOWN]))
        timeout_message = f"none of {self._address_count} addresses answered in time"
        return not_sent("timeout", phase, f"{timeout_message}; the first is {self._first_host}")
