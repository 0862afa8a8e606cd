"""Notices of the progress of a call, for an `observe` callable.

The callable must not block, and what it raises propagates to the caller of the operation. A notice
has sizes, times, names and ids; never a body, a header's value, custom attributes or a key. The
order for a call of several attempts:

    RequestBuilt
      └─> AttemptStarted ─> FirstByte ─> (PieceReceived …) ─> AttemptEnded
            └─> Waiting ─> AttemptStarted …
                  └─> CallEnded
"""

from __future__ import annotations

from .values._record import Record

__all__ = [
    "AttemptEnded",
    "AttemptStarted",
    "CallEnded",
    "FirstByte",
    "Notice",
    "PieceReceived",
    "RequestBuilt",
    "Waiting",
]


class Notice(Record):
    """The base of all notices: the operation's name and the id of the call (`invocation`)."""

    operation: str
    invocation: str


class RequestBuilt(Notice):
    """The request was built; `path` and `size` (bytes of body) are what will be signed."""

    method: str
    path: str
    size: int


class AttemptStarted(Notice):
    """Attempt `number` (from 1) of at most `max_attempts` is about to be sent."""

    number: int
    max_attempts: int


class FirstByte(Notice):
    """The first byte of a response arrived, `seconds` after the attempt began.

    Only transports that call `Send.notify` cause it.
    """

    number: int
    seconds: float


class PieceReceived(Notice):
    """`size` bytes of a streamed response arrived."""

    size: int


class AttemptEnded(Notice):
    """Attempt `number` ended with `outcome` (as in `Attempt`) after `seconds`."""

    number: int
    outcome: str
    seconds: float
    status: int | None = None
    request_id: str | None = None


class Waiting(Notice):
    """The call waits for `seconds` before the next attempt, because of `reason`."""

    seconds: float
    reason: str


class CallEnded(Notice):
    """The call ended after `attempts` attempts and `seconds`, with the outcome of the last.

    The parts of a stream may still follow.
    """

    outcome: str
    attempts: int
    seconds: float
