"""From the parts of an event stream to the bytes of server-sent events that an SDK reads.

SageMaker wraps the container's bytes into parts, cut anywhere. Three forms of contents are known by
their beginning, because containers label them with all kinds of content types:

| beginning             | contents                                                               |
|-----------------------|------------------------------------------------------------------------|
| `{` or `[`            | JSON lines: each becomes one event; what a line says is not translated |
| a field or a comment  | server-sent events, passed on as they are                              |
| anything else         | an error event that says so                                            |

Events are passed on when they are complete. So if the stream fails in the middle of one, the error
event does not get entangled with it.
"""

from __future__ import annotations

import json
import re
from typing import Final, cast

from smruntime_core import ServiceError, SmRuntimeError, StreamError
from smruntime_core.errors import escape_unprintable

from ._answers import Dialect, TransportFailure, answer_error, encode_error_event

MAX_EVENT: Final = 64 * 1024 * 1024  # bytes that are held back for one event
_BEGINNING_SIZE: Final = 16  # bytes: enough for a byte order mark, a field's name and its colon
_FIELD_NAMES: Final = (b"data", b"event", b"id", b"retry", b"")  # b"": a comment
_BOM: Final = b"\xef\xbb\xbf"

_LINE_END: Final = rb"(?:\r\n|\n|\r(?!\n))"
_find_event_end = re.compile(_LINE_END + _LINE_END).search
_find_line_end = re.compile(rb"[\r\n]").search


class EventUnwrapper:
    """The server-sent events in a stream, as bytes to pass on.

    `receive_data` and `receive_eof` return what is complete and raise `ServiceError` for contents
    that are no events, `StreamError` for an event of more than `MAX_EVENT` bytes; `fail` returns
    what follows an error. The three may be called with any cut of the stream: the events are the
    same.
    """

    def __init__(self, content_type: str | None, dialect: Dialect) -> None:
        self._content_type = content_type
        self._dialect: Dialect = dialect
        self._pending = bytearray()
        self._searched = 0  # bytes of `_pending` in which no event ends
        self._is_json: bool | None = None  # None until the beginning has arrived

    def receive_data(self, part: bytes) -> bytes:
        """Return the events that `part` completes."""
        self._pending += part
        if self._is_json is None:
            self._pending = self._pending.lstrip()  # blank lines, sent to keep a connection alive
            self._is_json = self._recognize(at_end=False)
        complete = b""
        if self._is_json is not None:
            complete = self._take_json_lines() if self._is_json else self._take_events()
        if len(self._pending) > MAX_EVENT:
            raise StreamError(f"one event of the stream has more than {MAX_EVENT} bytes")
        return complete

    def receive_eof(self) -> bytes:
        """Return the rest: an event without the blank line after it, and the end of JSON lines."""
        if self._is_json is None and self._pending.strip():
            self._is_json = self._recognize(at_end=True)
        if self._is_json:
            last_event = self._reframe(bytes(self._pending))
            return last_event + (b"data: [DONE]\n\n" if self._dialect == "openai" else b"")
        return bytes(self._pending) + b"\n\n" if self._pending.strip() else b""

    def fail(self, error: SmRuntimeError) -> bytes | TransportFailure:
        """Return the error event for a stream that `error` ended, or the failure to raise."""
        self._pending.clear()
        if isinstance(error, ServiceError):
            return encode_error_event(error, self._dialect)
        answer = answer_error(error, self._dialect)
        if isinstance(answer, TransportFailure):
            return answer
        return encode_error_event(
            ServiceError(str(error), code=type(error).__name__), self._dialect
        )

    def _recognize(self, *, at_end: bool) -> bool | None:
        """Return whether the contents are JSON lines; None if that is not known yet."""
        beginning = bytes(self._pending[: 2 * _BEGINNING_SIZE]).removeprefix(_BOM)
        if beginning[:1] in (b"{", b"["):
            return True
        line_end = _find_line_end(beginning)
        line = beginning[: line_end.start()] if line_end else beginning
        if not (line_end or b":" in line or at_end or len(beginning) >= _BEGINNING_SIZE):
            return None
        if line.partition(b":")[0] in _FIELD_NAMES:
            return False
        shown_type = escape_unprintable((self._content_type or "none")[:100])
        shown_beginning = escape_unprintable(beginning[:_BEGINNING_SIZE].decode("latin-1"))
        message = (
            "the container's stream has neither server-sent events nor JSON lines: it begins with "
            f"{shown_beginning!r}, its content type is {shown_type}"
        )
        raise ServiceError(message, code="UnknownStreamFormat", status=502)

    def _take_events(self) -> bytes:
        event_end, position = 0, max(0, self._searched - 3)
        while found := _find_event_end(self._pending, position):
            # a CR at the end may be half of a CRLF: then the LF begins the rest, and is ignored
            event_end = position = found.end()
        complete = bytes(self._pending[:event_end])
        del self._pending[:event_end]
        self._searched = len(self._pending)
        return complete

    def _take_json_lines(self) -> bytes:
        end = self._pending.rfind(b"\n", self._searched) + 1
        complete = bytes(self._pending[:end])
        del self._pending[:end]
        self._searched = len(self._pending)
        return b"".join(map(self._reframe, complete.split(b"\n")))

    def _reframe(self, line: bytes) -> bytes:
        """Return the event for a line of JSON; nothing for a blank line."""
        line = line.strip().removeprefix(_BOM).strip()
        if not line:
            return b""
        line = line.replace(b"\r", b" ")  # white space in JSON, the end of a line in an event
        return self._event_field(line) + b"data: " + line + b"\n\n"

    def _event_field(self, line: bytes) -> bytes:
        """Return the name of an event, which Anthropic's SDK requires: its `type`."""
        if self._dialect != "anthropic":
            return b""
        try:
            document: object = json.loads(line)
        except (ValueError, RecursionError):
            return b""
        name = cast("dict[str, object]", document).get("type") if isinstance(document, dict) else ""
        return f"event: {name}\n".encode() if isinstance(name, str) and name.isidentifier() else b""
