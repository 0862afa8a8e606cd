"""`sign` and `presign` against AWS's implementation in C (aws-c-auth), over random requests.

It runs in the environment of tools/test-apart, because botocore signs differently as soon as awscrt
is installed. Deliberate differences are not generated here; `docs/signing.md` explains them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import Credentials, Request, Scope
from smruntime_core.signing import Dialect, RegionSet, hash_payload, presign, sign
from smruntime_core.signing._canonical import normalize_parameter
from smruntime_core.signing._sigv4 import signing_key

auth = pytest.importorskip(
    "awscrt.auth", reason="awscrt is not installed here: tools/test-apart has an environment for it"
)
http = pytest.importorskip("awscrt.http")

HOST = "runtime.sagemaker.eu-west-1.amazonaws.com"
graphic = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
header_name = st.from_regex(r"X-[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True).filter(
    lambda name: not name.lower().startswith("x-am")
)
value = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
headers_ = st.lists(
    st.tuples(st.sampled_from(("Content-Type", "Accept", "X-Two")) | header_name, value), max_size=6
)
segment = st.sampled_from((".", "..", "", "a", "%2F", "%20")) | st.text(max_size=6).map(
    lambda text: quote(text, safe="~!$&'()*+,;=:@")
)
path_ = st.lists(segment, max_size=6).map(lambda parts: "/" + "/".join(parts))
pair = st.tuples(st.text(min_size=1, max_size=6), st.text(max_size=6))
dialect_ = st.builds(
    Dialect, st.booleans(), st.booleans(), st.just(True), st.booleans(), st.booleans()
)


def written(path: str, dialect: Dialect) -> str:
    """Return a path encoded as S3's clients do; aws-c-auth signs other spellings unlike servers."""
    return path if dialect.double_encode else "/".join(map(normalize_parameter, path.split("/")))


def theirs_of(
    request: Request,
    secret: str,
    token: str | None,
    now: int,
    dialect: Dialect,
    payload_hash: str,
    *,
    expires: int | None = None,
    sigv4a: bool = False,
) -> Any:
    headers = http.HttpHeaders(list(request.headers))
    target = request.url.removeprefix(f"https://{HOST}")
    algorithm = auth.AwsSigningAlgorithm.V4_ASYMMETRIC if sigv4a else auth.AwsSigningAlgorithm.V4
    kind = (
        auth.AwsSignatureType.HTTP_REQUEST_HEADERS
        if expires is None
        else auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS
    )
    hashed = (
        auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256
        if dialect.add_payload_hash
        else auth.AwsSignedBodyHeaderType.NONE
    )
    config = auth.AwsSigningConfig(
        algorithm=algorithm,
        signature_type=kind,
        credentials_provider=auth.AwsCredentialsProvider.new_static("AKID", secret, token),
        region="eu-west-1",
        service="sagemaker",
        date=datetime.fromtimestamp(now, UTC),
        use_double_uri_encode=dialect.double_encode,
        should_normalize_uri_path=dialect.normalize_path,
        signed_body_value=payload_hash,
        signed_body_header_type=hashed if expires is None else auth.AwsSignedBodyHeaderType.NONE,
        expiration_in_seconds=expires,
        omit_session_token=not dialect.sign_session_token,
    )
    made = http.HttpRequest(request.method, target, headers)
    return auth.aws_sign_request(made, config).result(10)


@given(
    method=st.sampled_from(("GET", "POST", "PUT")),
    path=path_,
    query=st.lists(pair, max_size=5),
    headers=headers_,
    body=st.binary(max_size=100),
    secret=graphic,
    token=st.none() | graphic,
    now=st.integers(1, 4102444800),
    dialect=dialect_,
)
def test_signed_headers_equal_awscrts(
    method: str, path: str, query: list[tuple[str, str]], headers: list[tuple[str, str]],
    body: bytes, secret: str, token: str | None, now: int, dialect: Dialect,
) -> None:  # fmt: skip
    text = "&".join(f"{quote(name, safe='~')}={quote(text, safe='~')}" for name, text in query)
    request = Request(
        method,
        f"https://{HOST}{written(path, dialect)}" + (f"?{text}" if text else ""),
        (("Host", HOST), *headers),
        body,
    )
    theirs = theirs_of(request, secret, token, now, dialect, hash_payload(body))
    ours = dict(
        sign(
            request,
            Credentials("AKID", secret, token),
            Scope("eu-west-1", "sagemaker"),
            now=now,
            dialect=dialect,
        ).headers
    )
    found = {name.lower(): text for name, text in theirs.headers}
    assert ours["authorization"] == found["authorization"]
    assert {name: found[name] for name in ours} == ours


@given(
    path=path_,
    query=st.lists(pair, max_size=4),
    token=st.none() | graphic,
    now=st.integers(1, 4102444800),
    dialect=dialect_,
)
def test_presigned_urls_equal_awscrts(
    path: str, query: list[tuple[str, str]], token: str | None, now: int, dialect: Dialect
) -> None:
    text = "&".join(f"{quote(name, safe='~')}={quote(text, safe='~')}" for name, text in query)
    url = f"https://{HOST}{written(path, dialect)}" + (f"?{text}" if text else "")
    request = Request("GET", url, (("Host", HOST), ("X-Two", "2")))
    theirs = theirs_of(request, "secret", token, now, dialect, hash_payload(b""), expires=60)
    credentials, scope = Credentials("AKID", "secret", token), Scope("eu-west-1", "sagemaker")
    ours = presign(
        request,
        credentials,
        scope,
        now=now,
        expires=60,
        dialect=dialect,
        payload_hash=hash_payload(b""),
    )
    assert sorted(parse_qsl(ours.url.partition("?")[2], True)) == sorted(
        parse_qsl(theirs.path.partition("?")[2], True)
    )


@given(
    path=path_,
    query=st.lists(pair, max_size=3),
    token=st.none() | graphic,
    now=st.integers(1, 4102444800),
)
def test_sigv4a_signature_of_awscrt_is_verified(
    path: str, query: list[tuple[str, str]], token: str | None, now: int
) -> None:
    text = "&".join(f"{quote(name, safe='~')}={quote(text, safe='~')}" for name, text in query)
    request = Request(
        "GET", f"https://{HOST}{path}" + (f"?{text}" if text else ""), (("Host", HOST),)
    )
    theirs = theirs_of(request, "secret", token, now, Dialect(), hash_payload(b""), sigv4a=True)
    credentials, scope = Credentials("AKID", "secret", token), RegionSet("eu-west-1", "sagemaker")
    ours = sign(request, credentials, scope, now=now)
    found = {name.lower(): text for name, text in theirs.headers}["authorization"]
    start, _, signature = found.rpartition("=")
    assert start == ours.headers[-1][1].rpartition("=")[0]
    assert signing_key(credentials, scope, now)[0].matches(ours.string_to_sign, signature)
