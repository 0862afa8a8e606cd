"""What others make of the same bytes: h11 (all of the grammar as regular expressions) and httptools (llhttp, what Node.js reads with).

Both are told as little as our exchange is: bytes, then the end of the connection.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import h11
import httptools

Fields: TypeAlias = list[tuple[str, str]]
NO_LIMIT = 1 << 30


class Reading(NamedTuple):
    """How one reader took a response: `refused` says why if it did. `keeps` tells whether the connection might serve again."""

    status: int = 0
    fields: Fields = []  # noqa: RUF012 - never written to
    body: bytes = b""
    keeps: bool = False
    refused: str | None = None


def by_h11(raw: bytes) -> Reading:
    """What h11 makes of `raw`, then the end of the connection."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=NO_LIMIT)
    connection.send(_REQUEST)
    connection.send(_REQUEST_END)
    status, fields, body = 0, Fields(), list[bytes]()
    try:
        connection.receive_data(raw)
        fed = False
        while True:
            event = connection.next_event()
            if type(event) is h11.Data:
                body.append(bytes(event.data))
            elif type(event) is h11.Response:
                status = event.status_code
                fields = [
                    (name.decode("latin-1"), value.decode("latin-1"))
                    for name, value in event.headers
                ]
            elif type(event) is h11.EndOfMessage:
                keeps = (
                    connection.their_state is h11.DONE
                    and not connection.trailing_data[0]
                    and not fed
                )
                return Reading(status, fields, b"".join(body), keeps)
            elif event is h11.NEED_DATA and not fed:
                fed = True
                connection.receive_data(b"")
            elif type(event) is not h11.InformationalResponse:
                return Reading(
                    status, fields, b"".join(body), refused=f"{event} where a response was to be"
                )
    except h11.RemoteProtocolError as error:
        return Reading(status, fields, b"".join(body), refused=str(error))


_REQUEST = h11.Request(method="POST", target="/x", headers=[("Host", "h"), ("Content-Length", "0")])
_REQUEST_END = h11.EndOfMessage()


class _Told:
    """What llhttp calls back: the first final message, and whether more followed."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.fields = Fields()
        self.body: list[bytes] = []
        self.in_body = self.over = self.more = self.keeps = False

    def on_message_begin(self) -> None:
        self.more = self.over

    def on_header(self, name: bytes, value: bytes) -> None:
        if not (self.in_body or self.over):
            self.fields.append(
                (name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t"))
            )

    def on_headers_complete(self) -> None:
        if not self.over:
            self.status = self.parser.get_status_code()
            self.in_body = not 100 <= self.status < 200
            if not self.in_body:
                self.fields.clear()

    def on_body(self, data: bytes) -> None:
        if self.in_body:
            self.body.append(data)

    def on_message_complete(self) -> None:
        if self.in_body:
            self.over, self.in_body = True, False
            self.keeps = self.parser.should_keep_alive()


def by_httptools(raw: bytes) -> Reading:
    """What llhttp makes of `raw`; httptools has no word for the end of the connection, so what it means is worked out here."""
    told = _Told()
    try:
        told.parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return Reading(told.status, told.fields, b"".join(told.body))
    except httptools.HttpParserError as error:
        if not told.over:
            return Reading(
                told.status,
                told.fields,
                b"".join(told.body),
                refused=str(error) or type(error).__name__,
            )
        told.more = True
    body = b"".join(told.body)
    if told.over:
        return Reading(told.status, told.fields, body, told.keeps and not told.more)
    names = {name for name, _ in told.fields}
    codings = [value for name, value in told.fields if name == "transfer-encoding"]
    to_the_end = (
        codings[-1].lower().rpartition(",")[2].strip() != "chunked"
        if codings
        else "content-length" not in names
    )
    if told.in_body and to_the_end:
        return Reading(told.status, told.fields, body)
    return Reading(
        told.status, told.fields, body, refused="the connection was closed before the end"
    )
