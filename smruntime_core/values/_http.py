"""HTTP requests and responses; their reprs show sizes in place of bodies and header fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TypeAlias

from ._bodies import Body, Source
from ._record import Record

Headers: TypeAlias = "tuple[tuple[str, str], ...]"

MAX_ERROR_BODY = 1024 * 1024  # bytes read of an error's body; a longer one is `truncated`


class Request(Record):
    """An HTTP request: an absolute URL, and header fields in the order they are sent.

    Its members are not checked here: `_rules` checks the members of operations, and what HTTP/1.1
    cannot carry is refused by `http1._request_writer`. If an operation was given a file or an
    iterator, its request has a `Source` as `body`, until the IO has measured it.
    """

    method: str
    url: str
    headers: Headers = ()
    body: Body = b""

    def with_body(self, body: object) -> Self:
        """Return the same request with a body that has been measured."""
        return self.replace(body=body)

    def __repr__(self) -> str:
        url, _, query = self.url.partition("?")  # the query of a presigned URL holds its signature
        shown_url = f"{url}?<{len(query)} characters>" if query else url
        body: object = self.body
        shown_body = repr(body) if isinstance(body, Source) else f"<{len(self.body)} bytes>"
        return f"Request({self.method} {shown_url}, <{len(self.headers)} headers>, {shown_body})"


def fields_by_name(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return header fields by lower-case name, repeated ones joined by commas (RFC 9110, 5.3)."""
    fields = {name.lower(): value for name, value in headers}
    if len(fields) < len(headers):
        repeated: dict[str, list[str]] = {}
        for name, value in headers:
            repeated.setdefault(name.lower(), []).append(value)
        return {name: ", ".join(values) for name, values in repeated.items()}
    return fields


class Response(Record):
    """An HTTP response with its whole body, or with the start of an error's body (`truncated`).

    Header values are the received bytes decoded as latin-1, so `value.encode("latin-1")` returns
    those bytes.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    truncated: bool = False

    @property
    def named(self) -> Mapping[str, str]:
        """Header fields by lower-case name, repeated ones joined by commas (RFC 9110, 5.3)."""
        return fields_by_name(self.headers)

    def __repr__(self) -> str:
        body = f"<{len(self.body)} bytes>{', truncated' * self.truncated}"
        return f"Response({self.status}, <{len(self.headers)} headers>, {body})"


class ResponseBody(Protocol):
    """A body that has not been read: whatever the IO that opened it needs to read on."""

    def abort(self) -> None:
        """Stop reading; close the connection unless the body was read to its end.

        Never waits; further calls do nothing; any thread may call it. Where a library closes by
        awaiting, start a task that does so and keep a reference to it.
        """
        ...


class StreamingResponse(Record):
    """A response with an unread `body`; header values are as in `Response`."""

    status: int
    headers: Headers
    body: ResponseBody

    def __repr__(self) -> str:
        return f"StreamingResponse({self.status}, <{len(self.headers)} headers>)"
