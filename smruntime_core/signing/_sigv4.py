"""Signature Version 4 in the Authorization header, for any service.

`sign` is a pure function that returns what to add to a request. The canonical request and the
string to sign are part of the result, because services quote theirs when a signature does not match
(see `explain`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import NamedTuple

from ..errors import ConstructionError
from ..values._bodies import Body, Upload
from ..values._credentials import Credentials, Scope
from ..values._dates import format_date, format_time
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
TEXT_RULE = "text without lone surrogates, its headers pairs of such text"
MAX_KEYS = 8  # kept on each credentials: those of a few scopes, and the day before
_sha256 = hashlib.sha256


class Signature(NamedTuple):
    """The signature of a request.

    `headers` are the pairs to add to the request; the other members show what was signed.

    The repr shows the signature only: headers and canonical request may hold a session token.
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
    """Sign `request` at `now`, in seconds since the epoch, and return the header fields to add.

    All fields of the request are signed except those that a proxy may change (`UNSIGNED`);
    `host` is signed too, taken from the URL if the request has none. `signed_headers` are the names
    to sign instead, besides `host` and every `x-amz-*`. The returned fields `x-amz-date`,
    `x-amz-security-token`, `x-amz-content-sha256` and `x-amz-region-set` replace fields of the
    request with these names.

    `payload_hash` (SHA-256 of the body in hexadecimal, or `UNSIGNED_PAYLOAD`) saves hashing
    `request.body`. `dialect` selects the rules of a service that differ, for instance `S3`. A
    `RegionSet` as `scope` selects SigV4a. Without `credentials` (None, or `credentials.ANONYMOUS`)
    there is nothing to add. Raises `ConstructionError` if the URL is not absolute http(s).
    """
    if credentials is None or not credentials.access_key_id:
        return ANONYMOUS
    key, timestamp = signing_key(credentials, scope, now)
    if payload_hash is None:
        payload_hash = hash_payload(request.body)
    authority, path, query = canonical_target(request.url, dialect)
    added_headers = {"x-amz-date": timestamp}
    if dialect.add_payload_hash:
        added_headers["x-amz-content-sha256"] = payload_hash
    if key.region_set is not None:
        added_headers["x-amz-region-set"] = key.region_set
    token = credentials.session_token
    if token is not None and dialect.sign_session_token:
        added_headers["x-amz-security-token"] = token
    try:
        headers = canonical_headers(request.headers)
        headers.setdefault("host", authority)
        headers.update(added_headers)
        header_names = signed_names(headers, signed_headers)
        canonical_text = canonical_request(
            request.method, path, query, headers, header_names, payload_hash
        )
        text_to_sign = string_to_sign(canonical_text, timestamp, key)
    except (TypeError, ValueError):  # UnicodeEncodeError is one
        raise ConstructionError("request", TEXT_RULE) from None
    signature = key.sign(text_to_sign)
    if token is not None:
        added_headers["x-amz-security-token"] = token
    added_headers["authorization"] = (
        f"{key.algorithm} Credential={credentials.access_key_id}/{key.scope}, "
        f"SignedHeaders={';'.join(header_names)}, Signature={signature}"
    )
    return Signature(tuple(added_headers.items()), signature, canonical_text, text_to_sign)


def signing_key(credentials: Credentials, scope: AnyScope, now: float) -> tuple[Key, str]:
    """Return the key for the day of `now`, kept on `credentials`, and `now` as `YYYYMMDDThhmmssZ`.

    Threads may share credentials: each assignment is one step, and at worst two threads derive the
    same key.
    """
    try:
        # a slot and not a member of the record, so type checkers do not know it
        kept_keys: dict[object, Key] = getattr(credentials, "signing_keys")  # noqa: B009
    except AttributeError:
        kept_keys = {}
        object.__setattr__(credentials, "signing_keys", kept_keys)
    day_of_epoch, second_of_day = divmod(int(now), 86400)
    key_identity = day_of_epoch, scope.region, scope.service, type(scope)
    key = kept_keys.get(key_identity)
    if key is None:
        if len(kept_keys) >= MAX_KEYS:
            kept_keys.clear()
        key = kept_keys[key_identity] = _derive_key(credentials, format_date(day_of_epoch), scope)
    return key, key.date + format_time(second_of_day)


def _derive_key(credentials: Credentials, date: str, scope: AnyScope) -> Key:
    if isinstance(scope, Scope):
        return HmacKey(credentials.secret_access_key, date, scope)
    from ._sigv4a import EcdsaKey  # needs cryptography

    return EcdsaKey(credentials, date, scope)


def string_to_sign(canonical_text: str, timestamp: str, key: Key) -> str:
    """Return algorithm, time, scope and the hash of the canonical request (SigV4 step 3)."""
    return (
        f"{key.algorithm}\n{timestamp}\n{key.scope}\n{_sha256(canonical_text.encode()).hexdigest()}"
    )


def hash_payload(body: Body) -> str:
    """Return the SHA-256 of a body in hexadecimal.

    Raises `ConstructionError` for a file or an iterator, which a client measures first.
    """
    try:
        return _sha256(body).hexdigest()
    except TypeError:
        measured: object = body
        if isinstance(measured, Upload):
            return measured.sha256
        raise ConstructionError("body", "bytes, unless a client measures it first") from None
