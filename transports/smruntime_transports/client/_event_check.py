"""Server-sent events of an answer that may not have any."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import TYPE_CHECKING

from smruntime_core.errors import ResponseError, TruncatedStream, escape_unprintable
from smruntime_core.payload import ServerSentEvent, SSEDecoder

if TYPE_CHECKING:
    from smruntime_core.streaming import NeedData
    from smruntime_core.values import Body

# What the other formats begin with, and the method that reads each. A line of server-sent events
# that begins so has an unknown name, and would be ignored without a word.
_READERS = {
    b"{": "read JSON with .json() or .jsonl()",
    b"[": "read JSON with .json() or .jsonl()",
    b"<": "read the page with .text(): it may come from a proxy instead of the model",
}
_OTHER_READER = 'ask for accept="text/event-stream", or read it with .text()'
_FIELD_NAMES = frozenset([b"data", b"event", b"id", b"retry", b""])  # b"": a comment
_BEGINNING_SIZE = 16  # bytes: enough for a name, its colon and a byte order mark


class CheckedSSEDecoder(SSEDecoder):
    """A decoder that refuses an answer which is no server-sent events.

    Containers label server-sent events with all kinds of content types, so what counts is how the
    answer begins. JSON and HTML are refused at once; another beginning, which could be a field with
    an unknown name, at the end, if there was no event.
    """

    def __init__(self, content_type: str | None) -> None:
        super().__init__()
        self._content_type = content_type
        self._beginning = b""
        self._eof_received = False
        self._event_found = False

    def receive_data(self, data: Body) -> None:
        """Process bytes; raise `ResponseError` if the first one begins JSON or HTML."""
        if len(self._beginning) < _BEGINNING_SIZE:
            new = not self._beginning
            self._beginning = (self._beginning + bytes(data)).lstrip()[:_BEGINNING_SIZE]
            if new and (reader := _READERS.get(self._beginning[:1])):
                raise self._no_events(reader)
        super().receive_data(data)

    def receive_eof(self) -> None:
        """Note that the stream has ended."""
        self._eof_received = True
        super().receive_eof()

    def next_event(self) -> ServerSentEvent | NeedData:
        """Return the next event; raise `ResponseError` at the end if there was none."""
        try:
            event = super().next_event()
        except TruncatedStream:
            self._check_end()
            raise
        if isinstance(event, ServerSentEvent):
            self._event_found = True
        else:
            self._check_end()
        return event

    def _check_end(self) -> None:
        if self._event_found or not self._eof_received or not self._beginning:
            return
        media_type = (self._content_type or "").partition(";")[0].strip().lower()
        first_line = re.split(rb"[\r\n]", self._beginning.removeprefix(BOM_UTF8), maxsplit=1)[0]
        if media_type != "text/event-stream" and first_line.split(b":")[0] not in _FIELD_NAMES:
            raise self._no_events(_OTHER_READER)

    def _no_events(self, reader: str) -> ResponseError:
        shown_type = escape_unprintable((self._content_type or "none")[:100])
        beginning = escape_unprintable(self._beginning[:1].decode("latin-1"))
        return ResponseError(
            f"sse() found no server-sent event: the answer begins with {beginning!r}, its content "
            f"type is {shown_type}; {reader}"
        )
