"""The effects that wait: for a socket, for a turn in a queue, or for nothing, to start a task.

An IO has one method for each, beside `credentials`, `send` and `sleep`. None of them raises: a wait
that took too long is a reply like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smruntime_core.effects import Effect, Flow

if TYPE_CHECKING:
    from ._connection import Connection


class Wait(Effect[int]):
    """A wait until `connection` is ready for some of `mask`; the reply is for what, 0 if late."""

    method = "wait"

    connection: Connection
    mask: int
    seconds: float | None


class WaitAnyWritable(Effect["list[Connection]"]):
    """A wait until some of `connections` are writable; the reply lists them, none if late."""

    method = "wait_any_writable"

    connections: tuple[Connection, ...]
    seconds: float | None


class Ticket:
    """A position in a queue, called when its turn comes. A pool may attach a free `connection`."""

    connection: Connection | None = None

    def __init__(self) -> None:
        self.called: bool = False
        self._wake: Callable[[], object] | None = None

    def call(self) -> None:
        """Wake the holder of the ticket, from any thread."""
        self.called = True
        if self._wake is not None:
            self._wake()

    def when_called(self, wake: Callable[[], object]) -> None:
        """Make `call` call `wake`, from any thread; at once if the ticket has been called."""
        self._wake = wake
        if self.called:  # perhaps twice, if another thread calls it now
            wake()


class Latch:
    """An event for any number of tickets: it opens once, and later tickets are called at once."""

    def __init__(self) -> None:
        self.opened: bool = False
        self._waiting: list[Ticket] = []

    def join(self) -> Ticket:
        """Return a ticket that is called when the latch opens."""
        ticket = Ticket()
        self._waiting.append(ticket)
        if self.opened:  # another thread may have opened it before the append
            ticket.call()
        return ticket

    def open(self) -> None:
        """Call all tickets."""
        self.opened = True
        for ticket in self._waiting:
            ticket.call()


class WaitTurn(Effect[None]):
    """A wait until `ticket` is called, or `seconds` have passed: `ticket.called` is set or not."""

    method = "wait_turn"

    ticket: Ticket
    seconds: float | None


class Spawn(Effect[None]):
    """A start of `flow` in a thread or task of its own, which outlives the caller's.

    At its end `finish` gets the result or the error, or None if the flow was cut off. The reply to
    this effect comes at once.
    """

    method = "spawn"

    flow: Flow[object]
    finish: Callable[[object], None]
