"""Signature Version 4 in the Authorization header, for any service: a pure function that returns what to add.

The text to debug with, canonical request and string to sign, is part of the result: services quote theirs when a signature does
not match (see `explain`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import NamedTuple

from .._bodies import Body, Upload
from .._errors import ConstructionError
from .._model import Credentials, Headers, Request
from ._canonical import STANDARD, Dialect, canonical_request
from ._keys import AnyScope, Key, signing_key

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
TEXT = "text without lone surrogates, its headers pairs of such text"
_sha256 = hashlib.sha256


class Signature(NamedTuple):
    """`headers` are the pairs to add to the request; the rest is how they came about.

    Its repr shows the signature only: headers and canonical request may hold a session token.
    """

    headers: Headers
    signature: str
    canonical_request: str
    string_to_sign: str

    def __repr__(self) -> str:
        return f"Signature({self.signature!r}, <{len(self.headers)} headers>)"


ANONYMOUS = Signature((), "", "", "")


def sign(
    request: Request,
    credentials: Credentials | None,
    scope: AnyScope,
    *,
    now: float,
    payload_hash: str | None = None,
    signed_headers: Collection[str] | None = None,
    dialect: Dialect = STANDARD,
) -> Signature:
    """Sign `request` at time `now` (seconds since the epoch); nothing is changed, `.headers` are the pairs to add.

    Signed are the request's own header fields, but those that an HTTP client or proxy may change (`UNSIGNED`), and `host`, taken
    from the URL if no header says it; `signed_headers` are the names to sign instead, beside `host` and every `x-amz-*`. A header
    that is added to the request later is not signed. Fields that this function writes (`x-amz-date`, `x-amz-security-token`,
    `x-amz-content-sha256`, `x-amz-region-set`) replace what the request may hold under the same name.

    `payload_hash` (SHA-256 of the body in hexadecimal, or `UNSIGNED_PAYLOAD`) saves hashing `request.body`. `dialect` is what the
    service does differently, for instance `S3`. A `RegionSet` as `scope` makes it SigV4a. Without `credentials` (None, or
    `credentials.ANONYMOUS`) the request is anonymous, and there is nothing to add. Raises `ConstructionError` if the URL is not
    absolute http(s).
    """
    if credentials is None or not credentials.access_key_id:
        return ANONYMOUS
    key, stamp = signing_key(credentials, scope, now)
    if payload_hash is None:
        payload_hash = hash_payload(request.body)
    authority, path, query = key.target(request.url, dialect)
    token, added, values, canonical = credentials.session_token, {"x-amz-date": stamp}, (), ""
    if dialect.add_payload_hash:
        added["x-amz-content-sha256"] = payload_hash
    if key.region_set is not None:
        added["x-amz-region-set"] = key.region_set
    if token is not None and dialect.sign_session_token:
        added["x-amz-security-token"] = token
    try:
        names, values = zip(*request.headers, strict=True) if request.headers else ((), ())
        lines = key.header_lines(names, added, signed_headers)
        canonical = canonical_request(
            request.method, path, query, lines.of(values, authority, tuple(added.values())), lines.signed, payload_hash
        )
        text = string_to_sign(canonical, stamp, key)
    except (TypeError, ValueError):  # UnicodeEncodeError is one
        del token, added, values, canonical  # what a traceback with locals would show
        raise ConstructionError("request", TEXT) from None
    signature = key.sign(text)
    if token is not None and not dialect.sign_session_token:
        added["x-amz-security-token"] = token
    credential = f"{key.algorithm} Credential={credentials.access_key_id}/{key.scope}"
    added["authorization"] = f"{credential}, SignedHeaders={lines.signed}, Signature={signature}"
    return Signature(tuple(added.items()), signature, canonical, text)


def string_to_sign(canonical: str, stamp: str, key: Key) -> str:
    """Algorithm, time, scope and the hash of the canonical request."""
    hashed = _sha256(canonical.encode()).hexdigest()
    return f"{key.algorithm}\n{stamp}\n{key.scope}\n{hashed}"


def hash_payload(body: Body) -> str:
    """SHA-256 of a body in hexadecimal, as SigV4 wants it; raises `ConstructionError` for one that has to be measured first."""
    try:
        return _sha256(body).hexdigest()
    except TypeError:
        measured: object = body
        if isinstance(measured, Upload):
            return measured.sha256
        raise ConstructionError("body", "bytes, unless a client measures it first") from None
