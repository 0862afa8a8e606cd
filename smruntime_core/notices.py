"""Notices of the progress of a call, for an `observe` callable.

The callable must not block, and what it raises propagates to the caller of the operation. A notice
has sizes, times, names and ids; never a body, a header's value, custom attributes or a key. The
order for a call of several attempts:

    RequestBuilt
      └─> AttemptStarted ─> FirstByte ─> (PieceReceived …) ─> AttemptEnded
            └─> Waiting ─> AttemptStarted …
                  └─> CallEnded ─> (PieceReceived …) ─> StreamEnded

`StreamEnded` and what comes before it follow only if the call opened a stream. A call that is
cancelled or interrupted has its `AttemptEnded` and `CallEnded` too, with the outcome "cancelled".
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
    "StreamEnded",
    "Waiting",
]


class Notice(Record):
    """The base of all notices: the operation's name and the id of the call (`invocation`)."""

    operation: str
    invocation: str


class RequestBuilt(Notice):
    """The request was built; `path` and `size` (bytes of body) are what will be signed.

    `host` may contain a port, and `region` is the one of the signature.
    """

    method: str
    path: str
    size: int
    endpoint_name: str
    region: str
    host: str
    inference_component_name: str | None = None


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
    """Attempt `number` ended with `outcome` (as in `Attempt`, or "cancelled") after `seconds`."""

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


class StreamEnded(Notice):
    """A stream ended, `seconds` after its call began.

    `outcome` is "ok" for one that was read to its end, "closed" for one that was closed before, and
    otherwise that of the error, as in `Attempt`. `events` and `size` (bytes) count the parts that
    were decoded.
    """

    outcome: str
    seconds: float
    events: int
    size: int
