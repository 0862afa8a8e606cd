"""Two other readers of HTTP/1.1, as judges: h11 and httptools (llhttp, the parser of Node.js).

h11 implements the whole grammar as regular expressions. Both receive what our exchange receives:
bytes, then the end of the connection.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import h11
import httptools

Fields: TypeAlias = list[tuple[str, str]]
UNLIMITED = 1 << 30  # bytes


class Reading(NamedTuple):
    """How one reader understood a response.

    `refusal` is the reason if it refused it; `keeps_alive` whether the connection may be reused.
    """

    status: int = 0
    fields: Fields = []  # noqa: RUF012 - never changed
    body: bytes = b""
    keeps_alive: bool = False
    refusal: str | None = None


def read_with_h11(data: bytes) -> Reading:
    """Return how h11 reads `data` and then the end of the connection."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=UNLIMITED)
    connection.send(_REQUEST)
    connection.send(_REQUEST_END)
    status, fields, body_parts = 0, Fields(), list[bytes]()
    try:
        connection.receive_data(data)
        reached_end = False
        while True:
            event = connection.next_event()
            if type(event) is h11.Data:
                body_parts.append(bytes(event.data))
            elif type(event) is h11.Response:
                status = event.status_code
                fields = [
                    (field_name.decode("latin-1"), value.decode("latin-1"))
                    for field_name, value in event.headers
                ]
            elif type(event) is h11.EndOfMessage:
                is_done = connection.their_state is h11.DONE
                keeps_alive = is_done and not connection.trailing_data[0] and not reached_end
                return Reading(status, fields, b"".join(body_parts), keeps_alive)
            elif event is h11.NEED_DATA and not reached_end:
                reached_end = True
                connection.receive_data(b"")
            elif type(event) is not h11.InformationalResponse:
                refusal = f"{event} instead of a response"
                return Reading(status, fields, b"".join(body_parts), refusal=refusal)
    except h11.RemoteProtocolError as error:
        return Reading(status, fields, b"".join(body_parts), refusal=str(error))


_REQUEST = h11.Request(method="POST", target="/x", headers=[("Host", "h"), ("Content-Length", "0")])
_REQUEST_END = h11.EndOfMessage()


class _ResponseListener:
    """The callbacks of httptools: collects the first final response, and notes what follows it."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.fields = Fields()
        self.body_parts: list[bytes] = []
        self.in_body = self.is_complete = self.has_more = self.keeps_alive = False

    def on_message_begin(self) -> None:
        self.has_more = self.is_complete

    def on_header(self, field_name: bytes, value: bytes) -> None:
        if not (self.in_body or self.is_complete):
            name = field_name.decode("latin-1").lower()
            self.fields.append((name, value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        if not self.is_complete:
            self.status = self.parser.get_status_code()
            self.in_body = not 100 <= self.status < 200
            if not self.in_body:
                self.fields.clear()

    def on_body(self, data: bytes) -> None:
        if self.in_body:
            self.body_parts.append(data)

    def on_message_complete(self) -> None:
        if self.in_body:
            self.is_complete, self.in_body = True, False
            self.keeps_alive = self.parser.should_keep_alive()

    def ends_with_connection(self) -> bool:
        """Return whether the body that is being read lasts until the connection ends."""
        codings = [value for name, value in self.fields if name == "transfer-encoding"]
        if codings:
            last_coding = codings[-1].lower().rpartition(",")[2].strip()
            return self.in_body and last_coding != "chunked"
        return self.in_body and all(name != "content-length" for name, _ in self.fields)

    def reading(self, *, keeps_alive: bool = False, refusal: str | None = None) -> Reading:
        """Return what was collected."""
        body = b"".join(self.body_parts)
        return Reading(self.status, self.fields, body, keeps_alive, refusal)


def read_with_httptools(data: bytes) -> Reading:
    """Return how llhttp reads `data` and then the end of the connection.

    httptools cannot be told of that end, so its meaning is derived here.
    """
    listener = _ResponseListener()
    try:
        listener.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        return listener.reading()
    except httptools.HttpParserError as error:
        if not listener.is_complete:
            return listener.reading(refusal=str(error) or type(error).__name__)
        listener.has_more = True
    if listener.is_complete:
        return listener.reading(keeps_alive=listener.keeps_alive and not listener.has_more)
    if listener.ends_with_connection():
        return listener.reading()
    return listener.reading(refusal="the connection was closed before the end")
