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
from ..values._messages import Credentials, Headers, Request
from ._canonical import STANDARD, Dialect, canonical_request
from ._keys import AnyScope, Key, Outline, signing_key

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
TEXT = "text without lone surrogates, its headers pairs of such text"
_TIME = "\nx-amz-date:"
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
    form = request.form if dialect is STANDARD and signed_headers is None else None
    signed_with = outline = None
    if form is not None and form.headers is request.headers:
        signed_with, outline = form.signing  # in one step: other threads may be signing with other keys
    if outline is None or signed_with is not key:
        outline = _known_outline(request, credentials, key, payload_hash, signed_headers, dialect)
    canonical = f"{outline.before}{stamp}{outline.after}{payload_hash}"
    text = string_to_sign(canonical, stamp, key)
    signature = key.sign(text)
    headers = ("x-amz-date", stamp), *outline.fields, ("authorization", outline.authorization + signature)
    # `Signature(…)` at half the price; what `tuple.__new__` takes is of no one type to pyright
    return tuple.__new__(Signature, (headers, signature, canonical, text))  # pyright: ignore[reportUnknownMemberType]


def _known_outline(
    request: Request, credentials: Credentials, key: Key, payload_hash: str, signed_headers: Collection[str] | None, dialect: Dialect
) -> Outline:
    """The outline of `request`, kept if others may have the same."""
    if dialect is not STANDARD or signed_headers is not None:
        return _outline(request, credentials, key, payload_hash, signed_headers, dialect)
    try:
        found = key.outlines.get((request.method, request.url, request.headers))
    except TypeError:  # headers in lists, which are taken too
        return _outline(request, credentials, key, payload_hash, signed_headers, dialect)
    if found is None:
        made = _outline(request, credentials, key, payload_hash, signed_headers, dialect)
        found = key.outlines.keep((request.method, request.url, request.headers), made)
    form = request.form
    if form is not None and form.headers is request.headers:
        form.signing = key, found
    return found


def _outline(
    request: Request, credentials: Credentials, key: Key, payload_hash: str, signed_headers: Collection[str] | None, dialect: Dialect
) -> Outline:
    """What `sign` says, but for the time and the hash of the body."""
    authority, path, query = key.target(request.url, dialect)
    token, values, canonical, fields = credentials.session_token, (), "", dict[str, str]()
    if dialect.add_payload_hash:
        fields["x-amz-content-sha256"] = payload_hash
    if key.region_set is not None:
        fields["x-amz-region-set"] = key.region_set
    if token is not None and dialect.sign_session_token:
        fields["x-amz-security-token"] = token
    try:
        names, values = zip(*request.headers, strict=True) if request.headers else ((), ())
        lines = key.header_lines(names, ("x-amz-date", *fields), signed_headers)
        canonical = canonical_request(request.method, path, query, lines.of(values, authority, ("", *fields.values())), lines.signed, "")
        canonical.encode()
        time = canonical.index(_TIME, len(request.method)) + len(_TIME)  # a URL holds no line end, nor does a value
    except (TypeError, ValueError):  # UnicodeEncodeError is one
        del token, values, canonical, fields  # what a traceback with locals would show
        raise ConstructionError("request", TEXT) from None
    if token is not None and not dialect.sign_session_token:
        fields["x-amz-security-token"] = token
    credential = f"{key.algorithm} Credential={credentials.access_key_id}/{key.scope}"
    authorization = f"{credential}, SignedHeaders={lines.signed}, Signature="
    return Outline(canonical[:time], canonical[time:], tuple(fields.items()), authorization)


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
