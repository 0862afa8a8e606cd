"""Streamed responses: bytes in, events out, without I/O.

    ResponseParser      the head and body of one response in, `ResponseStarted`, `PayloadPart`, …, `ResponseEnded` out
    Stream              the same for the flow of a call: events that have arrived, and the flow that fetches more
    Decoder             the interface of every incremental decoder: `receive_data`, `receive_eof`, `next_event`

`smruntime_core.payload` decodes what the parts contain: text, lines, server-sent events, JSON.
"""

from __future__ import annotations

from .conversation._stream import Stream
from .protocol._operations import StreamingOperation
from .protocol._response_parser import (
    PayloadPart,
    ResponseEnded,
    ResponseEvent,
    ResponseParser,
    ResponseStarted,
    UnknownEvent,
)
from .values._decoder import NEED_DATA, Decoder, NeedData

__all__ = [
    "NEED_DATA",
    "Decoder",
    "NeedData",
    "PayloadPart",
    "ResponseEnded",
    "ResponseEvent",
    "ResponseParser",
    "ResponseStarted",
    "Stream",
    "StreamingOperation",
    "UnknownEvent",
]
