"""`aws login`: the cached file, and a proof verified as by a server (RFC 9449, RFC 7515)."""

from __future__ import annotations

import hashlib
import json
import sys
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import botocore.credentials
import botocore.utils
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smruntime_core import Credentials, Response, run
from smruntime_core.credentials import DefaultChain, Login
from smruntime_core.values._dates import format_rfc3339

from .recordings import HOME, NOW, Exchange, Recorded, make_context, refused

ARN = "arn:aws:iam::123:user/me"
PATH = f"{HOME}/.aws/login/cache/{hashlib.sha256(ARN.encode()).hexdigest()}.json"
HERE = {"AWS_REGION": "eu-west-1"}
URL = "https://eu-west-1.signin.aws.amazon.com/v1/token"
KEY = ec.generate_private_key(ec.SECP256R1())
RENEWED = {
    "accessToken": {"accessKeyId": "ASIANEW", "secretAccessKey": "new", "sessionToken": "t2"},
    "expiresIn": 900,
    "refreshToken": "r2",
    "tokenType": "aws_sigv4",
}


def pem(key: Any, form: PrivateFormat = PrivateFormat.TraditionalOpenSSL) -> str:
    return str(key.private_bytes(Encoding.PEM, form, NoEncryption()).decode())


def cached(left: float, **more: object) -> str:
    keys = {
        "accessKeyId": "ASIAOLD",
        "secretAccessKey": "old",
        "sessionToken": "t",
        "accountId": "123",
        "expiresAt": format_rfc3339(NOW + left),
    }
    return json.dumps(
        {
            "accessToken": keys,
            "refreshToken": "r1",
            "clientId": "c",
            "dpopKey": pem(KEY),
            "tokenType": "aws_sigv4",
            **more,
        }
    )


def renewing(answer: object = RENEWED, status: int = 200, url: str = URL) -> Exchange:
    return Exchange("POST", url, Response(status, (), json.dumps(answer).encode()))


def test_valid_credentials_are_used_without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    found = run(Login(ARN).provide(make_context()), Recorded({PATH: cached(3600)}))
    assert found == Credentials("ASIAOLD", "old", "t", NOW + 3600, "123")


def part(text: str) -> Any:
    return json.loads(urlsafe_b64decode(text + "=="))


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_refresh_sends_a_proof_that_a_server_can_verify(form: PrivateFormat) -> None:
    io = Recorded({PATH: cached(100, dpopKey=pem(KEY, form), idToken="kept")}, [renewing()])
    assert run(Login(ARN).provide(make_context(HERE)), io) == Credentials(
        "ASIANEW", "new", "t2", NOW + 900, "123"
    )
    request = io.sent[0].request
    assert json.loads(bytes(request.body)) == {
        "clientId": "c",
        "grantType": "refresh_token",
        "refreshToken": "r1",
    }
    header, payload, signature = dict(request.headers)["dpop"].split(".")
    proof_header = part(header)
    assert (
        proof_header["typ"],
        proof_header["alg"],
        proof_header["jwk"]["kty"],
        proof_header["jwk"]["crv"],
    ) == ("dpop+jwt", "ES256", "EC", "P-256")
    x, y = (
        int.from_bytes(urlsafe_b64decode(proof_header["jwk"][name] + "="), "big") for name in "xy"
    )
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    assert public.public_numbers() == KEY.public_key().public_numbers()
    raw = urlsafe_b64decode(signature + "==")
    assert len(raw) == 64
    made = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(made, f"{header}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
    claims = part(payload)
    assert (claims["htm"], claims["htu"], claims["iat"]) == ("POST", URL, int(NOW))
    assert len(claims["jti"]) == 36


def test_refreshed_file_can_be_read_by_botocore(tmp_path: Path) -> None:
    folder = {**HERE, "AWS_LOGIN_CACHE_DIRECTORY": str(tmp_path)}
    path = tmp_path / f"{botocore.utils.generate_login_cache_key(ARN)}.json"
    io = Recorded({str(path): cached(0, idToken="kept")}, [renewing()])
    ours = run(Login(ARN).provide(make_context(folder)), io)
    path.write_bytes(io.files[str(path)])
    loader = botocore.utils.LoginTokenLoader(botocore.utils.JSONFileCache(str(tmp_path)))
    theirs = botocore.credentials.LoginCredentialFetcher(
        ARN, loader, None
    ).load_cached_credentials()
    assert (theirs["access_key"], theirs["secret_key"], theirs["token"]) == (
        ours.access_key_id,
        ours.secret_access_key,
        ours.session_token,
    )
    assert (theirs["account_id"], theirs["expiry_time"]) == ("123", format_rfc3339(NOW + 900))
    kept = loader.load_token(ARN)
    assert (kept["refreshToken"], kept["idToken"], kept["dpopKey"]) == ("r2", "kept", pem(KEY))


def test_refresh_uses_the_region_of_the_sign_in() -> None:
    io = Recorded(
        {PATH: cached(0, signInRegion="us-gov-west-1")},
        [renewing(url="https://us-gov-west-1.signin.amazonaws-us-gov.com/v1/token")],
    )
    assert run(Login(ARN).provide(make_context(HERE)), io).access_key_id == "ASIANEW"


def test_failed_refresh_is_an_error_only_after_expiry() -> None:
    refusal = renewing({"error": "TOKEN_EXPIRED", "message": "sign in"}, 400)
    assert (
        run(
            Login(ARN).provide(make_context(HERE)), Recorded({PATH: cached(100)}, [refusal])
        ).access_key_id
        == "ASIAOLD"
    )
    error = refused(Login(ARN).provide(make_context(HERE)), Recorded({PATH: cached(-1)}, [refusal]))
    assert "TOKEN_EXPIRED" in str(error) and "aws login" in str(error)


def test_missing_cryptography_is_an_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    error = refused(Login(ARN).provide(make_context(HERE)), Recorded({PATH: cached(-1)}))
    assert "pip install 'smruntime-core[login]'" in str(error)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "there is no file"),
        ("hush", "not a JSON object"),
        ("{}", "no accessToken"),
        (cached(0).replace('"secretAccessKey"', '"hush"'), "no SecretAccessKey"),
        (cached(0, dpopKey="hush"), "no ECDSA key"),
        (cached(0, dpopKey=pem(rsa.generate_private_key(65537, 2048))), "no ECDSA key"),
        (cached(0, dpopKey=pem(ec.generate_private_key(ec.SECP384R1()))), "no ECDSA key"),
        (cached(0, refreshToken=7), "no refreshToken"),
    ],
)
def test_unusable_file_is_refused_without_quoting_it(text: str | None, says: str) -> None:
    error = refused(
        Login(ARN).provide(make_context(HERE)), Recorded({} if text is None else {PATH: text})
    )
    assert says in str(error)
    assert "hush" not in str(error) and "PRIVATE" not in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {**RENEWED, "expiresIn": "soon"},
        {**RENEWED, "expiresIn": 10**400},
        {**RENEWED, "accessToken": {"accessKeyId": "hush"}},
    ],
)
def test_answer_without_credentials_is_refused_without_quoting_it(answer: object) -> None:
    error = refused(
        Login(ARN).provide(make_context(HERE)), Recorded({PATH: cached(-1)}, [renewing(answer)])
    )
    assert "accessToken" in str(error) or "SecretAccessKey" in str(error)
    assert "hush" not in str(error)


def test_session_with_a_lone_surrogate_has_no_file() -> None:
    assert "there is no file" in str(refused(Login("\udcff").provide(make_context(HERE))))


def test_profile_with_login_session_uses_the_file() -> None:
    files = {f"{HOME}/.aws/config": f"[default]\nlogin_session = {ARN}\n", PATH: cached(3600)}
    assert run(DefaultChain().provide(make_context()), Recorded(files)).access_key_id == "ASIAOLD"
