"""Signature Version 4 in the Authorization header, for any service: a pure function that returns what to add.

    canonical request ── SHA-256 ──┐
    time, scope ───────────────────┴─> string to sign ── HMAC ──> signature
    secret ── HMAC date, region, service, "aws4_request" ──> signing key ──┘

The signing key is good for a day, a region and a service, so it is kept on the `Credentials` object as two SHA-256
states that have read HMAC's padded key already (RFC 2104): a signature then costs three short hashes. The text to debug
with, canonical request and string to sign, is part of the result: services quote theirs when a signature does not match.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Protocol

from .._bodies import Body, Upload
from .._dates import date_of, time_of_day
from .._errors import ConstructionError
from .._model import Credentials, Headers, Request, Scope
from .._record import Record, field
from .._url import split
from ._canonical import HeaderLines, canonical_path, canonical_query, canonical_request

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_sha256 = hashlib.sha256


class Signature(Record):
    """`headers` are the pairs to add to the request; the rest is how they came about.

    Its repr shows the signature only: headers and canonical request may hold a session token.
    """

    headers: Headers = field(secret=True)
    signature: str
    canonical_request: str = field(secret=True)
    string_to_sign: str = field(secret=True)


class _Hash(Protocol):
    def copy(self) -> _Hash: ...
    def update(self, data: bytes, /) -> object: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


UNSIGNED = Signature((), "", "", "")


class SigningKey:
    """What a day's signatures for one region and service share."""

    def __init__(self, key: bytes, date: str, scope: str) -> None:
        self.date = date
        self.scope = scope
        self._inner, self._outer = _hmac_states(key)
        self._lines: dict[tuple[object, ...], HeaderLines] = {}
        self._last = (-1, "")
        self._targets: dict[tuple[str, bool, bool], tuple[str, str, str]] = {}

    def header_lines(self, names: tuple[str, ...], added: Collection[str]) -> HeaderLines:
        """How fields of these `names` are signed together with those `added`."""
        wanted = (names, *added)
        found = self._lines.get(wanted)
        if found is None:
            if len(self._lines) > 64:  # whoever makes up header names works this out anew
                self._lines.clear()
            found = self._lines[wanted] = HeaderLines(names, added)
        return found

    def stamp(self, second: int) -> str:
        """`YYYYMMDDThhmmssZ` for so many seconds after midnight; calls come many to a second."""
        kept, text = self._last
        if kept != second:
            text = self.date + time_of_day(second)
            self._last = second, text  # in one step: threads share it
        return text

    def target(self, url: str, normalize: bool, double_encode: bool) -> tuple[str, str, str]:
        """Authority, canonical path and canonical query of `url`: a client calls few of them, over and over."""
        wanted = url, normalize, double_encode
        found = self._targets.get(wanted)
        if found is None:
            if len(self._targets) > 64:
                self._targets.clear()
            _, authority, path, query = split(url)
            try:
                path = canonical_path(path, normalize=normalize, double_encode=double_encode)
                found = self._targets[wanted] = authority, path, canonical_query(query)
            except UnicodeEncodeError:
                raise ConstructionError("url", "text without lone surrogates") from None
        return found

    def sign(self, text: str) -> str:
        """HMAC-SHA256 of `text` in hexadecimal."""
        inner = self._inner.copy()
        inner.update(text.encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


def sign(
    request: Request,
    credentials: Credentials,
    scope: Scope,
    *,
    now: float,
    payload_hash: str | None = None,
    normalize_path: bool = True,
    double_encode: bool = True,
    add_payload_hash: bool = False,
    sign_session_token: bool = True,
) -> Signature:
    """Sign `request` at time `now` (seconds since the epoch); nothing is changed, `.headers` are the pairs to add.

    Signed are the request's own header fields, but those that an HTTP client or proxy may change, and `host`, taken from the
    URL if no header says it. A header that is added to the request later is not signed. Fields that this function
    writes (`x-amz-date`, `x-amz-security-token`) replace what the request may hold under the same name.

    `payload_hash` (SHA-256 of the body in hexadecimal, or `UNSIGNED_PAYLOAD`) saves hashing `request.body`. S3 wants
    `normalize_path=False, double_encode=False, add_payload_hash=True`; some services want the session token added but not
    signed (`sign_session_token=False`). Nothing is added for `credentials.ANONYMOUS`. Raises `ConstructionError` if the URL is not
    absolute http(s).
    """
    if not credentials.access_key_id:
        return UNSIGNED
    key, stamp = signing_key(credentials, scope, now)
    if payload_hash is None:
        payload_hash = hash_payload(request.body)
    authority, path, query = key.target(request.url, normalize_path, double_encode)
    token, added, values, canonical = credentials.session_token, {"x-amz-date": stamp}, (), ""
    if add_payload_hash:
        added["x-amz-content-sha256"] = payload_hash
    if token is not None and sign_session_token:
        added["x-amz-security-token"] = token
    try:
        names, values = zip(*request.headers, strict=True) if request.headers else ((), ())
        lines = key.header_lines(names, added)
        canonical = canonical_request(request.method, path, query, lines.of(values, authority, added.values()), lines.signed, payload_hash)
        text = string_to_sign(canonical, stamp, key)
    except UnicodeEncodeError:
        del token, added, values, canonical  # what a traceback with locals would show
        raise ConstructionError("request", "text without lone surrogates") from None
    signature = key.sign(text)
    if token is not None and not sign_session_token:
        added["x-amz-security-token"] = token
    credential = f"{ALGORITHM} Credential={credentials.access_key_id}/{key.scope}"
    added["authorization"] = f"{credential}, SignedHeaders={lines.signed}, Signature={signature}"
    return Signature(tuple(added.items()), signature, canonical, text)


def string_to_sign(canonical: str, stamp: str, key: SigningKey) -> str:
    """SigV4 step 2: algorithm, time, scope and the hash of the canonical request."""
    hashed = _sha256(canonical.encode()).hexdigest()
    return f"{ALGORITHM}\n{stamp}\n{key.scope}\n{hashed}"


def hash_payload(body: Body) -> str:
    """SHA-256 of a body in hexadecimal, as SigV4 wants it; raises `ConstructionError` for one that has to be measured first."""
    try:
        return _sha256(body).hexdigest()
    except TypeError:
        measured: object = body
        if isinstance(measured, Upload):
            return measured.sha256
        raise ConstructionError("body", "bytes, unless a client measures it first") from None


def signing_key(credentials: Credentials, scope: Scope, now: float) -> tuple[SigningKey, str]:
    """The key for the day of `now`, kept on `credentials`, and `now` as `YYYYMMDDThhmmssZ`."""
    day, second = divmod(int(now), 86400)
    kept: dict[tuple[int, str, str], SigningKey] = credentials.__dict__.setdefault("_signing_keys", {})
    wanted = day, scope.region, scope.service
    key = kept.get(wanted)
    if key is None:
        if len(kept) > 8:  # yesterday's; whoever signs for more scopes than that derives again
            kept.clear()
        key = kept[wanted] = _derive(credentials.secret_access_key, date_of(day), scope)
    return key, key.stamp(second)


def _derive(secret: str, date: str, scope: Scope) -> SigningKey:
    key = f"AWS4{secret}".encode()
    for part in (date, scope.region, scope.service, "aws4_request"):
        inner, outer = _hmac_states(key)
        inner.update(part.encode())
        outer.update(inner.digest())
        key = outer.digest()
    return SigningKey(key, date, f"{date}/{scope.region}/{scope.service}/aws4_request")


def _hmac_states(key: bytes) -> tuple[_Hash, _Hash]:
    """SHA-256 after reading HMAC's inner and outer padded key (RFC 2104 section 2)."""
    block = (key if len(key) <= 64 else _sha256(key).digest()).ljust(64, b"\0")
    return _sha256(bytes(b ^ 0x36 for b in block)), _sha256(bytes(b ^ 0x5C for b in block))
