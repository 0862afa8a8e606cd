"""Streamed responses: bytes in, events out, without I/O.

| class            | what it does                                                               |
|------------------|----------------------------------------------------------------------------|
| `ResponseParser` | turn head and body into `ResponseStarted`, `PayloadPart` …, `ResponseEnded` |
| `Stream`         | the same in a call: the events so far, and a flow that receives more       |
| `Decoder`        | the interface of decoders: `receive_data`, `receive_eof`, `next_event`     |
| `receive_whole`  | the flow that answers `Send` by `Open` and `Receive`, for an IO            |

`smruntime_core.payload` decodes the contents of the parts: text, lines, server-sent events, JSON.
"""

from __future__ import annotations

from .conversation._stream import Stream
from .conversation._whole_response import receive_whole
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
    "receive_whole",
]
