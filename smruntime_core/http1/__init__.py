"""One HTTP/1.1 exchange without I/O, for transports.

    _exchange          one request and its response: what to send, what was received
    _request_writer    requests as bytes
    _head              the head of a response, accepted only if it has one meaning
    _framing           where the body ends: by length, by chunks, or with the connection
    _body_buffer       one buffer for a long body

h11 and llhttp each accept some messages that the other refuses; a client that reuses connections
must refuse both kinds. An `Engine` replaces the framing; `smruntime_transports.wire` has one that
reads bodies with h11.
"""

from __future__ import annotations

from ._exchange import MAX_INTERIM_RESPONSES, Engine, Exchange
from ._framing import Framing, WithoutSkipping, frame
from ._head import MAX_HEAD, Head, ProtocolViolation, read_head
from ._request_writer import MAX_SINGLE_WRITE, write

__all__ = [
    "MAX_HEAD",
    "MAX_INTERIM_RESPONSES",
    "MAX_SINGLE_WRITE",
    "Engine",
    "Exchange",
    "Framing",
    "Head",
    "ProtocolViolation",
    "WithoutSkipping",
    "frame",
    "read_head",
    "write",
]
