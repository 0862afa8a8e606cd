"""`aws login`: credentials of a console sign-in, cached in a file and refreshed with a proof.

    ~/.aws/login/cache/SHA256.json ──> credentials
              ▲          └── about to expire ──> POST …signin…/v1/token with a DPoP proof ──┐
              └───────────────────────────────────────────────────────────────────────────┘

The file is named by the SHA-256 of the profile's `login_session`. The proof is a token about this
one request, signed with the ECDSA key in the file (RFC 9449, DPoP). It needs `cryptography`, which
is imported for a refresh only.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from ..effects import Flow
from ..errors import CredentialsError
from ..values._credentials import Credentials
from ..values._dates import format_rfc3339
from ..values._http import Request
from ..values._redacted import RedactedMapping
from ._context import ProviderContext, Source
from ._documents import (
    explain_json_refusal,
    integer_member,
    object_member,
    parse_credentials,
    parse_json_object,
    text_member,
)
from ._services import SIGNIN, send_with_retries, service_url
from ._sso import MAX_LIFETIME, json_request, read_cached_document, save_document

REFRESH_WINDOW: Final = 300.0  # seconds before the credentials expire
REMEDY: Final = "sign in with `aws login`"


class Login(Source):
    """The provider of the credentials that `aws login` stored for the ARN `session`."""

    name = "aws login"

    session: str

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return the credentials, refreshed if they are about to expire; raise `CredentialsError`.

        A failed refresh is ignored while the old credentials are valid.
        """
        digest = hashlib.sha256(self.session.encode(errors="surrogatepass")).hexdigest()
        directory = context.variable("AWS_LOGIN_CACHE_DIRECTORY")
        path = (
            f"{directory}/{digest}.json"
            if directory
            else context.home_path(".aws", "login", "cache", f"{digest}.json")
        )
        cached = yield from read_cached_document(path, "aws login", REMEDY)
        credentials = _parse_cached(cached)
        seconds_left = (credentials.expires_at or 0.0) - context.clock.time()
        if seconds_left > REFRESH_WINDOW:
            return credentials
        try:
            refreshed = yield from _refresh(cached, context)
            newer_credentials = _parse_cached(refreshed)
        except CredentialsError:
            if seconds_left > 0:
                return credentials
            raise
        yield from save_document(path, refreshed)
        return newer_credentials


def _parse_cached(cached: Mapping[str, object]) -> Credentials:
    """Return the credentials in a cached document."""
    access_token = object_member(cached, "accessToken")
    if access_token is None:
        raise CredentialsError(f"aws login: the file holds no accessToken; {REMEDY}")
    members = RedactedMapping({**access_token, "expiration": access_token.get("expiresAt")})
    return parse_credentials(members, "aws login")


def _refresh(
    cached: Mapping[str, object], context: ProviderContext
) -> Flow[RedactedMapping[object]]:
    """Return the new content of the file; raise `CredentialsError`."""
    for name in ("clientId", "refreshToken", "dpopKey"):
        if text_member(cached, name) is None:
            raise CredentialsError(f"aws login: the file holds no {name}; {REMEDY}")
    create_proof = _proof_factory(cached)
    signin_region = text_member(cached, "signInRegion")
    region = signin_region or (yield from context.find_region(None))
    url = f"{(yield from service_url(SIGNIN, region, context))}/v1/token"

    def make_request() -> Request:
        members = {
            "clientId": cached["clientId"],
            "grantType": "refresh_token",
            "refreshToken": cached["refreshToken"],
        }
        return json_request(url, members, ("dpop", create_proof(_proof_claims(url, context))))

    description = f"aws login: refreshing the sign-in (else {REMEDY})"
    response = yield from send_with_retries(
        make_request, context, description, explain=explain_json_refusal
    )
    answer = parse_json_object(response.body, description)
    new_token = object_member(answer, "accessToken")
    lifetime = integer_member(answer, "expiresIn", MAX_LIFETIME)
    if new_token is None or lifetime is None:
        raise CredentialsError(f"{description}: the answer has no accessToken and expiresIn")
    old_token = object_member(cached, "accessToken") or new_token
    access_token = RedactedMapping(
        {
            "accountId": old_token.get("accountId"),
            **new_token,
            "expiresAt": format_rfc3339(context.clock.time() + lifetime),
        }
    )
    return RedactedMapping(
        {
            **cached,
            "accessToken": dict(access_token),
            "refreshToken": text_member(answer, "refreshToken") or cached["refreshToken"],
        }
    )


def _proof_claims(url: str, context: ProviderContext) -> Mapping[str, object]:
    """Return the claims of a proof: method, URL, time, and a random id of the form of a UUID."""
    digits = f"{int(context.random() * 2**64):016x}{int(context.random() * 2**64):016x}"
    unique_id = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
    return {"htm": "POST", "htu": url, "iat": int(context.clock.time()), "jti": unique_id}


def _proof_factory(cached: Mapping[str, object]) -> Callable[[Mapping[str, object]], str]:
    """Return the function that signs claims with the key in the file.

    Raises `CredentialsError` if the file has no such key, or `cryptography` is not installed.
    """
    try:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise CredentialsError(
            "aws login needs cryptography to refresh a sign-in: pip install 'smruntime-core[login]'"
        ) from None
    key: object = None
    with suppress(ValueError, TypeError):
        key = load_pem_private_key(str(cached["dpopKey"]).encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise CredentialsError(f"aws login: the file holds no ECDSA key on P-256; {REMEDY}")
    private_key, public_numbers = key, key.public_key().public_numbers()
    public_key_document = {
        "kty": "EC",
        "crv": "P-256",
        "x": _encode_base64url(public_numbers.x.to_bytes(32, "big")),
        "y": _encode_base64url(public_numbers.y.to_bytes(32, "big")),
    }
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_key_document}

    def create_proof(claims: Mapping[str, object]) -> str:
        signing_input = f"{_encode_token_part(header)}.{_encode_token_part(claims)}"
        signature = private_key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256()))
        numbers = decode_dss_signature(signature)
        raw_signature = b"".join(number.to_bytes(32, "big") for number in numbers)
        return f"{signing_input}.{_encode_base64url(raw_signature)}"

    return create_proof


def _encode_token_part(members: Mapping[str, object]) -> str:
    import json

    return _encode_base64url(json.dumps(dict(members), separators=(",", ":")).encode())


def _encode_base64url(data: bytes) -> str:
    """Return `data` in base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
