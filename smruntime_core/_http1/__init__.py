"""One HTTP/1.1 exchange without I/O, for transports: `_exchange` is the whole, `_gate`, `_framing` and `_writing` its parts."""

from __future__ import annotations

from ._exchange import MAX_INTERIM, Engine, Exchange
from ._framing import Framing, Looked, frame
from ._gate import MAX_HEAD, Head, Violation
from ._writing import ONE_WRITE, write

__all__ = [
    "MAX_HEAD",
    "MAX_INTERIM",
    "ONE_WRITE",
    "Engine",
    "Exchange",
    "Framing",
    "Head",
    "Looked",
    "Violation",
    "frame",
    "write",
]
