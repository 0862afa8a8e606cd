"""What a request says about its own signature, in either form; whether it is true is `verify`'s to find out."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import ServiceError
from ..values._credentials import Scope
from ..values._http import Request
from ._canonical import canonical_headers, unquoted
from ._keys import ECDSA, HMAC, AnyScope, RegionSet

_CREDENTIAL = r"([^ ,/]+)/([0-9]{8})/(?:([^ ,/]+)/)?([^ ,/]+)/aws4_request"
_authorization = re.compile(
    rf"({HMAC}|{ECDSA}) +Credential={_CREDENTIAL} *, *SignedHeaders=([^ ,]+) *, *Signature=([0-9a-f]{{2,144}})"
).fullmatch
_credential = re.compile(_CREDENTIAL).fullmatch
_signature = re.compile("[0-9a-f]{2,144}").fullmatch


class Claim(NamedTuple):
    """Who signed what and when, as the request says; `expires` is None in the header form, `region` in SigV4a."""

    algorithm: str
    key_id: str
    date: str
    region: str | None
    service: str
    signed: str
    signature: str
    stamp: str
    token: str | None
    region_set: str | None
    expires: str | None = None

    def __repr__(self) -> str:
        return f"<Claim of {self.key_id}>"

    @classmethod
    def of(cls, request: Request) -> Claim:
        """Raises `ServiceError` with AWS's code if the request bears no signature, two, or a malformed one."""
        headers = canonical_headers(request.headers)
        query = _parameters(request.url)
        authorization = headers.get("authorization")
        if query is None and authorization is None:
            raise refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
        if query is not None and authorization is not None:
            raise refusal(
                "IncompleteSignatureException",
                "A request is signed in its headers or in its query, not in both.",
            )
        made = _of_headers(authorization, headers) if query is None else _of_query(query)
        if (
            made is None
            or (made.region is None) is not (made.algorithm == ECDSA)
            or (made.algorithm == HMAC and len(made.signature) != 64)
        ):
            raise refusal("IncompleteSignatureException", _FORM)
        return made

    def key_scope(self, scope: AnyScope) -> AnyScope:
        """`scope`, with the algorithm of this signature."""
        return (
            RegionSet(scope.region, scope.service)
            if self.algorithm == ECDSA
            else Scope(scope.region, scope.service)
        )


_FORM = (
    f"The signature must have the form: {HMAC} Credential=id/date/region/service/aws4_request, SignedHeaders=a;b, "
    "Signature=64 hex digits; or the same as query parameters, each of them once."
)


def refusal(code: str, message: str) -> ServiceError:
    """What AWS would answer with."""
    return ServiceError(message, code=code, status=403)


def _of_headers(authorization: str | None, headers: dict[str, str]) -> Claim | None:
    found = _authorization(authorization or "")
    if found is None:
        return None
    algorithm, key_id, date, region, service, signed, signature = found.groups()
    token, region_set = headers.get("x-amz-security-token"), headers.get("x-amz-region-set")
    return Claim(
        algorithm,
        key_id,
        date,
        region,
        service,
        signed,
        signature,
        headers.get("x-amz-date", ""),
        token,
        region_set,
    )


def _of_query(query: dict[str, str]) -> Claim | None:
    found, signature = _credential(query.get("Credential", "")), query["Signature"]
    algorithm = query.get("Algorithm", "")
    if found is None or _signature(signature) is None or algorithm not in (HMAC, ECDSA):
        return None
    key_id, date, region, service = found.groups()
    signed, stamp, expires = (query.get(name, "") for name in ("SignedHeaders", "Date", "Expires"))
    token, region_set = query.get("Security-Token"), query.get("Region-Set")
    return Claim(
        algorithm,
        key_id,
        date,
        region,
        service,
        signed,
        signature,
        stamp,
        token,
        region_set,
        expires,
    )


def _parameters(url: str) -> dict[str, str] | None:
    """Return the X-Amz- parameters by their decoded names, without that prefix.

    None if none of them is a signature. Raises `ServiceError` if one is given twice, also with
    parts of its name percent-encoded: two readers could take different values.
    """
    found: dict[str, str] = {}
    repeated: list[str] = []
    for pair in url.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        name = _text(name)
        if name.startswith("X-Amz-"):
            key = name.removeprefix("X-Amz-")
            if key in found:
                repeated.append(name)
            found[key] = _text(value)
    if "Signature" not in found:
        return None
    if repeated:
        message = f"The query parameter {repeated[0]} is given more than once."
        raise refusal("IncompleteSignatureException", message)
    return found


def unique_parameters(query: str) -> dict[str, str] | None:
    """Return the values in `query` as written, by decoded name.

    None if a name is given twice, in whatever case and however it is percent-encoded.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        name = _text(name)
        if name.lower() in seen:
            return None
        seen.add(name.lower())
        found[name] = value
    return found


def _text(value: str) -> str:
    try:
        return unquoted(value)
    except UnicodeEncodeError:
        return ""
