"""The other end of a signature: was this request signed by someone whose secret we know, for us, just now?

Every refusal is the `ServiceError` that AWS would answer with, so a server only has to send it. A mismatch quotes the
canonical request and string to sign that were computed here, as AWS does: compare them with the signer's own (`explain`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from hmac import compare_digest

from ..errors import ConstructionError
from ..values._credentials import Credentials, Scope
from ..values._dates import parse_stamp
from ..values._dates import stamp as stamp_of
from ..values._http import Request
from ..values._url import DEFAULT_PORTS, split_url
from ._canonical import STANDARD, Dialect, canonical_headers, canonical_request, canonical_target
from ._claim import Claim, refusal
from ._keys import ECDSA
from ._sigv4 import UNSIGNED_PAYLOAD, hash_payload, signing_key, string_to_sign

MAX_SKEW = 300.0
MAX_EXPIRES = 604_800  # seven days
BLOT = "<redacted>"


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
    """The credentials that signed `request`, its URL and headers taken as received; in its headers or in its query, SigV4 or SigV4a.
    As for `sign`, the host is that of the URL if no header says it.

    `now` and `max_skew` are in seconds. The body's real hash is what counts, whatever a header says: that of `request.body`, or
    `payload_hash`. Only what `accept` holds is taken on trust where `x-amz-content-sha256` says it: `UNSIGNED_PAYLOAD`, or one of the
    `STREAMING_…` words, after which `ChunkVerifier` or `EventVerifier` must verify the body. Raises `ServiceError` with AWS's code and
    status 403 if the signature is missing or malformed, the key id unknown, the scope another, the time too far off or over, a
    required header unsigned, the session token wrong or expired, the Host header not that of the
    URL, a parameter of the signature given twice, or the signature does not match. Raises
    `ConstructionError` if `now` or `max_skew` is not a finite number or `max_skew` is negative.
    """
    check_clock(now, max_skew)
    claim, headers = Claim.of(request), canonical_headers(request.headers)
    credentials = credentials_by_id.get(claim.key_id)
    if credentials is None:
        raise refusal(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    _check_scope(claim, scope)
    signed_at = _signing_time(claim, now, max_skew)
    names = claim.signed.split(";")
    _check_token(claim.token, credentials, now)
    try:
        host, path, query = canonical_target(_unsigned_url(request.url, claim, dialect), dialect)
        headers.setdefault("host", host)
        _check_signed(names, headers)
        key, stamp = signing_key(credentials, claim.key_scope(scope), signed_at)
        hashed = _payload_hash(request, headers, claim, dialect, payload_hash, accept)
        canonical = canonical_request(request.method, path, query, headers, names, hashed)
        text = string_to_sign(canonical, stamp, key)
    except (ConstructionError, UnicodeEncodeError):
        raise refusal(
            "IncompleteSignatureException",
            "The request holds a URL or text that nobody could have signed.",
        ) from None
    except ImportError:  # of cryptography
        raise refusal(
            "IncompleteSignatureException", f"{claim.algorithm} is not supported here."
        ) from None
    if not key.matches(text, claim.signature):
        raise refusal("InvalidSignatureException", _mismatch(canonical, text))
    _check_host(request.url, host, headers["host"])
    return credentials


def check_clock(now: float, max_skew: float = MAX_SKEW) -> None:
    """Refuse a time that compares as neither early nor late, or a tolerance without end.

    Raises `ConstructionError`.
    """
    for member, value in (("now", now), ("max_skew", max_skew)):
        if not _finite(value):
            raise ConstructionError(member, "a finite number of seconds", f"found {value!r}")
    if max_skew < 0:
        raise ConstructionError("max_skew", "0 seconds or more", f"found {max_skew!r}")


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def _check_scope(claim: Claim, scope: Scope) -> None:
    wanted = f"{scope.region}/{scope.service}"
    if claim.algorithm == ECDSA:
        regions = claim.region_set or ""
        if claim.service != scope.service or not any(
            _covers(pattern.strip(), scope.region) for pattern in regions.split(",")
        ):
            raise refusal(
                "InvalidSignatureException",
                f"Credential should be scoped to {wanted}, not to {regions}/{claim.service}.",
            )
    elif (claim.region, claim.service) != (scope.region, scope.service):
        raise refusal(
            "InvalidSignatureException",
            f"Credential should be scoped to {wanted}, not to {claim.region}/{claim.service}.",
        )


def _covers(pattern: str, region: str) -> bool:
    """`region` is one of `pattern`, in which an asterisk stands for any characters."""
    first, *inner = pattern.split("*")
    if not inner:
        return first == region
    last = inner.pop()
    if (
        len(region) < len(first) + len(last)
        or not region.startswith(first)
        or not region.endswith(last)
    ):
        return False
    start, end = len(first), len(region) - len(last)
    for part in inner:
        start = region.find(part, start, end)
        if start < 0:
            return False
        start += len(part)
    return True


def _signing_time(claim: Claim, now: float, max_skew: float) -> int:
    stamp, signed_at = claim.stamp, parse_stamp(claim.stamp)
    if signed_at is None or not stamp.startswith(claim.date):
        message = "The x-amz-date must be YYYYMMDDThhmmssZ, on the date of the credential scope."
        raise refusal("IncompleteSignatureException", message)
    if claim.expires is not None:
        return _presigning_time(claim.expires, signed_at, now, max_skew)
    if abs(now - signed_at) > max_skew:
        when = "expired" if signed_at < now else "not yet current"
        message = (
            f"Signature {when}: {stamp} is more than {max_skew / 60:g} min from {stamp_of(now)}."
        )
        raise refusal("InvalidSignatureException", message)
    return signed_at


def _presigning_time(expires: str, signed_at: int, now: float, max_skew: float) -> int:
    if not re.fullmatch("[0-9]{1,6}", expires) or not 1 <= int(expires) <= MAX_EXPIRES:
        raise refusal(
            "IncompleteSignatureException",
            f"X-Amz-Expires must be a number from 1 to {MAX_EXPIRES}.",
        )
    if signed_at - now > max_skew:
        message = f"Signature not yet current: {stamp_of(signed_at)} is more than {max_skew / 60:g} min from {stamp_of(now)}."
        raise refusal("InvalidSignatureException", message)
    if now > signed_at + int(expires):
        raise refusal(
            "InvalidSignatureException",
            f"Signature expired: it is {stamp_of(now)}, past {stamp_of(signed_at + int(expires))}.",
        )
    return signed_at


def _check_host(url: str, host: str, header: str) -> None:
    """Refuse a Host header that names another server than the URL; a default port counts as none.

    A server that routes by one of the two must not have the signature checked with the other.
    """
    port = DEFAULT_PORTS[url.partition(":")[0]]
    if header.lower().removesuffix(port) != host.lower():
        message = f"The URL's host is {host!r}, but the Host header says {header!r}."
        raise refusal("InvalidSignatureException", message)


def _check_signed(names: list[str], headers: Mapping[str, str]) -> None:
    """A signed header that is not there, or one that must be signed and is not, voids the signature."""
    signed = set(names)
    if len(signed) < len(names):  # so what is hashed is never longer than what came
        raise refusal(
            "IncompleteSignatureException", "SignedHeaders names a header more than once."
        )
    for name in names:
        if name not in headers:
            raise refusal(
                "InvalidSignatureException",
                f"'{name}' is a signed header, but the request has none.",
            )
    for name in headers:
        if (
            name not in signed
            and (name == "host" or name.startswith("x-amz-"))
            and name != "x-amz-security-token"
        ):
            raise refusal("InvalidSignatureException", f"'{name}' must be a signed header.")
    if "host" not in signed:
        raise refusal("InvalidSignatureException", "'host' must be a signed header.")


def _check_token(token: str | None, credentials: Credentials, now: float) -> None:
    if not compare_digest(
        (token or "").encode("utf-8", "surrogatepass"), (credentials.session_token or "").encode()
    ):
        raise refusal(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    if credentials.expires_at is not None and credentials.expires_at <= now:
        raise refusal(
            "ExpiredTokenException", "The security token included in the request is expired"
        )


def _unsigned_url(url: str, claim: Claim, dialect: Dialect) -> str:
    """The URL as it was when it was signed."""
    if claim.expires is None:
        return url
    split_url(url)
    added = (
        ("X-Amz-Signature",)
        if dialect.sign_session_token
        else ("X-Amz-Signature", "X-Amz-Security-Token")
    )
    address, _, query = url.partition("?")
    return f"{address}?{'&'.join(pair for pair in query.split('&') if pair.partition('=')[0] not in added)}"


def _payload_hash(
    request: Request,
    headers: Mapping[str, str],
    claim: Claim,
    dialect: Dialect,
    given: str | None,
    accept: Collection[str],
) -> str:
    declared = headers.get("x-amz-content-sha256")
    if declared is None and claim.expires is not None and dialect.add_payload_hash:
        declared = UNSIGNED_PAYLOAD  # what S3's presigned URLs are signed with
    if declared is not None and declared in accept:
        return declared
    return hash_payload(request.body) if given is None else given


def _mismatch(canonical: str, text: str) -> str:
    """AWS's explanation, the session token blotted out: the signer knows it, and nobody else should read it in a log."""
    shown = redacted(canonical)
    return (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\n"
        f"The Canonical String for this request should have been\n'{shown}'\n\n"
        f"The String-to-Sign should have been\n'{text}'\n"
    )


def redacted(canonical: str) -> str:
    """A canonical request without its session token."""
    return re.sub(
        "(?m)(^x-amz-security-token:).*$|(X-Amz-Security-Token=)[^&\n]*", rf"\1\2{BLOT}", canonical
    )
