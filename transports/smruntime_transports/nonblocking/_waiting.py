"""What a call over a connection waits for: the small effects, answered by an IO beside `credentials`, `send` and `sleep`.

None of them fails: what did not come about in time is said by the reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smruntime_core.effects import Effect, Flow

if TYPE_CHECKING:
    from ._connection import Connection


class Wait(Effect[int]):
    """Until `connection` is ready for what `mask` says; the reply is what it is ready for, 0 if `seconds` passed first."""

    method = "wait"

    connection: Connection
    mask: int
    seconds: float | None


class First(Effect["list[Connection]"]):
    """Until one of `connections` can be written to; the reply is those that can, none if `seconds` passed first."""

    method = "first"

    connections: tuple[Connection, ...]
    seconds: float | None


class Place:
    """A place in a queue. Whoever calls the next one in says so with `call`; who waits has said with `when_called` how to wake it.

    In the queue of a pool, it may be called with a `connection` that came free.
    """

    connection: Connection | None = None

    def __init__(self) -> None:
        self.called = False
        self._wake: Callable[[], object] | None = None

    def call(self) -> None:
        """It is this one's turn."""
        self.called = True
        if self._wake is not None:
            self._wake()

    def when_called(self, wake: Callable[[], object]) -> bool:
        """Have `wake` called then, from any thread; true if it has been called already."""
        self._wake = wake
        return self.called


class Gate:
    """What several wait for together: it is opened once, and whoever comes later need not wait."""

    def __init__(self) -> None:
        self.opened = False
        self._waiting: list[Place] = []

    def join(self) -> Place:
        """A place that is called when it opens."""
        place = Place()
        self._waiting.append(place)
        if self.opened:  # perhaps in between
            place.call()
        return place

    def open(self) -> None:
        """Call all who wait."""
        self.opened = True
        for place in self._waiting:
            place.call()


class Turn(Effect[None]):
    """Until `place` is called, or `seconds` have passed."""

    method = "turn"

    place: Place
    seconds: float | None


class Begin(Effect[None]):
    """Have `flow` run in a thread or task of its own, which outlives this one, and `over` be told what it came to: None if it was cut off.

    Nothing is waited for.
    """

    method = "begin"

    flow: Flow[object]
    over: Callable[[object], None]
