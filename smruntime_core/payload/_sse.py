"""Lines → server-sent events (WHATWG HTML, section 9.2.6, "Interpreting an event stream").

An event is some lines `name: value` and a blank line. `data` lines are joined by LF, one blank after the colon is not part of
the value, a line that begins with a colon is a comment, names that nobody knows are ignored, an event without `data` is none.

In two places this is stricter than that text, which was written for a browser that connects again when anything is wrong:

* An event without a blank line after it is dropped there when the stream ends. Here it is given
  with `terminated=False` if it has `data`: some containers end their stream right after the last
  line, which says why the model stopped. It may also have been cut in half, which the missing blank
  line alone shows. If it has no `data`, `TruncatedStream` is raised. So call `receive_eof` only
  where the stream around the events (HTTP body, event stream) ended as it must.
* Bytes that are not UTF-8 become U+FFFD there. Here they raise `StreamError` unless `errors="replace"` asks for the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

from ..errors import StreamError, TruncatedStream
from ..values._incremental import MAX_SIZE, IncrementalDecoder, checked_limit
from ..values._record import Record
from ._lines import LineDecoder
from ._text import Errors


class ServerSentEvent(Record):
    """One event.

    `id` is the last one that the stream has named, in this event or before it, else empty. `retry`
    is what the server asks a client to wait before it connects again, in milliseconds, if it has
    said so since the event before. `terminated` is False for the last event of a stream that ended
    without the blank line after it, so perhaps in the middle of the event.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None
    terminated: bool = True


class SSEDecoder(IncrementalDecoder[ServerSentEvent]):
    """A stream of server-sent events in any pieces → `ServerSentEvent`s.

    What ends a stream by agreement (`data: [DONE]`) is an event like any other. Raises
    `StreamError` for bytes that are not UTF-8 (`errors="replace"` puts U+FFFD there), for a line of
    more than `max_event` bytes, or an event whose `data` has more than `max_event` characters;
    `TruncatedStream` if the stream ends within an event that has no `data` yet. A byte order mark
    at the start is ignored.
    """

    def __init__(self, *, max_event: int = MAX_SIZE, errors: Errors = "strict") -> None:
        super().__init__()
        self._max_event = checked_limit("max_event", max_event)
        self._lines = LineDecoder(max_line=max_event, errors=errors)
        self._at_start = True
        self._in_event = False
        self._data: str | None = None  # the first value
        # All values where there are several: a list of short ones would be 20 times their size.
        self._joined: StringIO | None = None
        self._size = 0  # of all values, each with its LF
        self._event = ""
        self._id = ""
        self._retry: int | None = None

    def _read(self, part: bytes) -> Iterator[ServerSentEvent]:
        return self._events_of(self._lines._read(part))

    def _finish(self) -> Iterator[ServerSentEvent]:
        yield from self._events_of(self._lines._finish())
        if self._data is not None:
            last = self._complete()
            yield ServerSentEvent(last.data, last.event, last.id, last.retry, terminated=False)
        elif self._in_event:
            raise TruncatedStream(
                "the stream ended within a server-sent event: there is no blank line after it"
            )

    def _events_of(self, lines: Iterator[str]) -> Iterator[ServerSentEvent]:
        for line in lines:
            if self._at_start:
                line = line.removeprefix("\ufeff")  # noqa: PLW2901 - the line is what is left of it
                self._at_start = False
            if line:
                name, _, value = line.partition(":")
                if name:
                    self._field(name, value.removeprefix(" "))
                continue
            if self._data is not None:
                yield self._complete()
            self._event = ""
            self._in_event = False

    def _field(self, name: str, value: str) -> None:
        self._in_event = True
        if name == "data":
            self._size += len(value) + 1
            if self._size > self._max_event + 1:
                raise StreamError(
                    f"a server-sent event is longer than {self._max_event} characters"
                )
            if self._data is None:
                self._data = value
            else:
                self._joined = self._joined or _started(self._data)
                self._joined.write("\n")
                self._joined.write(value)
        elif name == "event":
            self._event = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif (
            name == "retry" and value.isascii() and value.isdigit() and len(value) <= 18
        ):  # more would be 30 million years
            self._retry = int(value)

    def _complete(self) -> ServerSentEvent:
        data = self._joined.getvalue() if self._joined else self._data or ""
        event = ServerSentEvent(data, self._event or "message", self._id, self._retry)
        self._data = self._joined = self._retry = None
        self._size = 0
        return event


def _started(text: str) -> StringIO:
    buffer = StringIO()
    buffer.write(text)
    return buffer
