"""`aws login`: keys that the sign-in to the console has left in a file, renewed with a proof that this machine holds its key.

    ~/.aws/login/cache/SHA256.json ──> keys, while they last;  before they end  ──> POST …signin…/v1/token with a DPoP proof ──> the same

The file is named by the SHA-256 of the profile's `login_session`. The proof is a token signed with the ECDSA key in the file, about
this one request (RFC 9449, DPoP): it needs `cryptography`, imported when there is something to prove.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress

from ..effects import Flow
from ..errors import CredentialsError
from ..values._credentials import Credentials
from ..values._dates import format_rfc3339
from ..values._http import Request
from ..values._redacted import RedactedMapping
from ._context import ProviderContext, Source
from ._documents import credentials, explained, json_object, nested, number, text
from ._services import SIGNIN, ask, url_of
from ._sso import MAX_SECONDS, json_request, keep, read_cached

RENEWED_BEFORE = 300.0  # seconds before the keys expire
ADVICE = "sign in with `aws login`"


class Login(Source):
    """The keys of the sign-in that the ARN `session` names."""

    name = "aws login"

    session: str

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """The keys in the file, or newer ones; raises `CredentialsError`."""
        name = hashlib.sha256(self.session.encode(errors="surrogatepass")).hexdigest()
        folder = world.variable("AWS_LOGIN_CACHE_DIRECTORY")
        path = (
            f"{folder}/{name}.json"
            if folder
            else world.path(".aws", "login", "cache", f"{name}.json")
        )
        said = yield from read_cached(path, f"aws login: {ADVICE}")
        found = _keys(said)
        left = (found.expires_at or 0.0) - world.clock.time()
        if left > RENEWED_BEFORE:
            return found
        try:
            renewed = yield from _renewed(said, world)
            newer = _keys(renewed)
        except CredentialsError:
            if left > 0:
                return found
            raise
        yield from keep(path, renewed)
        return newer


def _keys(said: Mapping[str, object]) -> Credentials:
    """The keys that a file holds."""
    held = nested(said, "accessToken")
    if held is None:
        raise CredentialsError(f"aws login: the file holds no accessToken; {ADVICE}")
    return credentials(RedactedMapping({**held, "expiration": held.get("expiresAt")}), "aws login")


def _renewed(said: Mapping[str, object], world: ProviderContext) -> Flow[RedactedMapping[object]]:
    """What the file shall say."""
    for name in ("clientId", "refreshToken", "dpopKey"):
        if text(said, name) is None:
            raise CredentialsError(f"aws login: the file holds no {name}; {ADVICE}")
    prove = _prover(said)
    region = text(said, "signInRegion") or (yield from world.called_from(None))
    url = f"{(yield from url_of(SIGNIN, region, world))}/v1/token"

    def make() -> Request:
        members = {
            "clientId": said["clientId"],
            "grantType": "refresh_token",
            "refreshToken": said["refreshToken"],
        }
        return json_request(url, members, ("dpop", prove(_claims(url, world))))

    where = f"aws login: renewing the sign-in (else: {ADVICE})"
    answer = json_object((yield from ask(make, world, where, explain=explained)).body, where)
    keys, seconds = nested(answer, "accessToken"), number(answer, "expiresIn", MAX_SECONDS)
    if keys is None or seconds is None:
        raise CredentialsError(f"{where}: the answer has no accessToken and expiresIn")
    before = nested(said, "accessToken") or keys
    access = RedactedMapping(
        {
            "accountId": before.get("accountId"),
            **keys,
            "expiresAt": format_rfc3339(world.clock.time() + seconds),
        }
    )
    return RedactedMapping(
        {
            **said,
            "accessToken": dict(access),
            "refreshToken": text(answer, "refreshToken") or said["refreshToken"],
        }
    )


def _claims(url: str, world: ProviderContext) -> Mapping[str, object]:
    """What is proved: this method and address, now, once."""
    digits = f"{int(world.random() * 2**64):016x}{int(world.random() * 2**64):016x}"
    unique = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
    return {"htm": "POST", "htu": url, "iat": int(world.clock.time()), "jti": unique}


def _prover(said: Mapping[str, object]) -> Callable[[Mapping[str, object]], str]:
    """What makes a proof of claims with the key in the file; raises `CredentialsError` if there is no such key, or no `cryptography`."""
    try:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise CredentialsError(
            "aws login needs cryptography to renew a sign-in: pip install 'smruntime-core[login]'"
        ) from None
    key: object = None
    with suppress(ValueError, TypeError):
        key = load_pem_private_key(str(said["dpopKey"]).encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise CredentialsError(f"aws login: the file holds no ECDSA key on P-256; {ADVICE}")
    private, numbers = key, key.public_key().public_numbers()
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": _base64(numbers.x.to_bytes(32, "big")),
        "y": _base64(numbers.y.to_bytes(32, "big")),
    }

    def prove(claims: Mapping[str, object]) -> str:
        signed = f"{_part({'typ': 'dpop+jwt', 'alg': 'ES256', 'jwk': jwk})}.{_part(claims)}"
        r, s = decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    return prove


def _part(members: Mapping[str, object]) -> str:
    import json

    return _base64(json.dumps(dict(members), separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
