"""One HTTP/1.1 exchange without I/O, for transports: `_exchange` is the whole, `_gate`, `_framing` and `_writing` its parts."""

from __future__ import annotations

from ._exchange import MAX_INTERIM, Engine, Exchange
from ._framing import Framing, Looked, frame
from ._head import MAX_HEAD, Head, Violation, read_head
from ._request_writer import ONE_WRITE, write

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
    "read_head",
    "write",
]
