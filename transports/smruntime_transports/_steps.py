"""A step that takes its time: tried, and tried again whenever the socket is ready for what it wants."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from smruntime_core import DispatchFailure, Flow
from smruntime_core._errors import Kind, Phase

from ._connection import READ, WRITE, Connection
from ._waits import Wait

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
        except ssl.SSLWantReadError:
            wanted = READ
        except ssl.SSLWantWriteError:
            wanted = WRITE
        except BlockingIOError:
            wanted = mask
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise not_sent("closed", phase, f"{what} broke: the connection was closed") from None
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", None) or error.reason or error
            raise not_sent("tls", phase, f"{what} failed: {reason}") from None
        except OSError as error:
            raise not_sent("reset", phase, f"{what} broke: {error.strerror or error}") from None
        if not (yield from Wait(connection, wanted, left())):
            raise not_sent("timeout", phase, f"{what} took too long")
