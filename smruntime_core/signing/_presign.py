"""Signature Version 4 in the query: a URL that is good without credentials until it expires."""

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
    normalize_parameter,
    percent_encode,
    signed_names,
)
from ._keys import AnyScope, Key
from ._sigv4 import TEXT_RULE, UNSIGNED_PAYLOAD, hash_payload, signing_key, string_to_sign
from ._verify import MAX_EXPIRES

PARAMETER_NAMES = frozenset(
    (
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Security-Token",
        "X-Amz-Region-Set",
        "X-Amz-Signature",
    )
)
_HEADERS_IN_QUERY = ("x-amz-date", "x-amz-security-token")


class Presigned(Record):
    """A URL to call with the request's method and signed headers, and what was signed.

    The repr shows the string to sign only, because the URL is as good as a signature.
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
    """Return `request` as a URL that is good for `expires` seconds from `now`, at most seven days.

    `now` is in seconds since the epoch. The URL must be called with the method, the signed headers
    and the body of `request`. All of its headers are signed but those in `UNSIGNED`;
    `signed_headers` are the names to sign instead, with `host` and every `x-amz-*`.
    `payload_hash` is as for `sign`; without it the dialect `S3` signs `UNSIGNED_PAYLOAD`, which S3
    expects here. A session token that expires sooner ends the URL sooner. The parameters of a
    signature replace those that the URL may have. Without `credentials` the URL stays as it is.
    Raises `ConstructionError` if the URL is not absolute http(s) or `expires` is out of range.
    """
    if type(expires) is not int or not 1 <= expires <= MAX_EXPIRES:
        raise ConstructionError(
            "expires", f"whole seconds from 1 to {MAX_EXPIRES}", f"found {expires!r}"
        )
    if credentials is None or not credentials.access_key_id:
        return Presigned(request.url, "", "", "")
    key, timestamp = signing_key(credentials, scope, now)
    if payload_hash is None:
        payload_hash = UNSIGNED_PAYLOAD if dialect.add_payload_hash else hash_payload(request.body)
    base_address, _, query = request.url.partition("?")
    authority, path, _ = canonical_target(base_address, dialect)
    try:
        headers = canonical_headers(
            [pair for pair in request.headers if pair[0].lower() not in _HEADERS_IN_QUERY]
        )
        headers.setdefault("host", authority)
        header_names = signed_names(headers, signed_headers)
        query = _with_parameters(query, credentials, key, timestamp, expires, header_names)
        token_parameter = _token_parameter(credentials)
        signed_query = f"{query}{token_parameter}" if dialect.sign_session_token else query
        sorted_query = canonical_query(signed_query, normalize=dialect.normalize_query)
        canonical_text = canonical_request(
            request.method, path, sorted_query, headers, header_names, payload_hash
        )
        text_to_sign = string_to_sign(canonical_text, timestamp, key)
    except (TypeError, ValueError):  # UnicodeEncodeError is one
        raise ConstructionError("request", TEXT_RULE) from None
    signature = key.sign(text_to_sign)
    url = f"{base_address}?{query}{token_parameter}&X-Amz-Signature={signature}"
    return Presigned(url, signature, canonical_text, text_to_sign)


def _token_parameter(credentials: Credentials) -> str:
    if credentials.session_token is None:
        return ""
    return f"&X-Amz-Security-Token={percent_encode(credentials.session_token)}"


def _with_parameters(
    query: str,
    credentials: Credentials,
    key: Key,
    timestamp: str,
    expires: int,
    header_names: list[str],
) -> str:
    """Return `query` with the parameters of a signature in place of those that it may have."""
    parameters = [
        parameter
        for parameter in query.split("&")
        if parameter and normalize_parameter(parameter.partition("=")[0]) not in PARAMETER_NAMES
    ]
    values = {
        "X-Amz-Algorithm": key.algorithm,
        "X-Amz-Credential": f"{credentials.access_key_id}/{key.scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(expires),
    }
    if key.region_set is not None:
        values["X-Amz-Region-Set"] = key.region_set
    values["X-Amz-SignedHeaders"] = ";".join(header_names)
    parameters += [f"{name}={percent_encode(value)}" for name, value in values.items()]
    return "&".join(parameters)
