"""Signature Version 4 in the Authorization header, for any service: a pure function that returns what to add.

The text to debug with, canonical request and string to sign, is part of the result: services quote theirs when a signature does
not match (see `explain`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import NamedTuple

from ..errors import ConstructionError
from ..values._bodies import Body, Upload
from ..values._credentials import Credentials, Scope
from ..values._dates import date_of, time_of_day
from ..values._http import Headers, Request
from ._canonical import (
    STANDARD,
    Dialect,
    canonical_headers,
    canonical_request,
    canonical_target,
    signed_names,
)
from ._keys import AnyScope, HmacKey, Key

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
TEXT = "text without lone surrogates, its headers pairs of such text"
MAX_KEYS = 8  # kept for each credentials: yesterday's too, and those of a few scopes
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
    authority, path, query = canonical_target(request.url, dialect)
    written = {"x-amz-date": stamp}
    if dialect.add_payload_hash:
        written["x-amz-content-sha256"] = payload_hash
    if key.region_set is not None:
        written["x-amz-region-set"] = key.region_set
    token = credentials.session_token
    if token is not None and dialect.sign_session_token:
        written["x-amz-security-token"] = token
    try:
        headers = {"host": authority, **canonical_headers(request.headers), **written}
        names = signed_names(headers, signed_headers)
        canonical = canonical_request(request.method, path, query, headers, names, payload_hash)
        text = string_to_sign(canonical, stamp, key)
    except (TypeError, ValueError):  # UnicodeEncodeError is one
        raise ConstructionError("request", TEXT) from None
    signature = key.sign(text)
    if token is not None:
        written["x-amz-security-token"] = token
    credential = f"{key.algorithm} Credential={credentials.access_key_id}/{key.scope}"
    written["authorization"] = (
        f"{credential}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return Signature(tuple(written.items()), signature, canonical, text)


class _SigningKeys:
    """The keys of some credentials, and the one used last together with its second as text."""

    def __init__(self) -> None:
        self.keys: dict[object, Key] = {}
        self.last: tuple[int, AnyScope | None, tuple[Key, str]] = -1, None, (Key("", ""), "")


def signing_key(credentials: Credentials, scope: AnyScope, now: float) -> tuple[Key, str]:
    """Return the key for the day of `now`, kept on `credentials`, and `now` as `YYYYMMDDThhmmssZ`.

    Threads may share credentials: each assignment is one step, and at worst two threads derive the
    same key.
    """
    try:
        kept: _SigningKeys = getattr(credentials, "signing_keys")  # noqa: B009 - a slot, which no stub can say of a record
    except AttributeError:
        kept = _SigningKeys()
        object.__setattr__(credentials, "signing_keys", kept)
    moment = int(now)
    last_moment, last_scope, found = kept.last
    if moment == last_moment and scope is last_scope:
        return found
    day, second = divmod(moment, 86400)
    wanted = day, scope.region, scope.service, type(scope)
    key = kept.keys.get(wanted)
    if key is None:
        if len(kept.keys) >= MAX_KEYS:
            kept.keys.clear()
        key = kept.keys[wanted] = _derive(credentials, date_of(day), scope)
    found = key, key.date + time_of_day(second)
    kept.last = moment, scope, found
    return found


def _derive(credentials: Credentials, date: str, scope: AnyScope) -> Key:
    if isinstance(scope, Scope):
        return HmacKey(credentials.secret_access_key, date, scope)
    from ._sigv4a import EcdsaKey  # needs cryptography

    return EcdsaKey(credentials, date, scope)


def string_to_sign(canonical: str, stamp: str, key: Key) -> str:
    """Return algorithm, time, scope and the hash of the canonical request."""
    return f"{key.algorithm}\n{stamp}\n{key.scope}\n{_sha256(canonical.encode()).hexdigest()}"


def hash_payload(body: Body) -> str:
    """SHA-256 of a body in hexadecimal, as SigV4 wants it; raises `ConstructionError` for one that has to be measured first."""
    try:
        return _sha256(body).hexdigest()
    except TypeError:
        measured: object = body
        if isinstance(measured, Upload):
            return measured.sha256
        raise ConstructionError("body", "bytes, unless a client measures it first") from None
