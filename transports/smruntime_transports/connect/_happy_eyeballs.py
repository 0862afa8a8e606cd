"""Connecting to a host with several addresses: one after the other, 250 ms apart, until one answers (RFC 8305).

    connect ──> 250 ms, or a refusal ──> connect to the next as well ──> the first that is open wins

An address that swallows packets costs a quarter of a second and not the whole connect phase. The
losers are closed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

from smruntime_core.effects import Flow
from smruntime_core.errors import Phase

from ..nonblocking._connection import OPTIONS, Connection, Option
from ..nonblocking._retry import Left, not_sent
from ..nonblocking._waiting import WaitAnyWritable
from ._resolver import Address

STAGGER = 0.25
_SHOWN = 4  # refusals that are quoted


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Return `addresses` with the families in turn, the first one's first (RFC 8305 section 4)."""
    families = dict.fromkeys(family for family, _ in addresses)
    columns = [[found for found in addresses if found[0] == family] for family in families]
    return [found for row in zip_longest(*columns) for found in row if found is not None]


def race(
    addresses: Sequence[Address],
    clock: Callable[[], float],
    left: Left,
    phase: Phase,
    options: Iterable[Option] = OPTIONS,
    source_address: tuple[str, int] | None = None,
) -> Flow[Connection]:
    """Return an open connection to one of `addresses`; raises `DispatchFailure`."""
    waiting = interleaved(addresses)
    running: dict[Connection, Attempt] = {}
    refusals: list[str] = []
    winner: Connection | None = None
    try:
        while waiting or running:
            seconds = left()
            if seconds == 0:
                break
            if waiting:
                attempt = Attempt(*waiting.pop(0))
                try:
                    running[attempt.begin(clock(), options, source_address)] = attempt
                except OSError as error:  # refused at once, no such family, too many open files
                    refusals.append(attempt.said(error.strerror or str(error)))
                    continue
            pause = STAGGER if waiting and (seconds is None or seconds > STAGGER) else seconds
            for connection in (yield from WaitAnyWritable(tuple(running), pause)):
                if not (code := running[connection].code):
                    winner = connection
                    return connection
                refusals.append(running.pop(connection).said(os.strerror(code)))
                connection.drop()
    finally:
        for connection in running:
            if connection is not winner:
                connection.drop()
    if len(refusals) == len(addresses):
        raise not_sent("refused", phase, "; ".join(refusals[:_SHOWN]))
    raise not_sent(
        "timeout",
        phase,
        f"none of {len(addresses)} addresses answered in time, the first is {addresses[0][1][0]}",
    )


class Attempt:
    """An attempt to connect to one address."""

    def __init__(self, family: socket.AddressFamily, address: tuple[object, ...]) -> None:
        self._family = family
        self._address = address
        self._sock: socket.socket | None = None

    def begin(
        self, now: float, options: Iterable[Option], source_address: tuple[str, int] | None
    ) -> Connection:
        """Return a connection that is being opened; raises `OSError` if it fails at once."""
        sock = self._sock = socket.socket(self._family, socket.SOCK_STREAM)
        connection = Connection(sock, now)
        try:
            for option in options:
                sock.setsockopt(*option)
            if source_address is not None:
                sock.bind(source_address)
            sock.connect(self._address)
        except BlockingIOError:
            pass
        except BaseException:
            connection.drop()
            raise
        return connection

    @property
    def code(self) -> int:
        """The system's error number, 0 if it succeeded."""
        sock = self._sock
        return 0 if sock is None else sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def said(self, words: str) -> str:
        """Return `words` about this address."""
        return f"{self._address[0]}:{self._address[1]}: {words}"
