"""Decide whether a request may be signed, and add the headers that sign it.

apply ──> remove earlier signature ──> same origin? ──no──> unsigned
                                            └───yes──> signature or token into the headers
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, MutableMapping
from typing import Protocol, TypeAlias, cast

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
from smruntime_core.values import Headers, split_authority, split_url

HeaderFields: TypeAlias = "Iterable[tuple[str | bytes, str | bytes]]"
CredentialsSource: TypeAlias = "Credentials | Callable[[], Credentials]"
Origin: TypeAlias = "tuple[str, str, int]"

SIGNED_HEADERS = ("content-md5", "content-type")
SIGNATURE_HEADERS = (
    "authorization",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-region-set",
    "x-amz-security-token",
)
FILE_CHUNK_SIZE = 256 * 1024  # bytes
# without backslashes, at which some parsers of URLs end the host
_user_information = re.compile(r"^(https?://)[^/?#\\]*@")


class Signer:
    """Base of the signers; with `origin` ("https://host") it signs for that origin only."""

    def __init__(self, origin: str | None) -> None:
        try:
            self._origin: Origin | None = None if origin is None else parse_origin(origin)
        except ConstructionError as error:
            raise ConstructionError("origin", error.rule, f"found {origin!r}") from None

    def apply(
        self,
        method: str,
        url: str,
        headers: MutableMapping[str, str],
        body: object,
        fields: HeaderFields | None = None,
        *,
        first_url: str | None = None,
    ) -> None:
        """Replace an earlier signature in `headers` by one for `method`, `url` and `body`.

        Pass all header fields as `fields` if `headers` hides repeated ones. If the request follows
        a redirect, pass the URL of the first request as `first_url`: a request to another origin
        stays unsigned. Raises `ConstructionError` for a URL or headers that cannot be signed, and
        for a body that cannot be read twice, unless its hash is not needed.
        """
        remove_signature(headers)
        if not self._is_signable(url, first_url):
            return
        all_fields = headers.items() if fields is None else fields
        unsigned_fields = tuple(
            (name, value)
            for name, value in (
                (_decode_field(name), _decode_field(value)) for name, value in all_fields
            )
            if name.lower() not in SIGNATURE_HEADERS
        )
        headers.update(self._signature(method, _strip_url(url), unsigned_fields, body))

    def _is_signable(self, url: str, first_url: str | None) -> bool:
        if self._origin is not None and parse_origin(url) != self._origin:
            return False
        return first_url is None or same_origin(first_url, url)

    def _signature(self, method: str, url: str, headers: Headers, body: object) -> Headers:
        raise NotImplementedError


class SigV4(Signer):
    """A signer with Signature Version 4 for any AWS service, named by its signing name.

    With `sigv4a=True` the signature is SigV4a, valid in a set of regions ("us-*,eu-west-1").
    `payload_hash=UNSIGNED_PAYLOAD` leaves the body unread; S3 accepts that over HTTPS.
    """

    def __init__(
        self,
        credentials: CredentialsSource | None,
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

    def _signature(self, method: str, url: str, headers: Headers, body: object) -> Headers:
        credentials = self._credentials() if callable(self._credentials) else self._credentials
        signed_request = sign(
            Request(method, url, headers),
            credentials,
            self._scope,
            now=self._clock(),
            payload_hash=self._payload_hash or _hash_body(body),
            signed_headers=sorted({name for name, _ in headers if _is_signed(name.lower())}),
            dialect=self._dialect,
        )
        return signed_request.headers


class Bearer(Signer):
    """A signer with a bearer token, which it replaces before the token expires.

    An instance is a function that returns the token, as `OpenAI(api_key=...)` accepts.
    `AsyncOpenAI` awaits its `api_key`: pass `bearer.awaited`.
    """

    def __init__(
        self,
        credentials: CredentialsSource,
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
        """Return the token to a caller that awaits it."""
        return self()

    def _signature(self, method: str, url: str, headers: Headers, body: object) -> Headers:
        del method, url, headers, body
        return (("authorization", f"Bearer {self()}"),)


def remove_signature(headers: MutableMapping[str, str]) -> None:
    """Delete the headers that an earlier signature added."""
    for name in [name for name in headers if name.lower() in SIGNATURE_HEADERS]:
        del headers[name]


def same_origin(first_url: str, second_url: str) -> bool:
    """Return whether scheme, host and port are the same; raises `ConstructionError` for no URL."""
    return parse_origin(first_url) == parse_origin(second_url)


def parse_origin(url: str) -> Origin:
    """Return scheme, host and port of `url`; raises `ConstructionError` if it has none."""
    scheme, authority, _, _ = split_url(_strip_url(url))
    return (scheme, *split_authority(scheme, authority.lower()))


def encode_text(body: object) -> object:
    """Encode `body` as UTF-8 if it is text; raises `ConstructionError` for lone surrogates."""
    if not isinstance(body, str):
        return body
    try:
        return body.encode()
    except UnicodeEncodeError:
        raise ConstructionError("body", "text that UTF-8 can encode", "lone surrogates") from None


def _is_signed(name: str) -> bool:
    return name in SIGNED_HEADERS or (name.startswith("x-amz") and name not in UNSIGNED)


def _strip_url(url: str) -> str:
    """Return `url` without user information and fragment, which are not sent."""
    return _user_information.sub(r"\1", url.partition("#")[0])


def _decode_field(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("latin-1")


class _SeekableFile(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def tell(self) -> int: ...
    def seek(self, offset: int, /) -> int: ...


def _hash_body(body: object) -> str:
    """Return the SHA-256 of a body in the types that HTTP clients accept."""
    encoded_body = b"" if body is None else encode_text(body)
    try:
        if isinstance(encoded_body, bytes | bytearray | memoryview):
            return hash_payload(cast("bytes", encoded_body))
        return _hash_file(cast("_SeekableFile", body))
    except (AttributeError, TypeError, OSError, ValueError, BufferError):
        expected = "bytes, text or a seekable binary file; or give payload_hash"
        raise ConstructionError("body", expected, f"found {type(body).__name__}") from None


def _hash_file(file: _SeekableFile) -> str:
    """Return the SHA-256 of `file` from its position, which is restored."""
    running_hash, start_position = hashlib.sha256(), file.tell()
    while file_chunk := file.read(FILE_CHUNK_SIZE):
        running_hash.update(file_chunk)
    file.seek(start_position)
    return running_hash.hexdigest()
