"""Server-sent events (WHATWG HTML, section 9.2.6, "Interpreting an event stream").

An event is some lines `name: value` and a blank line. Several `data` lines are joined by LF, one
blank after the colon is not part of the value, a line that begins with a colon is a comment,
unknown names are ignored, and an event without `data` is skipped.

This is stricter than that text, which was written for a browser that reconnects after any error:

* The standard drops an event without a blank line after it when the stream ends. Here it is
  returned with `terminated=False` if it has `data`: some containers end their stream right after
  the last line, which says why the model stopped. It may also have been cut in half, which only
  the missing blank line shows. Without `data` it raises `TruncatedStream`. So call `receive_eof`
  only where the stream around the events (HTTP body, event stream) ended as it must.
* The standard decodes bytes that are not UTF-8 to U+FFFD. Here they raise `StreamError`, unless
  `errors="replace"` asks for the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Final

from ..errors import ConstructionError, StreamError, TruncatedStream
from ..values._incremental import MAX_SIZE, IncrementalDecoder, checked_limit
from ..values._record import Record
from ._lines import LineDecoder
from ._text import Errors

_LINE_ENDS: Final = "\r\n"
MAX_RETRY_DIGITS: Final = 18  # a longer delay would be over 30 million years


class ServerSentEvent(Record):
    """One event.

    `id` is the last one that the stream named, in this event or before, else empty. `retry` is how
    many milliseconds the server asks a client to wait before it reconnects, if it said so since the
    event before. `terminated` is False for the last event of a stream that ended without the blank
    line after it, perhaps in the middle of the event.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None
    terminated: bool = True


class SSEDecoder(IncrementalDecoder[ServerSentEvent]):
    """Decoder of server-sent events in any pieces into `ServerSentEvent`s.

    What ends a stream by convention (`data: [DONE]`) is an event like any other. Raises
    `StreamError` for bytes that are not UTF-8 (`errors="replace"` decodes them to U+FFFD), for a
    line of more than `max_event` bytes, or an event with `data` of more than `max_event`
    characters; `TruncatedStream` if the stream ends within an event that has no `data` yet. A byte
    order mark at the start is ignored.
    """

    def __init__(self, *, max_event: int = MAX_SIZE, errors: Errors = "strict") -> None:
        super().__init__()
        self._max_event = checked_limit("max_event", max_event)
        self._line_decoder = _EventLineDecoder(max_line=max_event, errors=errors)
        self._at_stream_start = True
        self._inside_event = False
        self._first_data: str | None = None
        # All data lines if there are several: a list of short ones would be 20 times their size.
        self._joined_data: StringIO | None = None
        self._data_size = 0  # characters of all data lines, each with its LF
        self._event_name = ""
        self._last_id = ""
        self._retry_delay: int | None = None

    def _read(self, part: bytes) -> Iterator[ServerSentEvent]:
        return self._decode_lines(self._line_decoder._read(part))

    def _finish(self) -> Iterator[ServerSentEvent]:
        yield from self._decode_lines(self._line_decoder._finish())
        if self._first_data is not None:
            yield self._complete_event().replace(terminated=False)
        elif self._inside_event:
            raise TruncatedStream(
                "the stream ended within a server-sent event: there is no blank line after it"
            )

    def _decode_lines(self, lines: Iterator[str]) -> Iterator[ServerSentEvent]:
        for line in lines:
            if self._at_stream_start:
                line = line.removeprefix("\ufeff")  # noqa: PLW2901 - the line is what is left of it
                self._at_stream_start = False
            if line:
                name, _, value = line.partition(":")
                if name:
                    self._receive_field(name, value.removeprefix(" "))
                continue
            if self._first_data is not None:
                yield self._complete_event()
            self._event_name = ""
            self._inside_event = False

    def _receive_field(self, name: str, value: str) -> None:
        self._inside_event = True
        if name == "data":
            self._receive_data_line(value)
        elif name == "event":
            self._event_name = value
        elif name == "id" and "\0" not in value:
            self._last_id = value
        elif name == "retry" and _is_delay(value):
            self._retry_delay = int(value)

    def _receive_data_line(self, value: str) -> None:
        size_limit = self._max_event
        self._data_size += len(value) + 1
        if self._data_size > size_limit + 1:
            raise StreamError(
                f"a server-sent event is longer than {size_limit} characters; raise max_event"
            )
        if self._first_data is None:
            self._first_data = value
            return
        if self._joined_data is None:
            self._joined_data = StringIO()
            self._joined_data.write(self._first_data)
        self._joined_data.write("\n")
        self._joined_data.write(value)

    def _complete_event(self) -> ServerSentEvent:
        data = self._joined_data.getvalue() if self._joined_data else self._first_data or ""
        event_name = self._event_name or "message"
        event = ServerSentEvent(data, event_name, self._last_id, self._retry_delay)
        self._first_data = self._joined_data = self._retry_delay = None
        self._data_size = 0
        return event


class _EventLineDecoder(LineDecoder):
    _limit_name = "max_event"


def encode_sse(event: ServerSentEvent) -> bytes:
    r"""Return the bytes of one event, with the blank line that ends it.

    `data` may have several lines; each kind of line end becomes LF. An empty `id` writes none, so
    a reader keeps the last one. Raises `ConstructionError` for a value that the format cannot hold.

    >>> encode_sse(ServerSentEvent("one\ntwo", event="delta"))
    b'event: delta\ndata: one\ndata: two\n\n'
    """
    lines: list[str] = []
    if event.event != "message":
        lines.append(f"event: {_checked_line('event', event.event, _LINE_ENDS)}")
    if event.id:
        lines.append(f"id: {_checked_line('id', event.id, _LINE_ENDS + chr(0))}")
    if event.retry is not None:
        if type(event.retry) is not int or not _is_delay(str(event.retry)):
            raise ConstructionError("retry", f"a whole number of at most {MAX_RETRY_DIGITS} digits")
        lines.append(f"retry: {event.retry}")
    data = event.data.replace("\r\n", "\n").replace("\r", "\n")
    lines += [f"data: {line}" for line in data.split("\n")]
    try:
        return "".join(f"{line}\n" for line in (*lines, "")).encode()
    except UnicodeEncodeError:
        raise ConstructionError("event", "text without lone surrogates") from None


def _checked_line(member: str, value: str, forbidden: str) -> str:
    if any(character in value for character in forbidden) or not value:
        raise ConstructionError(member, "one line of text, without NUL in an id")
    return value


def _is_delay(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= MAX_RETRY_DIGITS
