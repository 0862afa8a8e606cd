"""What can be seen of a call while it goes on: notices for an `observe` callable, which must not wait and whose errors are its own.

A notice bears sizes, times, names and ids; never a body, a header's value, custom attributes or a key.

    RequestBuilt ─> AttemptStarted ─> FirstByte ─> (PieceReceived …) ─> AttemptEnded ─> (Waiting ─> AttemptStarted …) ─> CallEnded
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
    """Something happened to the call `invocation` of `operation`."""

    operation: str
    invocation: str


class RequestBuilt(Notice):
    """The request exists; `path` and `size` (bytes of body) are what will be signed."""

    method: str
    path: str
    size: int


class AttemptStarted(Notice):
    """Attempt `number` (the first is 1) of at most `most` is being sent."""

    number: int
    most: int


class FirstByte(Notice):
    """The first byte of an answer is there, `seconds` after the attempt began. Only transports that tell make this known."""

    number: int
    seconds: float


class PieceReceived(Notice):
    """`size` bytes of a streamed answer have come."""

    size: int


class AttemptEnded(Notice):
    """Attempt `number` came to `outcome` (as in `Attempt`) after `seconds`."""

    number: int
    outcome: str
    seconds: float
    status: int | None = None
    request_id: str | None = None


class Waiting(Notice):
    """Nothing happens for `seconds`; then there is another attempt, because of `reason`."""

    seconds: float
    reason: str


class CallEnded(Notice):
    """The call is over, after `attempts` attempts and `seconds`; `outcome` is that of the last. A stream may still be coming."""

    outcome: str
    attempts: int
    seconds: float
