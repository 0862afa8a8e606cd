"""Signing for HTTP clients that people have already: a few lines of glue for each library over what is written here once.

    SigV4(credentials, region="eu-west-1", service="sagemaker")     a signature, for any AWS service
    Bearer(credentials, region="eu-west-1")                         a bearer token, for the OpenAI-compatible path

    httpx, httpx2       Client(auth=auth.httpx.Auth(signer)), AsyncClient likewise
    requests, niquests  session.auth = auth.requests.Auth(signer)
    aiohttp             ClientSession(middlewares=[auth.aiohttp.Middleware(signer)])
    urllib3             auth.urllib3.PoolManager(signer)
    http.client         auth.http_client.request(connection, signer, "POST", "/path", body)

Between signing and sending a library may do what it likes to all headers but those that it has no business with: signed are `host`,
`content-type`, `content-md5` and what begins with `x-amz`. What it does to the URL and the body before, each glue looks at as late as
it can. A redirect within the same origin is signed anew, for what was signed is another URL; one to another origin is not, where the
library says that it is one (all but aiohttp: give `origin` there, if the server could send you anywhere).

Signers are safe for threads. `credentials` may be a function that gives them each time; it should keep them, and not wait.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, MutableMapping
from typing import Protocol, TypeAlias, cast
from urllib.parse import urlsplit

from smruntime_core import ConstructionError, Credentials, Request, Scope
from smruntime_core.signing import (
    STANDARD,
    UNSIGNED,
    BearerToken,
    Dialect,
    RegionSet,
    hash_payload,
    sign,
)
from smruntime_core.values import Headers

__all__ = ["Bearer", "SigV4", "Signer"]

Fields: TypeAlias = "Iterable[tuple[str | bytes, str | bytes]]"
Source: TypeAlias = "Credentials | Callable[[], Credentials]"

SIGNED = ("content-md5", "content-type")
WRITTEN = (
    "authorization",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-region-set",
    "x-amz-security-token",
)
REDIRECTS = 20
_user_info = re.compile("^(https?://)[^/?#]*@")


class Signer:
    """What a glue needs: the headers that make a request acceptable. With `origin` ("https://host") it adds them there only."""

    def __init__(self, origin: str | None) -> None:
        self._origin = origin

    def apply(
        self,
        method: str,
        url: str,
        headers: MutableMapping[str, str],
        body: object,
        fields: Fields | None = None,
    ) -> None:
        """Put into `headers` what `method`, `url` and `body` need, in place of what an earlier signature has left.

        `fields` are all header fields, where `headers` does not show those that are repeated. Raises `ConstructionError` for a
        body that cannot be read twice, unless its hash is not needed.
        """
        strip(headers)
        if self._origin is None or same_origin(self._origin, url):
            found = [
                (_text(name), _text(value))
                for name, value in (headers.items() if fields is None else fields)
            ]
            kept = tuple((name, value) for name, value in found if name.lower() not in WRITTEN)
            headers.update(
                self._added(method, _user_info.sub(r"\1", url.partition("#")[0]), kept, body)
            )

    def _added(self, method: str, url: str, headers: Headers, body: object) -> Headers:
        raise NotImplementedError


class SigV4(Signer):
    """Signs each request. `service` is a signing name; with a region like "us-*,eu-west-1" and `sigv4a=True` it is SigV4a.

    `payload_hash=UNSIGNED_PAYLOAD` leaves the body unread, where the service takes that (S3 does, over HTTPS).
    """

    def __init__(
        self,
        credentials: Source | None,
        region: str,
        service: str = "sagemaker",
        *,
        dialect: Dialect = STANDARD,
        payload_hash: str | None = None,
        sigv4a: bool = False,
        origin: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(origin)
        self._credentials = credentials
        self._scope = RegionSet(region, service) if sigv4a else Scope(region, service)
        self._dialect = dialect
        self._payload_hash = payload_hash
        self._clock = clock

    def _added(self, method: str, url: str, headers: Headers, body: object) -> Headers:
        credentials = self._credentials() if callable(self._credentials) else self._credentials
        made = sign(
            Request(method, url, headers),
            credentials,
            self._scope,
            now=self._clock(),
            payload_hash=self._payload_hash or _hash(body),
            signed_headers=sorted({name for name, _ in headers if _is_signed(name.lower())}),
            dialect=self._dialect,
        )
        return made.headers


class Bearer(Signer):
    """Adds a bearer token, and replaces it before it ends.

    Called, it gives the token: `OpenAI` takes it as `api_key`. `AsyncOpenAI` awaits what it calls, so it takes `bearer.awaited`.
    """

    def __init__(
        self,
        credentials: Source,
        region: str,
        *,
        service: str = "sagemaker",
        expires: int = 43_200,
        origin: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(origin)
        self._token = BearerToken(credentials, region, service=service, expires=expires)
        self._clock = clock

    def __call__(self) -> str:
        return self._token.at(self._clock())

    async def awaited(self) -> str:
        """The same for who awaits it."""
        return self()

    def _added(self, method: str, url: str, headers: Headers, body: object) -> Headers:
        del method, url, headers, body
        return (("authorization", f"Bearer {self()}"),)


def _is_signed(name: str) -> bool:
    return name in SIGNED or (name.startswith("x-amz") and name not in UNSIGNED)


def strip(headers: MutableMapping[str, str]) -> None:
    """Take away what an earlier signature has left."""
    for name in [name for name in headers if name.lower() in WRITTEN]:
        del headers[name]


def same_origin(one: str, other: str) -> bool:
    """Scheme, host and port are the same."""
    a, b = urlsplit(one), urlsplit(other)
    ports = {"http": 80, "https": 443}
    return (a.scheme, a.hostname, a.port or ports.get(a.scheme)) == (
        b.scheme,
        b.hostname,
        b.port or ports.get(b.scheme),
    )


def _text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("latin-1")


class _File(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def tell(self) -> int: ...
    def seek(self, offset: int, /) -> int: ...


def _hash(body: object) -> str:
    """SHA-256 of a body in the forms that HTTP clients take; a file is read from where it stands, and left there."""
    if body is None or isinstance(body, str):
        return hash_payload((body or "").encode())
    if isinstance(body, bytes | bytearray | memoryview):
        return hash_payload(cast("bytes", body))
    try:
        return _hash_of_file(cast("_File", body))
    except (AttributeError, TypeError, OSError):
        rule = "bytes, text or a seekable binary file; or give payload_hash"
        raise ConstructionError("body", rule, f"found {type(body).__name__}") from None


def _hash_of_file(file: _File) -> str:
    made, start = hashlib.sha256(), file.tell()
    while data := file.read(256 * 1024):
        made.update(data)
    file.seek(start)
    return made.hexdigest()
