"""One HTTP/1.1 exchange without I/O, for transports.

    _exchange          one request and its response: what to send, what came, whether the connection may be kept
    _request_writer    a request as bytes, or a refusal
    _head              the head of a response: only what has one meaning is accepted
    _framing           where the body ends: by length, by chunks, or with the connection
    _body_buffer       one buffer for a long body

h11 and llhttp each accept some messages that the other refuses; a client that keeps connections must refuse both kinds. Another reader
of bodies can be given as an `Engine`; `smruntime_transports.wire` has one over h11.
"""

from __future__ import annotations

from ._exchange import MAX_INTERIM_RESPONSES, Engine, Exchange
from ._framing import Framing, Looked, frame
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
    "Looked",
    "ProtocolViolation",
    "frame",
    "read_head",
    "write",
]
