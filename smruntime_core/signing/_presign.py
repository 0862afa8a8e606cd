"""A signature in the query: a URL that anybody may use, as it is, until it expires."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import ConstructionError
from ..values._credentials import Credentials
from ..values._http import Request
from ..values._record import Record, field
from ._canonical import (
    STANDARD,
    Dialect,
    canonical_headers,
    canonical_query,
    canonical_request,
    canonical_target,
    encode_value,
    signed_names,
    strictly,
)
from ._keys import AnyScope, Key
from ._sigv4 import TEXT, UNSIGNED_PAYLOAD, hash_payload, signing_key, string_to_sign
from ._verify import MAX_EXPIRES

WRITTEN = frozenset(
    f"X-Amz-{name}"
    for name in (
        "Algorithm",
        "Credential",
        "Date",
        "Expires",
        "SignedHeaders",
        "Security-Token",
        "Region-Set",
        "Signature",
    )
)
_DROPPED = ("x-amz-date", "x-amz-security-token")  # in the query form they are parameters


class Presigned(Record):
    """`url` is what to call, with the request's method and its signed headers; the rest is how it came about.

    Its repr shows the signature's string to sign only: whoever has the URL may use it.
    """

    url: str = field(secret=True)
    signature: str = field(secret=True)
    canonical_request: str = field(secret=True)
    string_to_sign: str


def presign(
    request: Request,
    credentials: Credentials | None,
    scope: AnyScope,
    *,
    now: float,
    expires: int = 3600,
    payload_hash: str | None = None,
    signed_headers: Collection[str] | None = None,
    dialect: Dialect = STANDARD,
) -> Presigned:
    """`request` as a URL that is good from `now` (seconds since the epoch) for `expires` seconds, at most seven days.

    Whoever calls it must send the method, the signed headers and the body that `request` has: all of its headers are signed but those
    of `UNSIGNED`; `signed_headers` are the names to sign instead, beside `host` and every `x-amz-*`. `payload_hash` is as for `sign`;
    S3 takes `UNSIGNED_PAYLOAD` here, which is therefore what its dialect signs. A session token that expires sooner ends the URL sooner.
    Parameters that this function writes replace those of the URL. Without `credentials` the URL is as it was. Raises
    `ConstructionError` if the URL is not absolute http(s) or `expires` is out of range.
    """
    if type(expires) is not int or not 1 <= expires <= MAX_EXPIRES:
        raise ConstructionError("expires", f"whole seconds from 1 to {MAX_EXPIRES}")
    if credentials is None or not credentials.access_key_id:
        return Presigned(request.url, "", "", "")
    key, stamp = signing_key(credentials, scope, now)
    if payload_hash is None:
        payload_hash = UNSIGNED_PAYLOAD if dialect.add_payload_hash else hash_payload(request.body)
    address, _, query = request.url.partition("?")
    authority, path, _ = canonical_target(address, dialect)
    try:
        own = canonical_headers(
            [pair for pair in request.headers if pair[0].lower() not in _DROPPED]
        )
        headers = {"host": authority, **own}
        names = signed_names(headers, signed_headers)
        query = _parameters(query, credentials, key, stamp, expires, names)
        token = (
            ""
            if credentials.session_token is None
            else f"&X-Amz-Security-Token={encode_value(credentials.session_token)}"
        )
        signed = f"{query}{token}" if dialect.sign_session_token else query
        sorted_query = canonical_query(signed, normalize=dialect.normalize_query)
        canonical = canonical_request(
            request.method, path, sorted_query, headers, names, payload_hash
        )
        text = string_to_sign(canonical, stamp, key)
    except (TypeError, ValueError):  # UnicodeEncodeError is one
        raise ConstructionError("request", TEXT) from None
    signature = key.sign(text)
    return Presigned(
        f"{address}?{query}{token}&X-Amz-Signature={signature}", signature, canonical, text
    )


def _parameters(
    query: str, credentials: Credentials, key: Key, stamp: str, expires: int, names: list[str]
) -> str:
    """Return `query` with the parameters of a signature in place of those that it may have."""
    kept = [
        pair
        for pair in query.split("&")
        if pair and strictly(pair.partition("=")[0]) not in WRITTEN
    ]
    added = {
        "Algorithm": key.algorithm,
        "Credential": f"{credentials.access_key_id}/{key.scope}",
        "Date": stamp,
        "Expires": str(expires),
        "Region-Set": key.region_set,
        "SignedHeaders": ";".join(names),
    }
    return "&".join(
        [
            *kept,
            *(
                f"X-Amz-{name}={encode_value(value)}"
                for name, value in added.items()
                if value is not None
            ),
        ]
    )
