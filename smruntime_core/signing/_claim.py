"""The signature that a request carries, in its headers or in its query; `verify` checks it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import ServiceError
from ..values._credentials import Scope
from ..values._http import Request
from ._canonical import canonical_headers, percent_decode
from ._keys import ECDSA, HMAC, AnyScope, RegionSet

_CREDENTIAL = r"([^ ,/]+)/([0-9]{8})/(?:([^ ,/]+)/)?([^ ,/]+)/aws4_request"
_SIGNATURE = "[0-9a-f]{2,144}"
_match_authorization = re.compile(
    rf"({HMAC}|{ECDSA}) +Credential={_CREDENTIAL} *, *SignedHeaders=([^ ,]+) *, *"
    rf"Signature=({_SIGNATURE})"
).fullmatch
_match_credential = re.compile(_CREDENTIAL).fullmatch
_match_signature = re.compile(_SIGNATURE).fullmatch

_PARAMETER_PREFIX = "X-Amz-"


class Claim(NamedTuple):
    """What a request says of its signature.

    `signed_names` are joined by semicolons. `expires` is None in the header form, `region` in
    SigV4a.
    """

    algorithm: str
    key_id: str
    date: str
    region: str | None
    service: str
    signed_names: str
    signature: str
    timestamp: str
    token: str | None
    region_set: str | None
    expires: str | None = None

    def __repr__(self) -> str:
        return f"<Claim of {self.key_id}>"

    @classmethod
    def read(cls, request: Request) -> Claim:
        """Return the claim of `request`.

        Raises `ServiceError` with AWS's code if it has no signature, two, or a malformed one.
        """
        headers = canonical_headers(request.headers)
        parameters = _signature_parameters(request.url)
        authorization = headers.get("authorization")
        if parameters is None and authorization is None:
            raise refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
        if parameters is not None and authorization is not None:
            raise refusal(
                "IncompleteSignatureException",
                "A request is signed in its headers or in its query, not in both.",
            )
        claim = (
            _read_headers(authorization or "", headers)
            if parameters is None
            else _read_parameters(parameters)
        )
        if claim is None or not claim._is_consistent():
            raise refusal("IncompleteSignatureException", _FORM_MESSAGE)
        return claim

    def _is_consistent(self) -> bool:
        """Return whether region and signature are those of the algorithm."""
        if self.algorithm == ECDSA:
            return self.region is None
        return self.region is not None and len(self.signature) == 64

    def key_scope(self, scope: AnyScope) -> AnyScope:
        """Return `scope` for the algorithm of this signature."""
        scope_class = RegionSet if self.algorithm == ECDSA else Scope
        return scope_class(scope.region, scope.service)


_FORM_MESSAGE = (
    f"The signature must have the form: {HMAC} Credential=id/date/region/service/aws4_request, "
    "SignedHeaders=a;b, Signature=64 hex digits; or the same as query parameters, each given once."
)


def refusal(code: str, message: str) -> ServiceError:
    """Return the error that AWS would answer with."""
    return ServiceError(message, code=code, status=403)


def _read_headers(authorization: str, headers: dict[str, str]) -> Claim | None:
    matched_claim = _match_authorization(authorization)
    if matched_claim is None:
        return None
    algorithm, key_id, date, region, service, signed_names, signature = matched_claim.groups()
    return Claim(
        algorithm,
        key_id,
        date,
        region,
        service,
        signed_names,
        signature,
        timestamp=headers.get("x-amz-date", ""),
        token=headers.get("x-amz-security-token"),
        region_set=headers.get("x-amz-region-set"),
    )


def _read_parameters(parameters: dict[str, str]) -> Claim | None:
    algorithm, signature = parameters.get("Algorithm", ""), parameters["Signature"]
    matched_claim = _match_credential(parameters.get("Credential", ""))
    if matched_claim is None or not _match_signature(signature) or algorithm not in (HMAC, ECDSA):
        return None
    key_id, date, region, service = matched_claim.groups()
    return Claim(
        algorithm,
        key_id,
        date,
        region,
        service,
        parameters.get("SignedHeaders", ""),
        signature,
        timestamp=parameters.get("Date", ""),
        token=parameters.get("Security-Token"),
        region_set=parameters.get("Region-Set"),
        expires=parameters.get("Expires", ""),
    )


def _signature_parameters(url: str) -> dict[str, str] | None:
    """Return the X-Amz- parameters by their decoded names, without that prefix.

    Return None if none of them is a signature. Raises `ServiceError` if one is given twice, also
    with parts of its name percent-encoded: two readers could take different values.
    """
    values: dict[str, str] = {}
    repeated_names: list[str] = []
    for parameter in url.partition("?")[2].split("&"):
        name, _, value = parameter.partition("=")
        name = _decode_text(name)
        if name.startswith(_PARAMETER_PREFIX):
            short_name = name.removeprefix(_PARAMETER_PREFIX)
            if short_name in values:
                repeated_names.append(name)
            values[short_name] = _decode_text(value)
    if "Signature" not in values:
        return None
    if repeated_names:
        message = f"The query parameter {repeated_names[0]} is given more than once."
        raise refusal("IncompleteSignatureException", message)
    return values


def unique_parameters(query: str) -> dict[str, str] | None:
    """Return the values in `query` as written, by decoded name.

    Return None if a name is given twice, in whatever case and however it is percent-encoded.
    """
    values: dict[str, str] = {}
    seen_names: set[str] = set()
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        name = _decode_text(name)
        if name.lower() in seen_names:
            return None
        seen_names.add(name.lower())
        values[name] = value
    return values


def _decode_text(text: str) -> str:
    """Return `text` percent-decoded, "" if it has lone surrogates."""
    try:
        return percent_decode(text)
    except UnicodeEncodeError:
        return ""
