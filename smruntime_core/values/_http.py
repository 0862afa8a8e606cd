"""HTTP requests and responses, whose reprs show sizes in place of bodies and header fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TypeAlias

from ._bodies import Body, Source
from ._record import Record

Headers: TypeAlias = "tuple[tuple[str, str], ...]"


class Request(Record):
    """An HTTP request: `url` absolute, `headers` as pairs in the order they are sent.

    It is taken as given: what HTTP/1.1 cannot carry is refused where it is written to a wire. The
    request of an operation that was given a file or an iterator has a `Source` as `body`; the reply
    of the IO to `Measure` takes its place.
    """

    method: str
    url: str
    headers: Headers = ()
    body: Body = b""

    def with_body(self, body: object) -> Self:
        """Return the same request with a body that has been measured."""
        return self.replace(body=body)

    def __repr__(self) -> str:
        url, _, query = self.url.partition("?")  # a presigned URL bears its signature in the query
        shown = f"{url}?<{len(query)} characters>" if query else url
        body: object = self.body
        size = repr(body) if isinstance(body, Source) else f"<{len(self.body)} bytes>"
        return f"Request({self.method} {shown}, <{len(self.headers)} headers>, {size})"


def by_name(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return header fields by lower-case name, repeated ones joined by commas (RFC 9110, 5.3)."""
    found = {name.lower(): value for name, value in headers}
    if len(found) < len(headers):
        repeated: dict[str, list[str]] = {}
        for name, value in headers:
            repeated.setdefault(name.lower(), []).append(value)
        return {name: ", ".join(values) for name, values in repeated.items()}
    return found


MAX_ERROR_BODY = (
    1024 * 1024
)  # bytes of an error's body that are read; what is cut there is `truncated`


class Response(Record):
    """An HTTP response, its body whole, or cut and `truncated` if it was an error's and too long or broken off.

    Header values are the received bytes read as latin-1, so `value.encode("latin-1")` gives them back exactly.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""
    truncated: bool = False

    @property
    def named(self) -> Mapping[str, str]:
        """Header fields by lower-case name, repeated ones joined by commas (RFC 9110, 5.3)."""
        return by_name(self.headers)

    def __repr__(self) -> str:
        return f"Response({self.status}, <{len(self.headers)} headers>, <{len(self.body)} bytes>{', truncated' * self.truncated})"


class ResponseBody(Protocol):
    """A body that has not been read: whatever the IO that opened it needs to read on."""

    def abort(self) -> None:
        """Let go of it and close its connection unless it was read to its end. Never waits; a second time it does nothing."""
        ...


class StreamingResponse(Record):
    """A response whose head has arrived, its `body` unread; header values are as in `Response`."""

    status: int
    headers: Headers
    body: ResponseBody

    def __repr__(self) -> str:
        return f"StreamingResponse({self.status}, <{len(self.headers)} headers>)"
