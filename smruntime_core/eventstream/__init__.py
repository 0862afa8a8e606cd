"""AWS event streams, for any service: `encode` writes frames, `EventStreamDecoder` reads them."""

from __future__ import annotations

from ..values._decoder import NEED_DATA
from ._decoder import EventStreamDecoder
from ._frames import MAX_PAYLOAD, Message, encode
from ._headers import (
    MAX_HEADERS,
    Byte,
    HeaderValue,
    Integer,
    Long,
    Short,
    Timestamp,
    encode_headers,
)

__all__ = [
    "MAX_HEADERS",
    "MAX_PAYLOAD",
    "NEED_DATA",
    "Byte",
    "EventStreamDecoder",
    "HeaderValue",
    "Integer",
    "Long",
    "Message",
    "Short",
    "Timestamp",
    "encode",
    "encode_headers",
]
