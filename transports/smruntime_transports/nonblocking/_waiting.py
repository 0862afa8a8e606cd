"""The effects of waiting: what a flow over a connection asks its IO to wait for.

An IO answers them beside `credentials`, `send` and `sleep`, one method each. None of them raises:
a wait that took too long is a reply like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smruntime_core.effects import Effect, Flow

if TYPE_CHECKING:
    from ._connection import Connection


class Wait(Effect[int]):
    """Wait until `connection` is ready for some of `mask`; the reply says for what, 0 if late."""

    method = "wait"

    connection: Connection
    mask: int
    seconds: float | None


class WaitAnyWritable(Effect["list[Connection]"]):
    """Wait until some of `connections` are writable; the reply lists them, none after `seconds`."""

    method = "wait_any_writable"

    connections: tuple[Connection, ...]
    seconds: float | None


class Ticket:
    """A position in a queue, called when its turn comes. A pool may attach a free `connection`."""

    connection: Connection | None = None

    def __init__(self) -> None:
        self.called = False
        self._wake: Callable[[], object] | None = None

    def call(self) -> None:
        """Say that its turn has come; any thread may."""
        self.called = True
        if self._wake is not None:
            self._wake()

    def when_called(self, wake: Callable[[], object]) -> None:
        """Have `call` call `wake`, from any thread; at once if the ticket has been called."""
        self._wake = wake
        if self.called:  # perhaps twice, if another thread calls it now
            wake()


class Latch:
    """An event for any number of tickets: it opens once, and later tickets are called at once."""

    def __init__(self) -> None:
        self.opened = False
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
    """Wait until `ticket` is called, or `seconds` have passed: `ticket.called` says which."""

    method = "wait_turn"

    ticket: Ticket
    seconds: float | None


class Spawn(Effect[None]):
    """Run `flow` in a thread or task that outlives the caller's, and pass its outcome to `over`.

    The outcome is None if the flow was cut off. The reply comes at once.
    """

    method = "spawn"

    flow: Flow[object]
    over: Callable[[object], None]
