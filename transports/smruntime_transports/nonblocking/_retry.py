"""A step that takes its time: tried, and tried again whenever the socket is ready for what it wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from smruntime_core import DispatchFailure
from smruntime_core.effects import Flow
from smruntime_core.errors import Kind, Phase

from ._connection import Connection
from ._socket_errors import fault, wanted
from ._waiting import Wait

T = TypeVar("T")
Left: TypeAlias = Callable[[], "float | None"]  # seconds until something has to be done


def not_sent(kind: Kind, phase: Phase, message: str) -> DispatchFailure:
    """A failure before the first byte of the request."""
    return DispatchFailure(message, kind=kind, phase=phase, delivery="not_sent")


def patiently(connection: Connection, step: Callable[[], T], mask: int, left: Left, phase: Phase, what: str) -> Flow[T]:
    """What `step` comes to, which waits for `mask` unless it says otherwise. Raises `DispatchFailure` about `what` it was to do."""
    while True:
        try:
            return step()
        except OSError as error:
            want = wanted(error, mask)
            if not want:
                kind, reason = fault(error)
                raise not_sent(kind, phase, f"{what} {'failed' if kind == 'tls' else 'broke'}: {reason}") from None
        if not (yield from Wait(connection, want, left())):
            raise not_sent("timeout", phase, f"{what} took too long")
