"""The effects that wait: for a socket, for a turn in a queue, or for nothing, to start a task.

An IO has one method for each, beside `credentials`, `send` and `sleep`. None of them raises: a wait
that took too long is a reply like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
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
    """A position in a queue, called when its turn comes."""

    def __init__(self) -> None:
        self.called: bool = False
        self._wake_callback: Callable[[], object] | None = None

    def call(self) -> None:
        """Wake the holder of the ticket, from any thread."""
        self.called = True
        if self._wake_callback is not None:
            self._wake_callback()

    def when_called(self, wake_callback: Callable[[], object]) -> None:
        """Make `call` call `wake_callback`, from any thread; at once if it was called before."""
        self._wake_callback = wake_callback
        if self.called:  # perhaps twice, if another thread calls it now
            wake_callback()


class Latch:
    """An event for any number of tickets: it opens once, and later tickets are called at once."""

    def __init__(self) -> None:
        self.opened: bool = False
        self._waiting_tickets: list[Ticket] = []

    def join(self) -> Ticket:
        """Return a ticket that is called when the latch opens."""
        ticket = Ticket()
        self._waiting_tickets.append(ticket)
        if self.opened:  # another thread may have opened it before the append
            ticket.call()
        return ticket

    def wait_open(self, seconds: float | None) -> Flow[bool]:
        """Wait until the latch opens; return whether it did so within `seconds`."""
        ticket = self.join()
        try:
            yield from WaitTurn(ticket, seconds)
        finally:
            if not ticket.called:  # late or cancelled: a latch that never opens must not keep it
                with suppress(ValueError):
                    self._waiting_tickets.remove(ticket)
        return ticket.called

    def open(self) -> None:
        """Call all tickets."""
        self.opened = True
        for ticket in tuple(self._waiting_tickets):  # a copy, since another thread may remove one
            ticket.call()


class WaitTurn(Effect[None]):
    """A wait until `ticket` is called, or `seconds` have passed: `ticket.called` is set or not."""

    method = "wait_turn"

    ticket: Ticket
    seconds: float | None


class Spawn(Effect[None]):
    """A start of `flow` in a thread or task of its own, which outlives the caller's.

    At its end `finish_callback` gets the result or the error, or None if the flow was cut off. The
    reply to this effect comes at once.
    """

    method = "spawn"

    flow: Flow[object]
    finish_callback: Callable[[object], None]
