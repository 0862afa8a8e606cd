"""The nouns: a request, a response, credentials, a scope, time limits.

None shows a secret in its repr: bodies appear as their size, lists of headers as their length, keys not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, Protocol, Self, TypeAlias

from ..errors import ConstructionError
from ._bodies import Body, Source
from ._record import Record, field
from ._rules import KEY, SCOPE_PART, SECRET

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


def _optional_key(member: str, value: object) -> str | None:
    return None if value is None else KEY.check(member, value)


def _moment(member: str, value: object) -> float | None:
    if value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
    ):
        return value
    raise ConstructionError(
        member,
        "seconds since the epoch (as `datetime.timestamp()` gives them) or None",
        f"found {type(value).__name__}",
    )


class Credentials(Record):
    """AWS credentials. `expires_at` is in seconds since the epoch, or None if they do not expire.

    They refuse to be pickled, and their repr shows the access key id only. Signing keeps the keys
    derived from them in a slot of the object that they belong to (`signing._sigv4`).
    """

    __slots__ = ("signing_keys",)

    access_key_id: str = field(check=KEY.check)
    secret_access_key: str = field(check=SECRET.check, secret=True)
    session_token: str | None = field(default=None, check=_optional_key, secret=True)
    expires_at: float | None = field(default=None, check=_moment)
    account_id: str | None = None

    def __copy__(self) -> Self:
        return self  # frozen

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled: fetch them where they are used")


class Scope(Record):
    """What a signature is good for: a region and a service's signing name."""

    region: str = field(check=SCOPE_PART.check)
    service: str = field(check=SCOPE_PART.check)


def seconds(member: str, value: object) -> float | None:
    """A length of time, None for one without end; raises `ConstructionError`."""
    if value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
    ):
        return value
    raise ConstructionError(member, "a positive number of seconds, or None for no limit")


class Timeouts(Record):
    """Limits in seconds; None means none.

    `connect` bounds name resolution, TCP, the way through a proxy and TLS together; `response` the wait from the last byte sent to
    the whole head of the answer (the service lets a model think for 60 s and advises 70); `idle` any pause while a body moves in
    either direction; `total` the whole call with its retries; `pool` the wait in line while all connections are in use.
    """

    connect: float | None = field(default=3.1, check=seconds)
    response: float | None = field(default=70.0, check=seconds)
    idle: float | None = field(default=20.0, check=seconds)
    total: float | None = field(default=None, check=seconds)
    pool: float | None = field(default=70.0, check=seconds)
