"""`sign` against the published vectors and against botocore, and what it promises its caller."""

from __future__ import annotations

import base64
import copy
import pickle
import random
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, Credentials, InvokeEndpoint, Request, Scope, sign
from smruntime_core.signing import (
    S3,
    UNSIGNED_PAYLOAD,
    Dialect,
    RegionSet,
    _sigv4,
    hash_payload,
    presign,
)
from smruntime_core.signing._canonical import normalize_parameter

from .vectors import AKID, NOW, cases

SCOPE = Scope("us-east-1", "service")


def legacy_token(case: Any) -> str | None:
    lines = case["header"]["canonical_request"].splitlines()
    return next(
        (line.partition(":")[2] for line in lines if line.startswith("x-amz-security-token:")), None
    )


def dialect(context: Any) -> Dialect:
    return Dialect(
        normalize_path=context.get("normalize", True),
        add_payload_hash=context.get("sign_body", False),
        sign_session_token=not context.get("omit_session_token", False),
    )


def both_forms(all_cases: Any) -> list[Any]:
    return [*all_cases["context_form"], *all_cases["legacy_form"]]


@pytest.mark.parametrize("case", cases("sigv4.json", both_forms))
def test_signatures_equal_the_published_vectors(case: Any) -> None:
    context = case.get("context", {})
    keys = context.get("credentials", {})
    credentials = Credentials(
        keys.get("access_key_id", AKID.access_key_id),
        keys.get("secret_access_key", AKID.secret_access_key),
        keys.get("token") if context else legacy_token(case),
    )
    headers = tuple((name, value) for name, value in case["headers"])
    request = Request(
        case["method"],
        "https://example.amazonaws.com" + case["target"],
        headers,
        base64.b64decode(case["body_b64"]),
    )
    made = sign(
        request,
        credentials,
        Scope(context.get("region", "us-east-1"), context.get("service", "service")),
        now=NOW,
        dialect=dialect(context),
    )
    expected = case["header"]
    assert made.canonical_request == expected["canonical_request"]
    assert made.string_to_sign == expected["string_to_sign"]
    authorization = dict(made.headers)["authorization"]
    assert made.signature == authorization.rpartition("=")[2]
    assert made.signature == expected.get("signature", made.signature)
    assert authorization == expected.get("authorization", authorization)
    if context:  # three legacy signed requests have a signature of another string to sign
        assert authorization in expected["signed_request"]


ascii_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
graphic = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
unicode_text = st.text(max_size=12)
header_name = st.from_regex(r"X-[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True).filter(
    lambda name: not name.lower().startswith("x-am")
)
headers_ = st.lists(
    st.tuples(
        st.sampled_from(("Content-Type", "Accept", "User-Agent", "TE")) | header_name, ascii_text
    ),
    max_size=6,
)
path_ = st.lists(
    st.sampled_from((".", "..", ""))
    | unicode_text.map(lambda text: quote(text, safe="~!$&'()*+,;=:@")),
    max_size=6,
)
query_ = st.lists(st.tuples(unicode_text, unicode_text), max_size=5)


@given(
    method=st.sampled_from(("GET", "POST", "PUT")),
    path=path_,
    query=query_,
    headers=headers_,
    body=st.binary(max_size=200),
    secret=graphic,
    token=st.none() | graphic,
    now=st.integers(0, 4102444800),
)
def test_signature_equals_botocores(
    method: str, path: list[str], query: list[tuple[str, str]], headers: list[tuple[str, str]],
    body: bytes, secret: str, token: str | None, now: int,
) -> None:  # fmt: skip
    auth, awsrequest, credentials = (
        pytest.importorskip(f"botocore.{name}") for name in ("auth", "awsrequest", "credentials")
    )
    pairs = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in query)
    url = (
        "https://runtime.sagemaker.eu-west-1.amazonaws.com/"
        + "/".join(path)
        + (f"?{pairs}" if pairs else "")
    )
    theirs = awsrequest.AWSRequest(method=method, url=url, data=body)
    for name, value in headers:
        theirs.headers[name] = value
    with mock.patch.object(
        auth, "get_current_datetime", return_value=datetime.fromtimestamp(now, UTC)
    ):
        auth.SigV4Auth(
            credentials.Credentials("AKID", secret, token), "sagemaker", "eu-west-1"
        ).add_auth(theirs)
    ours = sign(
        Request(method, url, tuple(headers), body),
        Credentials("AKID", secret, token),
        Scope("eu-west-1", "sagemaker"),
        now=now,
    )
    added = dict(ours.headers)
    assert added["authorization"] == theirs.headers["Authorization"]
    assert added["x-amz-date"] == theirs.headers["X-Amz-Date"]
    assert added.get("x-amz-security-token") == theirs.headers["X-Amz-Security-Token"]


@given(
    path=path_,
    query=query_,
    headers=headers_,
    body=st.binary(max_size=50),
    token=st.none() | graphic,
    now=st.integers(0, 4102444800),
)
def test_s3_signature_equals_botocores(
    path: list[str],
    query: list[tuple[str, str]],
    headers: list[tuple[str, str]],
    body: bytes,
    token: str | None,
    now: int,
) -> None:
    """Paths are encoded strictly, as S3's clients do; docs/signing.md has the others."""
    auth, awsrequest, credentials = (
        pytest.importorskip(f"botocore.{name}") for name in ("auth", "awsrequest", "credentials")
    )
    pairs = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in query)
    url = (
        "https://b.s3.eu-west-1.amazonaws.com/"
        + "/".join(map(normalize_parameter, path))
        + (f"?{pairs}" if pairs else "")
    )
    theirs = awsrequest.AWSRequest(method="PUT", url=url, data=body)
    theirs.context["payload_signing_enabled"] = True
    for name, value in headers:
        theirs.headers[name] = value
    with mock.patch.object(
        auth, "get_current_datetime", return_value=datetime.fromtimestamp(now, UTC)
    ):
        auth.S3SigV4Auth(
            credentials.Credentials("AKID", "secret", token), "s3", "eu-west-1"
        ).add_auth(theirs)
    keys, scope = Credentials("AKID", "secret", token), Scope("eu-west-1", "s3")
    added = dict(
        sign(Request("PUT", url, tuple(headers), body), keys, scope, now=now, dialect=S3).headers
    )
    assert added == {name.lower(): theirs.headers[name] for name in added}


@given(
    headers=st.dictionaries(header_name.map(str.lower), ascii_text, max_size=6),
    seed=st.randoms(use_true_random=False),
)
def test_order_and_case_of_headers_do_not_change_the_signature(
    headers: dict[str, str], seed: random.Random
) -> None:
    shuffled = [
        (name.upper() if seed.random() < 0.5 else name.title(), value)
        for name, value in headers.items()
    ]
    seed.shuffle(shuffled)
    one, other = (
        sign(Request("GET", "https://h/", tuple(pairs)), AKID, SCOPE, now=NOW)
        for pairs in (headers.items(), shuffled)
    )
    assert one == other


def test_sign_returns_headers_to_add_and_changes_nothing() -> None:
    body = bytearray(b"1,2,3")
    request = Request(
        "POST", "https://h/p?b=2&a=1", (("Accept", "text/csv"), ("X-Amz-Date", "old")), body
    )
    before = Request("POST", request.url, tuple(request.headers), bytearray(body))
    made = sign(request, AKID.replace(session_token="tok"), SCOPE, now=NOW)
    assert request == before
    assert [name for name, _ in made.headers] == [
        "x-amz-date",
        "x-amz-security-token",
        "authorization",
    ]
    assert "old" not in made.canonical_request
    assert made == sign(request, AKID.replace(session_token="tok"), SCOPE, now=NOW + 0.9)


def test_given_payload_hash_is_signed() -> None:
    request = Request("POST", "https://h/", (), b"body")
    assert sign(request, AKID, SCOPE, now=NOW, payload_hash=hash_payload(b"body")) == sign(
        request, AKID, SCOPE, now=NOW
    )
    made = sign(
        request,
        AKID,
        SCOPE,
        now=NOW,
        payload_hash=UNSIGNED_PAYLOAD,
        dialect=Dialect(add_payload_hash=True),
    )
    assert dict(made.headers)["x-amz-content-sha256"] == UNSIGNED_PAYLOAD
    assert made.canonical_request.endswith(UNSIGNED_PAYLOAD)


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(("a", "b")), st.sampled_from(("s", "t"))),
        max_size=40,
    )
)
def test_kept_signing_keys_never_show(uses: list[tuple[int, str, str]]) -> None:
    shared = Credentials("AKID", "secret")
    for day, region, service in uses:
        request, scope = Request("GET", "https://h/"), Scope(region, service)
        new = Credentials("AKID", "secret")
        assert sign(request, shared, scope, now=day * 86400) == sign(
            request, new, scope, now=day * 86400
        )
    assert shared == Credentials("AKID", "secret")
    assert vars(shared) == vars(Credentials("AKID", "secret"))
    kept: Any = getattr(shared, "signing_keys", None)
    assert not uses or len(kept) <= _sigv4.MAX_KEYS


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(("x-a", "X-A", "x-b", "host", "x-amz-date")),
        st.sampled_from(("1", "2", " 1  2 ")),
    ),
    max_size=3,
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("GET", "PUT")), st.sampled_from(("/", "/a?b=1")), FIELDS, st.booleans()
        ),
        max_size=40,
    )
)
def test_shared_credentials_sign_like_new_ones(
    requests: list[tuple[str, str, list[tuple[str, str]], bool]],
) -> None:
    shared = Credentials("AKID", "secret", "token")
    for number, (method, path, fields, other) in enumerate(requests):
        request = Request(method, f"https://h{path}", tuple(fields), b"%d" % number)
        new, how = Credentials("AKID", "secret", "token"), S3 if other else Dialect()
        chosen = ("x-b",) if other and number % 2 else None
        made = sign(request, shared, SCOPE, now=NOW + number, dialect=how, signed_headers=chosen)
        assert made == sign(
            request, new, SCOPE, now=NOW + number, dialect=how, signed_headers=chosen
        )


@pytest.mark.parametrize("host", ["h", "h:8443", "h:443", "H.example"])
def test_plain_url_is_signed_like_its_encoded_spelling(host: str) -> None:
    """S3 signs a path decoded, so both spellings have one canonical request."""
    plain, encoded = Request("GET", f"https://{host}/a/b"), Request("GET", f"https://{host}/%61/b")
    made = sign(plain, AKID, SCOPE, now=NOW, dialect=S3)
    assert made == sign(encoded, AKID, SCOPE, now=NOW, dialect=S3)
    assert f"host:{host.removesuffix(':443')}\n" in made.canonical_request


def test_headers_in_lists_are_signed_like_pairs() -> None:
    listed: Any = [["x-a", "1"], ("x-b", "2")]
    pairs = (("x-a", "1"), ("x-b", "2"))
    assert sign(Request("GET", "https://h/", listed), AKID, SCOPE, now=NOW) == sign(
        Request("GET", "https://h/", pairs), AKID, SCOPE, now=NOW
    )


def test_signing_key_of_a_day_is_derived_once() -> None:
    credentials = Credentials("AKID", "secret")
    with mock.patch.object(_sigv4, "_derive_key", wraps=_sigv4._derive_key) as derive:
        for second in range(5):
            sign(Request("GET", "https://h/"), credentials, SCOPE, now=86400 * 3 + second)
    assert derive.call_count == 1


@pytest.mark.parametrize("scope", [SCOPE, RegionSet("*", "service")])
def test_signed_request_is_pickled_and_copied_without_kept_keys(scope: Scope | RegionSet) -> None:
    request = InvokeEndpoint(endpoint_name="e", body=b"").request("https://h")
    if isinstance(scope, RegionSet):
        pytest.importorskip("cryptography", reason="SigV4a needs it")
    sign(request, Credentials("AKID", "hush-secret", "hush-token"), scope, now=NOW)
    dumped = pickle.dumps(request)
    assert b"hush" not in dumped
    for again in (pickle.loads(dumped), copy.deepcopy(request)):
        assert again == request
        assert sign(again, AKID, SCOPE, now=NOW) == sign(request, AKID, SCOPE, now=NOW)


def test_secrets_are_in_no_repr_and_no_pickle() -> None:
    credentials = Credentials("AKID", "hush-secret", "hush-token")
    request = Request(
        "POST", "https://h/?X-Amz-Signature=hush-query", (("x", "hush-header"),), b"hush-body"
    )
    made = sign(request, credentials, SCOPE, now=NOW)
    for shown in (credentials, request, made):
        assert "hush" not in f"{shown!r} {shown} {[shown]}"
    assert "AKID" in repr(credentials)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(credentials)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "/p",
        "ftp://h/",
        "https://",
        "https:///p",
        "https://u:p@h/",
        "HTTPS://h",
        "https://h/\ud800",
        "https://h/?a=\ud800",
    ],
)
def test_url_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(ConstructionError):
        sign(Request("GET", url), AKID, SCOPE, now=NOW)


def test_text_that_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(ConstructionError, match="surrogate"):
        sign(Request("GET", "https://h/", (("x", "\ud800"),)), AKID, SCOPE, now=NOW)


@pytest.mark.parametrize(
    "headers", [(("x", b"1"),), ((b"x", "1"),), (("x", 1),), {"x-name": "1"}, ("x-name",)]
)
def test_headers_that_are_not_pairs_of_text_are_refused(headers: Any) -> None:
    for make in (sign, presign):
        with pytest.raises(ConstructionError, match="headers pairs"):
            make(Request("GET", "https://h/", headers), AKID, SCOPE, now=NOW)


def test_copy_with_another_secret_signs_with_that_secret() -> None:
    request, credentials = Request("GET", "https://h/"), Credentials("AKID", "secret")
    sign(request, credentials, SCOPE, now=NOW)
    assert sign(request, credentials.replace(secret_access_key="b"), SCOPE, now=NOW) == sign(
        request, Credentials("AKID", "b"), SCOPE, now=NOW
    )


@given(
    st.lists(
        st.tuples(
            st.lists(ascii_text, min_size=2, max_size=2),
            st.sampled_from(("h", "g")),
            st.integers(0, 3),
        ),
        max_size=6,
    )
)
def test_earlier_signatures_never_change_later_ones(
    calls: list[tuple[list[str], str, int]],
) -> None:
    """What is kept on credentials does not change a signature: each equals the first."""
    shared = Credentials("AKID", "secret", "token")
    for (one, two), host, second in calls:
        request = Request(
            "GET", f"https://{host}/", (("X-One", one), ("X-Amz-Two", two), ("x-amz-date", "old"))
        )
        first = sign(request, Credentials("AKID", "secret", "token"), SCOPE, now=NOW + second)
        assert (
            sign(request, shared, SCOPE, now=NOW + second)
            == sign(request, shared, SCOPE, now=NOW + second)
            == first
        )
