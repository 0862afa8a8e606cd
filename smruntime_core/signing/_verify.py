"""Verification: whether a known secret signed this request, for this scope, at about this time.

Every refusal is the `ServiceError` that AWS would answer with, so a server only has to send it. A
mismatch quotes the canonical request and the string to sign that were computed here, as AWS does;
compare them with the signer's (`explain`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from hmac import compare_digest

from ..errors import ConstructionError, ServiceError
from ..values._credentials import Credentials, Scope
from ..values._dates import format_timestamp, parse_timestamp
from ..values._http import Request
from ..values._url import DEFAULT_PORTS, split_url
from ._canonical import STANDARD, Dialect, canonical_headers, canonical_request, canonical_target
from ._claim import Claim, refusal
from ._keys import ECDSA
from ._sigv4 import UNSIGNED_PAYLOAD, hash_payload, signing_key, string_to_sign

MAX_SKEW = 300.0  # seconds
MAX_EXPIRES = 604_800  # seconds: seven days
REDACTED = "<redacted>"

_INVALID = "InvalidSignatureException"
_INCOMPLETE = "IncompleteSignatureException"
_UNKNOWN_CLIENT = "UnrecognizedClientException"
# the message of AWS
_UNKNOWN_TOKEN = "The security token included in the request is invalid."  # noqa: S105


def verify(
    request: Request,
    credentials_by_id: Mapping[str, Credentials],
    scope: Scope,
    *,
    now: float,
    max_skew: float = MAX_SKEW,
    dialect: Dialect = STANDARD,
    payload_hash: str | None = None,
    accept: Collection[str] = (),
) -> Credentials:
    """Return the credentials that signed `request`, in its headers or its query (SigV4 or SigV4a).

    URL and headers are taken as received; the host is that of the URL if no header says it. `now`
    and `max_skew` are in seconds. What counts is the real hash of the body, that of `request.body`
    or `payload_hash`. Only a value of `x-amz-content-sha256` that is in `accept` replaces it:
    `UNSIGNED_PAYLOAD`, or a `STREAMING_…` constant, after which `ChunkVerifier` or `EventVerifier`
    has to verify the body.

    Raises `ServiceError` with AWS's code and status 403 if the signature is missing, malformed or
    does not match, the key id is unknown, the scope is another, the time is too far from `now` or
    over, a required header is not signed, the session token is wrong or expired, the Host header
    differs from the URL, or a parameter of the signature is given twice. Raises
    `ConstructionError` if `now` or `max_skew` is not a finite number or `max_skew` is negative.
    """
    check_clock(now, max_skew)
    claim, headers = Claim.read(request), canonical_headers(request.headers)
    credentials = credentials_by_id.get(claim.key_id)
    if credentials is None:
        raise refusal(_UNKNOWN_CLIENT, _UNKNOWN_TOKEN)
    _check_scope(claim, scope)
    signed_at = _check_time(claim, now, max_skew)
    _check_token(claim.token, credentials, now)
    signed_names = claim.signed_names.split(";")
    try:
        url = _url_when_signed(request.url, claim, dialect)
        host, path, query = canonical_target(url, dialect)
        headers.setdefault("host", host)
        _check_signed_names(signed_names, headers)
        key, timestamp = signing_key(credentials, claim.key_scope(scope), signed_at)
        signed_hash = _signed_hash(request, headers, claim, dialect, payload_hash, accept)
        canonical_text = canonical_request(
            request.method, path, query, headers, signed_names, signed_hash
        )
        text_to_sign = string_to_sign(canonical_text, timestamp, key)
    except (ConstructionError, UnicodeEncodeError):
        message = "The request has a URL or text that cannot be signed."
        raise refusal(_INCOMPLETE, message) from None
    except ImportError:  # of cryptography
        raise refusal(_INCOMPLETE, f"{claim.algorithm} is not supported here.") from None
    if not key.matches(text_to_sign, claim.signature):
        raise refusal(_INVALID, _describe_mismatch(canonical_text, text_to_sign))
    _check_host(request.url, host, headers["host"])
    return credentials


def check_clock(now: float, max_skew: float = MAX_SKEW) -> None:
    """Raise `ConstructionError` unless both are finite and `max_skew` is not negative.

    NaN compares as neither early nor late, and an infinite tolerance accepts every time.
    """
    for member, seconds in (("now", now), ("max_skew", max_skew)):
        if not _is_finite(seconds):
            raise ConstructionError(member, "a finite number of seconds", f"found {seconds!r}")
    if max_skew < 0:
        raise ConstructionError("max_skew", "0 seconds or more", f"found {max_skew!r}")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def _check_scope(claim: Claim, scope: Scope) -> None:
    expected_scope = f"{scope.region}/{scope.service}"
    if claim.algorithm == ECDSA:
        regions = claim.region_set or ""
        region_covered = any(
            _region_matches(pattern.strip(), scope.region) for pattern in regions.split(",")
        )
    else:
        regions = claim.region or ""
        region_covered = regions == scope.region
    if not region_covered or claim.service != scope.service:
        raise refusal(
            _INVALID,
            f"Credential should be scoped to {expected_scope}, not to {regions}/{claim.service}.",
        )


def _region_matches(pattern: str, region: str) -> bool:
    """Return whether `region` matches `pattern`, in which an asterisk stands for any characters."""
    first_part, *inner_parts = pattern.split("*")
    if not inner_parts:
        return first_part == region
    last_part = inner_parts.pop()
    is_long_enough = len(region) >= len(first_part) + len(last_part)
    if not (is_long_enough and region.startswith(first_part) and region.endswith(last_part)):
        return False
    search_start, search_end = len(first_part), len(region) - len(last_part)
    for pattern_part in inner_parts:
        search_start = region.find(pattern_part, search_start, search_end)
        if search_start < 0:
            return False
        search_start += len(pattern_part)
    return True


def _check_time(claim: Claim, now: float, max_skew: float) -> int:
    """Return when the request was signed, if that is neither too early nor too late."""
    signed_at = parse_timestamp(claim.timestamp)
    if signed_at is None or not claim.timestamp.startswith(claim.date):
        message = "The x-amz-date must be YYYYMMDDThhmmssZ, on the date of the credential scope."
        raise refusal(_INCOMPLETE, message)
    if claim.expires is not None:
        _check_validity(claim.expires, signed_at, now)
    elif now - signed_at > max_skew:
        raise _wrong_time("expired", signed_at, now, max_skew)
    if signed_at - now > max_skew:
        raise _wrong_time("not yet current", signed_at, now, max_skew)
    return signed_at


def _wrong_time(verdict: str, signed_at: float, now: float, max_skew: float) -> ServiceError:
    limit = f"{max_skew / 60:g} min from {format_timestamp(now)}"
    return refusal(
        _INVALID, f"Signature {verdict}: {format_timestamp(signed_at)} is more than {limit}."
    )


def _check_validity(expires: str, signed_at: int, now: float) -> None:
    if not re.fullmatch("[0-9]{1,6}", expires) or not 1 <= int(expires) <= MAX_EXPIRES:
        raise refusal(_INCOMPLETE, f"X-Amz-Expires must be a number from 1 to {MAX_EXPIRES}.")
    end_of_validity = signed_at + int(expires)
    if now > end_of_validity:
        times = f"it is {format_timestamp(now)}, past {format_timestamp(end_of_validity)}"
        raise refusal(_INVALID, f"Signature expired: {times}.")


def _check_host(url: str, host: str, header: str) -> None:
    """Refuse a Host header that names another server than the URL; a default port counts as none.

    A server that routes by one of the two must not have the signature checked with the other.
    """
    default_port = DEFAULT_PORTS[url.partition(":")[0]]
    if header.lower().removesuffix(default_port) != host.lower():
        raise refusal(_INVALID, f"The URL's host is {host!r}, but the Host header says {header!r}.")


def _check_signed_names(signed_names: list[str], headers: Mapping[str, str]) -> None:
    """Refuse a signed header that is missing, and a required header that is not signed."""
    signed = set(signed_names)
    if len(signed) < len(signed_names):  # so what is hashed is never longer than what was received
        raise refusal(_INCOMPLETE, "SignedHeaders names a header more than once.")
    for name in signed_names:
        if name not in headers:
            raise refusal(_INVALID, f"'{name}' is a signed header, but the request has none.")
    for name in (*headers, "host"):
        required = name == "host" or (name.startswith("x-amz-") and name != "x-amz-security-token")
        if required and name not in signed:
            raise refusal(_INVALID, f"'{name}' must be a signed header.")


def _check_token(token: str | None, credentials: Credentials, now: float) -> None:
    expected_token = (credentials.session_token or "").encode()
    if not compare_digest((token or "").encode("utf-8", "surrogatepass"), expected_token):
        raise refusal(_UNKNOWN_CLIENT, _UNKNOWN_TOKEN)
    if credentials.expires_at is not None and credentials.expires_at <= now:
        message = "The security token included in the request is expired"
        raise refusal("ExpiredTokenException", message)


def _url_when_signed(url: str, claim: Claim, dialect: Dialect) -> str:
    """Return the URL without the parameters that were added after signing."""
    if claim.expires is None:
        return url
    split_url(url)
    added = ["X-Amz-Signature"]
    if not dialect.sign_session_token:
        added.append("X-Amz-Security-Token")
    address, _, query = url.partition("?")
    parameters = [pair for pair in query.split("&") if pair.partition("=")[0] not in added]
    return f"{address}?{'&'.join(parameters)}"


def _signed_hash(
    request: Request,
    headers: Mapping[str, str],
    claim: Claim,
    dialect: Dialect,
    payload_hash: str | None,
    accept: Collection[str],
) -> str:
    declared = headers.get("x-amz-content-sha256")
    if declared is None and claim.expires is not None and dialect.add_payload_hash:
        declared = UNSIGNED_PAYLOAD  # what S3's presigned URLs are signed with
    if declared is not None and declared in accept:
        return declared
    return hash_payload(request.body) if payload_hash is None else payload_hash


def _describe_mismatch(canonical_text: str, text_to_sign: str) -> str:
    """Return AWS's explanation, without the session token, since it may end up in a log."""
    return (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. "
        "Consult the service documentation for details.\n\n"
        "The Canonical String for this request should have been\n"
        f"'{without_token(canonical_text)}'\n\n"
        f"The String-to-Sign should have been\n'{text_to_sign}'\n"
    )


def without_token(canonical_text: str) -> str:
    """Return a canonical request without its session token."""
    return re.sub(
        "(?m)(^x-amz-security-token:).*$|(X-Amz-Security-Token=)[^&\n]*",
        rf"\1\2{REDACTED}",
        canonical_text,
    )
