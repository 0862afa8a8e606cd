"""Presigned URLs against the published vectors and botocore, and what `verify` makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, Credentials, Request, Scope, ServiceError, verify
from smruntime_core.signing import S3, STANDARD, UNSIGNED_PAYLOAD, Dialect, presign, sign

from .vectors import NOW, Case, cases

PLAIN = Credentials("AKID", "secret")
SESSION = Credentials("ASIA", "secret", "to/ken==")
KNOWN = {"AKID": PLAIN, "ASIA": SESSION}
SCOPE = Scope("eu-west-1", "sagemaker")
GET = Request("GET", "https://h/a/b?x=1&y=%20", (("Host", "h"),))


@pytest.mark.parametrize("case", cases("sigv4.json", lambda all_: all_["context_form"]))
def test_presigned_urls_equal_the_published_vectors(case: Any) -> None:
    given, expected = Case(case), case["query"]
    payload_hash = (
        None
        if not given.dialect.add_payload_hash
        else sign(given.request, given.credentials, given.scope, now=NOW)
    )
    made = presign(
        given.request,
        given.credentials,
        given.scope,
        now=NOW,
        expires=given.expires,
        dialect=given.dialect,
        payload_hash=payload_hash and payload_hash.canonical_request[-64:],
    )
    assert made.canonical_request == expected["canonical_request"]
    assert made.string_to_sign == expected["string_to_sign"]
    assert made.signature == expected["signature"]
    theirs = expected["signed_request"].split("\n")[0].split(" ", 1)[1].rpartition(" ")[0]
    assert sorted(parse_qsl(urlsplit(made.url).query, True)) == sorted(
        parse_qsl(theirs.partition("?")[2], True)
    )


graphic = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30)
pair = st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8))


@given(
    query=st.lists(pair, max_size=4),
    token=st.none() | graphic,
    now=st.integers(0, 4102444800),
    expires=st.integers(1, 604800),
)
def test_presigned_url_equals_botocores(
    query: list[tuple[str, str]], token: str | None, now: int, expires: int
) -> None:
    auth, awsrequest, credentials = (
        pytest.importorskip(f"botocore.{name}") for name in ("auth", "awsrequest", "credentials")
    )
    text = "&".join(
        f"{quote(name, safe='~')}={quote(value, safe='~')}"
        for name, value in sorted(dict(query).items())
    )
    url = "https://runtime.sagemaker.eu-west-1.amazonaws.com/p" + (f"?{text}" if text else "")
    theirs = awsrequest.AWSRequest(method="GET", url=url)
    with mock.patch.object(
        auth, "get_current_datetime", return_value=datetime.fromtimestamp(now, UTC)
    ):
        auth.SigV4QueryAuth(
            credentials.Credentials("AKID", "secret", token), "sagemaker", "eu-west-1", expires
        ).add_auth(theirs)
    ours = presign(
        Request("GET", url), Credentials("AKID", "secret", token), SCOPE, now=now, expires=expires
    )
    assert sorted(urlsplit(ours.url).query.split("&")) == sorted(
        urlsplit(theirs.url).query.split("&")
    )


@given(
    key=st.text(min_size=1, max_size=10),
    query=st.lists(pair, max_size=3),
    token=st.none() | graphic,
    now=st.integers(0, 4102444800),
)
def test_s3_presigned_url_equals_botocores(
    key: str, query: list[tuple[str, str]], token: str | None, now: int
) -> None:
    auth, awsrequest, credentials = (
        pytest.importorskip(f"botocore.{name}") for name in ("auth", "awsrequest", "credentials")
    )
    text = "&".join(
        f"{quote(name, safe='~')}={quote(value, safe='~')}"
        for name, value in sorted(dict(query).items())
    )
    url = f"https://b.s3.eu-west-1.amazonaws.com/{quote(key, safe='/~')}" + (
        f"?{text}" if text else ""
    )
    theirs = awsrequest.AWSRequest(method="GET", url=url)
    with mock.patch.object(
        auth, "get_current_datetime", return_value=datetime.fromtimestamp(now, UTC)
    ):
        auth.S3SigV4QueryAuth(
            credentials.Credentials("AKID", "secret", token), "s3", "eu-west-1", 60
        ).add_auth(theirs)
    keys = Credentials("AKID", "secret", token)
    ours = presign(
        Request("GET", url), keys, Scope("eu-west-1", "s3"), now=now, expires=60, dialect=S3
    )
    assert sorted(urlsplit(ours.url).query.split("&")) == sorted(
        urlsplit(theirs.url).query.split("&")
    )


@given(
    path=st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#"), max_size=20
    ),
    query=st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=20
    ),
    token=st.none() | graphic,
    body=st.binary(max_size=20),
    age=st.integers(-300, 60),
    dialect=st.builds(
        Dialect, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans()
    ),
)
def test_presigned_url_is_verified(
    path: str, query: str, token: str | None, body: bytes, age: int, dialect: Dialect
) -> None:
    known = Credentials("AKID", "secret", token)
    request = Request(
        "PUT",
        f"https://h/{path}?{query}",
        (("Host", "h"), ("X-Amz-Meta", "m"), ("User-Agent", "u")),
        body,
    )
    url = presign(request, known, SCOPE, now=NOW, expires=60, dialect=dialect).url
    accept = {UNSIGNED_PAYLOAD} if dialect.add_payload_hash else ()
    assert (
        verify(
            request.replace(url=url),
            {"AKID": known},
            SCOPE,
            now=NOW + age,
            dialect=dialect,
            accept=accept,
        )
        is known
    )


INVALID, INCOMPLETE = "InvalidSignatureException", "IncompleteSignatureException"
URL = presign(GET, SESSION, SCOPE, now=NOW, expires=60).url
REFUSED: list[tuple[str, Request, float, str]] = [
    ("expired", GET.replace(url=URL), NOW + 61, INVALID),
    ("not yet", GET.replace(url=URL), NOW - 301, INVALID),
    (
        "longer than a week",
        GET.replace(url=URL.replace("Expires=60", "Expires=604801")),
        NOW,
        INCOMPLETE,
    ),
    ("no number", GET.replace(url=URL.replace("Expires=60", "Expires=6e1")), NOW, INCOMPLETE),
    ("no end", GET.replace(url=URL.replace("&X-Amz-Expires=60", "")), NOW, INCOMPLETE),
    ("longer than signed", GET.replace(url=URL.replace("Expires=60", "Expires=61")), NOW, INVALID),
    ("another method", GET.replace(url=URL, method="PUT"), NOW, INVALID),
    ("another path", GET.replace(url=URL.replace("/a/b", "/a/c")), NOW, INVALID),
    ("another parameter", GET.replace(url=URL.replace("x=1", "x=2")), NOW, INVALID),
    ("one more parameter", GET.replace(url=URL + "&z"), NOW, INVALID),
    ("a body", GET.replace(url=URL, body=b"x"), NOW, INVALID),
    (
        "another algorithm",
        GET.replace(url=URL.replace("HMAC-SHA256", "HMAC-SHA1")),
        NOW,
        INCOMPLETE,
    ),
    (
        "SigV4a by name",
        GET.replace(url=URL.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")),
        NOW,
        INCOMPLETE,
    ),
    ("two signatures", GET.replace(url=URL + "&X-Amz-Signature=" + "0" * 64), NOW, INCOMPLETE),
    ("a short signature", GET.replace(url=URL[:-2]), NOW, INCOMPLETE),
    (
        "signed twice",
        GET.replace(url=URL, headers=sign(GET, SESSION, SCOPE, now=NOW).headers),
        NOW,
        INCOMPLETE,
    ),
    (
        "an unsigned x-amz-*",
        GET.replace(url=URL, headers=(*GET.headers, ("x-amz-acl", "public"))),
        NOW,
        INVALID,
    ),
    (
        "another token",
        GET.replace(url=URL.replace("to%2Fken", "to%2Fke")),
        NOW,
        "UnrecognizedClientException",
    ),
    ("another region", GET.replace(url=URL.replace("eu-west-1", "eu-west-2")), NOW, INVALID),
    ("a lone surrogate", GET.replace(url=URL + "&a=\ud800"), NOW, INCOMPLETE),
    (
        "a lone surrogate in the token",
        GET.replace(url=URL.replace("to%2Fken", "\ud800")),
        NOW,
        "UnrecognizedClientException",
    ),
]


@pytest.mark.parametrize(
    ("request_", "now", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_invalid_presigned_url_is_refused(request_: Request, now: float, code: str) -> None:
    assert verify(GET.replace(url=URL), KNOWN, SCOPE, now=NOW) is SESSION
    with pytest.raises(ServiceError) as caught:
        verify(request_, KNOWN, SCOPE, now=now)
    assert (caught.value.code, caught.value.status) == (code, 403)


@given(
    st.text(st.characters(exclude_categories=()), max_size=30),
    st.integers(0, len(URL)),
    st.integers(0, 20),
)
def test_changed_url_is_refused_and_nothing_else_is_raised(text: str, at: int, cut: int) -> None:
    changed = URL[:at] + text + URL[at + cut :]
    try:
        verify(GET.replace(url=changed), KNOWN, SCOPE, now=NOW)
    except ServiceError as refused:
        assert refused.status == 403


def test_parameters_of_an_earlier_signature_are_replaced() -> None:
    again = presign(GET.replace(url=URL), PLAIN, SCOPE, now=NOW + 1)
    assert again == presign(GET, PLAIN, SCOPE, now=NOW + 1)


def test_only_s3_urls_accept_any_body() -> None:
    put = Request(
        "PUT", "https://b.s3.amazonaws.com/k//..", (("Host", "b.s3.amazonaws.com"),), b"1"
    )
    made = presign(put, PLAIN, SCOPE, now=NOW, dialect=S3)
    assert made.canonical_request.startswith("PUT\n/k//..\n")
    assert made.canonical_request.endswith(f"\n{UNSIGNED_PAYLOAD}")
    assert (
        presign(put, PLAIN, SCOPE, now=NOW, payload_hash=UNSIGNED_PAYLOAD).url
        != presign(put, PLAIN, SCOPE, now=NOW).url
    )


def test_chosen_headers_are_signed_beside_required_ones() -> None:
    request = GET.replace(
        headers=(
            ("Host", "h"),
            ("Accept", "a"),
            ("Content-Type", "c"),
            ("x-amz-acl", "p"),
            ("X-Amz-Date", "old"),
        )
    )
    made = presign(request, PLAIN, SCOPE, now=NOW, signed_headers=("accept",))
    assert "X-Amz-SignedHeaders=accept%3Bhost%3Bx-amz-acl&" in made.url
    assert (
        sign(request, PLAIN, SCOPE, now=NOW, signed_headers=("Accept",))
        .headers[-1][1]
        .partition("SignedHeaders=")[2]
        .startswith("accept;host;x-amz-acl;x-amz-date,")
    )


@pytest.mark.parametrize("expires", [0, -1, 604801, 1.5, True])
def test_expires_out_of_range_is_refused(expires: Any) -> None:
    with pytest.raises(ConstructionError, match="expires"):
        presign(GET, PLAIN, SCOPE, now=NOW, expires=expires)


def test_url_without_credentials_stays_as_it_is() -> None:
    assert sign(GET, None, SCOPE, now=NOW).headers == ()
    assert presign(GET, None, SCOPE, now=NOW).url == GET.url


def test_repr_shows_no_usable_url() -> None:
    made = presign(GET, SESSION, SCOPE, now=NOW, dialect=STANDARD)
    assert made.signature not in repr(made)
    assert "ken" not in repr(made)
