"""The other end of a signature: was this request signed by someone whose secret we know, for us, just now?

Every refusal is the `ServiceError` that AWS would answer with, so a server only has to send it. A mismatch quotes the
canonical request and string to sign that were computed here, as AWS does: compare them with the signer's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hmac import compare_digest

from .._dates import date_of, parse_stamp, time_of_day
from .._errors import ConstructionError, ServiceError
from .._model import Credentials, Request, Scope
from .._url import split
from ._canonical import canonical_headers, canonical_path, canonical_query, canonical_request
from ._sigv4 import ALGORITHM, hash_payload, signing_key, string_to_sign

MAX_SKEW = 300.0

_authorization = re.compile(
    rf"{ALGORITHM} +Credential=([^ ,/]+)/([0-9]{{8}})/([^ ,/]+)/([^ ,/]+)/aws4_request *, *"
    r"SignedHeaders=([^ ,]+) *, *Signature=([0-9a-f]{64})"
).fullmatch


def verify(
    request: Request,
    credentials_by_id: Mapping[str, Credentials],
    scope: Scope,
    *,
    now: float,
    max_skew: float = MAX_SKEW,
) -> Credentials:
    """The credentials that signed `request`, its URL and headers taken as received.

    `now` and `max_skew` are in seconds. Raises `ServiceError` with AWS's code and status 403 if the Authorization header is
    missing or malformed, the key id unknown, the scope another, the time too far off, a required header unsigned, the session
    token wrong or expired, or the signature does not match. The body's real hash is what counts, whatever a header says.
    """
    headers = canonical_headers(request.headers)
    key_id, date, region, service, signed, signature = _parse(headers.get("authorization"))
    credentials = credentials_by_id.get(key_id)
    if credentials is None:
        raise _refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
    if (region, service) != (scope.region, scope.service):
        wanted = f"{scope.region}/{scope.service}"
        raise _refusal("InvalidSignatureException", f"Credential should be scoped to {wanted}, not to {region}/{service}.")
    signed_at = _signing_time(headers.get("x-amz-date", ""), date, now, max_skew)
    names = signed.split(";")
    _check_signed(names, headers)
    _check_token(headers.get("x-amz-security-token"), credentials, now)

    key, stamp = signing_key(credentials, scope, signed_at)
    try:
        _, _, path, query = split(request.url)
        canonical = canonical_request(
            request.method,
            canonical_path(path, normalize=True, double_encode=True),
            canonical_query(query),
            "".join([f"{name}:{headers[name]}\n" for name in names]),
            signed,
            hash_payload(request.body),
        )
        text = string_to_sign(canonical, stamp, key)
    except (ConstructionError, UnicodeEncodeError):
        raise _refusal("IncompleteSignatureException", "The request holds a URL or text that nobody could have signed.") from None
    if not compare_digest(key.sign(text), signature):
        raise _refusal("InvalidSignatureException", _mismatch(canonical, text))
    return credentials


def _refusal(code: str, message: str) -> ServiceError:
    return ServiceError(message, code=code, status=403)


def _parse(authorization: str | None) -> tuple[str, ...]:
    """Key id, date, region, service, signed headers and signature."""
    if authorization is None:
        raise _refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    found = _authorization(authorization)
    if found is None:
        form = f"{ALGORITHM} Credential=id/date/region/service/aws4_request, SignedHeaders=a;b, Signature=64 hex digits"
        raise _refusal("IncompleteSignatureException", f"The Authorization header must have the form: {form}")
    return found.groups()


def _signing_time(stamp: str, date: str, now: float, max_skew: float) -> int:
    signed_at = parse_stamp(stamp)
    if signed_at is None or not stamp.startswith(date):
        message = "The x-amz-date header must be YYYYMMDDThhmmssZ, on the date of the credential scope."
        raise _refusal("IncompleteSignatureException", message)
    if abs(now - signed_at) > max_skew:
        clock = date_of(int(now) // 86400) + time_of_day(int(now) % 86400)
        when = "expired" if signed_at < now else "not yet current"
        message = f"Signature {when}: {stamp} is more than {max_skew / 60:g} min from {clock}."
        raise _refusal("InvalidSignatureException", message)
    return signed_at


def _check_signed(names: list[str], headers: Mapping[str, str]) -> None:
    """A signed header that is not there, or one that must be signed and is not, voids the signature."""
    for name in names:
        if name not in headers:
            raise _refusal("InvalidSignatureException", f"'{name}' is a signed header, but the request has none.")
    for name in headers:
        if name not in names and (name == "host" or name.startswith("x-amz-")) and name != "x-amz-security-token":
            raise _refusal("InvalidSignatureException", f"'{name}' must be a signed header.")
    if "host" not in names:
        raise _refusal("InvalidSignatureException", "'host' must be a signed header.")


def _check_token(token: str | None, credentials: Credentials, now: float) -> None:
    if not compare_digest((token or "").encode("utf-8", "surrogatepass"), (credentials.session_token or "").encode()):
        raise _refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
    if credentials.expires_at is not None and credentials.expires_at <= now:
        raise _refusal("ExpiredTokenException", "The security token included in the request is expired")


def _mismatch(canonical: str, text: str) -> str:
    """AWS's explanation, the session token blotted out: the signer knows it, and nobody else should read it in a log."""
    shown = re.sub("(?m)^x-amz-security-token:.*$", "x-amz-security-token:<redacted>", canonical)
    return (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n"
        f"The Canonical String for this request should have been\n'{shown}'\n\n"
        f"The String-to-Sign should have been\n'{text}'\n"
    )
