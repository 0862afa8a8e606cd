"""Decoders of text, lines, server-sent events and JSON from bytes in any pieces, of any source.

`encode_sse` writes server-sent events, for a service that passes a stream on.

| decoder             | events                                                                |
|---------------------|-----------------------------------------------------------------------|
| `TextDecoder`       | pieces of text                                                        |
| `LineDecoder`       | lines, ended by CR, LF or CRLF                                        |
| `SSEDecoder`        | server-sent events                                                    |
| `JSONLinesDecoder`  | one JSON value a line                                                 |
| `JSONRecordDecoder` | JSON values one after another, with or without white space in between |

All have the methods of `smruntime_core.streaming.Decoder`:

    for part in parts:
        decoder.receive_data(part)
        while (event := decoder.next_event()) is not NEED_DATA:
            ...
    decoder.receive_eof()
    while (event := decoder.next_event()) is not NEED_DATA:
        ...

Decoding is lazy: `receive_data` only keeps the part, and each `next_event` does the work for one
event, so a caller can check a deadline or yield to other tasks between events. A part may also hold
no event at all (blank lines, comments): cut parts of more than 64 KiB where that would take too
long. `smruntime_core.streaming.Stream` does both.

A violation of the format raises `StreamError` from `next_event`, after the events before it; the
end of the stream inside an event raises `TruncatedStream`. Nothing that a server sends raises
anything else, or is held without a limit.
"""

from __future__ import annotations

from ..values._decoder import NEED_DATA
from ._json import JSON, JSONLinesDecoder, JSONRecordDecoder
from ._lines import LineDecoder
from ._sse import ServerSentEvent, SSEDecoder, encode_sse
from ._text import TextDecoder

__all__ = [
    "JSON",
    "NEED_DATA",
    "JSONLinesDecoder",
    "JSONRecordDecoder",
    "LineDecoder",
    "SSEDecoder",
    "ServerSentEvent",
    "TextDecoder",
    "encode_sse",
]
