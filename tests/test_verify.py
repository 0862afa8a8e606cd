"""`verify` accepts what `sign` signed and refuses the rest with the code that AWS answers with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import (
    ConstructionError,
    Credentials,
    Request,
    Scope,
    ServiceError,
    sign,
    verify,
)
from smruntime_core.signing import Dialect, presign

NOW = 1_700_000_000
SCOPE = Scope("eu-west-1", "sagemaker")
PLAIN = Credentials("AKID", "secret")
SESSION = Credentials("ASIA", "secret", "token", expires_at=NOW + 60.0)
KNOWN = {"AKID": PLAIN, "ASIA": SESSION}
URL = "https://h/endpoints/churn/invocations?b=2&a=%20"

graphic = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30)
any_text = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("\ud800\xa0\0\n ,="), max_size=40
)


def signed(
    credentials: Credentials = PLAIN,
    request: Request | None = None,
    *,
    now: float = NOW,
    scope: Scope = SCOPE,
) -> Request:
    request = request or Request(
        "POST", URL, (("Host", "h"), ("X-Amz-Target", "t"), ("Content-Type", "text/csv")), b"1,2,3"
    )
    return request.replace(
        headers=request.headers + sign(request, credentials, scope, now=now).headers
    )


def with_header(request: Request, name: str, change: Callable[[str], str]) -> Request:
    return request.replace(
        headers=tuple(
            (key, change(value) if key.lower() == name else value) for key, value in request.headers
        )
    )


def without(request: Request, name: str) -> Request:
    return request.replace(
        headers=tuple(pair for pair in request.headers if pair[0].lower() != name)
    )


@given(
    path=st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#"), max_size=20
    ),
    query=st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=20
    ),
    headers=st.lists(
        st.tuples(st.from_regex(r"X-H[A-Za-z0-9-]{0,5}", fullmatch=True), st.text(max_size=10)),
        max_size=5,
    ),
    body=st.binary(max_size=50),
    token=st.none() | graphic,
    secret=graphic,
    skew=st.integers(-300, 300),
)
def test_signed_request_is_verified(
    path: str,
    query: str,
    headers: list[tuple[str, str]],
    body: bytes,
    token: str | None,
    secret: str,
    skew: int,
) -> None:
    credentials = Credentials("AKID", secret, token)
    request = Request("POST", f"https://h/{path}?{query}", (("host", "h"), *headers), body)
    known = {"AKID": Credentials("AKID", secret, token)}
    assert (
        verify(signed(credentials, request, now=NOW + skew), known, SCOPE, now=NOW) is known["AKID"]
    )


@pytest.mark.parametrize(
    "url", ["https://h/a", "https://h:443/a", "http://h:80", "http://h:8080/?q", "https://[::1]:9/"]
)
def test_host_is_taken_from_the_url_without_host_header(url: str) -> None:
    assert (
        verify(signed(request=Request("POST", url, (), b"1,2,3")), KNOWN, SCOPE, now=NOW) is PLAIN
    )


def test_key_is_that_of_the_signing_day_across_midnight() -> None:
    midnight = NOW // 86400 * 86400
    assert verify(signed(now=midnight - 1), KNOWN, SCOPE, now=midnight + 299) is PLAIN
    assert verify(signed(now=NOW), KNOWN, SCOPE, now=NOW + 900, max_skew=900) is PLAIN


def test_unsigned_token_is_compared_too() -> None:
    request = Request("POST", URL, (("Host", "h"),))
    bare = request.replace(
        headers=request.headers
        + sign(request, SESSION, SCOPE, now=NOW, dialect=Dialect(sign_session_token=False)).headers
    )
    assert verify(bare, KNOWN, SCOPE, now=NOW) is SESSION


INVALID, INCOMPLETE, UNKNOWN = (
    "InvalidSignatureException",
    "IncompleteSignatureException",
    "UnrecognizedClientException",
)
AUTH = "authorization"
REFUSED: list[tuple[str, Request, str]] = [
    ("wrong secret", signed(Credentials("AKID", "Secret")), INVALID),
    ("flipped body byte", signed().replace(body=b"1,2,2"), INVALID),
    ("other method", signed().replace(method="PUT"), INVALID),
    ("other path", signed().replace(url=URL.replace("churn", "chum")), INVALID),
    ("other query", signed().replace(url=URL + "&c"), INVALID),
    ("other header value", with_header(signed(), "content-type", lambda _: "text/plain"), INVALID),
    ("other region", signed(scope=Scope("eu-west-2", "sagemaker")), INVALID),
    ("other service", signed(scope=Scope("eu-west-1", "s3")), INVALID),
    ("too late", signed(now=NOW - 301), INVALID),
    ("too early", signed(now=NOW + 301), INVALID),
    ("no Authorization", without(signed(), AUTH), "MissingAuthenticationTokenException"),
    ("empty Authorization", with_header(signed(), AUTH, lambda _: ""), INCOMPLETE),
    ("Bearer", with_header(signed(), AUTH, lambda _: "Bearer xyz"), INCOMPLETE),
    (
        "no signature",
        with_header(signed(), AUTH, lambda value: value.rpartition(", ")[0]),
        INCOMPLETE,
    ),
    ("two Authorizations", signed(request=signed()), INCOMPLETE),
    (
        "upper-case signature",
        with_header(signed(), AUTH, lambda value: value[:-64] + value[-64:].upper()),
        INCOMPLETE,
    ),
    ("no date", without(signed(), "x-amz-date"), INCOMPLETE),
    (
        "malformed date",
        with_header(signed(), "x-amz-date", lambda _: "20231399T000000Z"),
        INCOMPLETE,
    ),
    (
        "date of another day",
        with_header(signed(), "x-amz-date", lambda _: "20231113T221320Z"),
        INCOMPLETE,
    ),
    (
        "unsigned x-amz-*",
        signed().replace(headers=(*signed().headers, ("X-Amz-Extra", "1"))),
        INVALID,
    ),
    ("signed header missing", without(signed(), "content-type"), INVALID),
    (
        "another host, in the URL only",
        without(signed(), "host").replace(url=URL.replace("//h", "//g")),
        INVALID,
    ),
    (
        "a header signed twice",
        with_header(signed(), AUTH, lambda value: value.replace("host;", "host;host;")),
        INCOMPLETE,
    ),
    (
        "host not signed",
        with_header(signed(), AUTH, lambda value: value.replace("host;", "")),
        INVALID,
    ),
    ("wrong token", signed(SESSION.replace(session_token="nekot")), UNKNOWN),
    ("missing token", signed(SESSION.replace(session_token=None)), UNKNOWN),
    ("token too many", signed(PLAIN.replace(session_token="token")), UNKNOWN),
    (
        "token of a lone surrogate",
        with_header(signed(SESSION), "x-amz-security-token", lambda _: "\ud800"),
        UNKNOWN,
    ),
    ("unknown key", signed(Credentials("NOBODY", "secret")), UNKNOWN),
]


@pytest.mark.parametrize(
    ("request_", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_invalid_signature_is_refused(request_: Request, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        verify(request_, KNOWN, SCOPE, now=NOW)
    assert (caught.value.code, caught.value.status) == (code, 403)
    assert caught.value.message


def test_expired_credentials_are_refused() -> None:
    assert verify(signed(SESSION, now=NOW + 59), KNOWN, SCOPE, now=NOW + 59) is SESSION
    with pytest.raises(ServiceError) as caught:
        verify(signed(SESSION, now=NOW + 60), KNOWN, SCOPE, now=NOW + 60)
    assert (caught.value.code, caught.value.status) == ("ExpiredTokenException", 403)


def test_mismatch_quotes_canonical_request_without_token() -> None:
    made = signed(SESSION)
    with pytest.raises(ServiceError) as caught:
        verify(made.replace(body=b""), KNOWN, SCOPE, now=NOW)
    canonical = "this request should have been\n'POST\n/endpoints/churn/invocations"
    assert f"The Canonical String for {canonical}" in caught.value.message_raw
    assert "token:<redacted>" in caught.value.message_raw
    assert "token:token" not in caught.value.message_raw
    assert "secret" not in caught.value.message_raw.lower().replace("secret access key", "")


def test_hashed_text_is_no_longer_than_the_request() -> None:
    """A long header that is named many times would be 40 GB of canonical request."""
    names, value = "big;" * 200_000, "v" * 200_000
    made = with_header(
        signed(), AUTH, lambda text: text.replace("SignedHeaders=", f"SignedHeaders={names}")
    )
    with pytest.raises(ServiceError, match="more than once"):
        verify(made.replace(headers=(*made.headers, ("Big", value))), KNOWN, SCOPE, now=NOW)


def test_many_headers_are_verified_in_linear_time() -> None:
    """Quadratic time would take minutes for so many headers and so many parts of one."""
    headers = (
        ("Host", "h"),
        *((f"x-{number}", "1") for number in range(50_000)),
        *[("x-parts", "1" * 1000)] * 20_000,
    )
    request = Request("POST", URL, headers)
    assert verify(signed(request=request), KNOWN, SCOPE, now=NOW) is PLAIN


@given(
    st.sampled_from((AUTH, "x-amz-date", "host", "x-amz-security-token", "content-type")), any_text
)
def test_any_header_text_raises_only_service_error(name: str, text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        verify(with_header(signed(SESSION), name, lambda _: f"{text}!"), KNOWN, SCOPE, now=NOW)
    assert caught.value.status == 403


@given(
    st.sampled_from(list(KNOWN)),
    st.from_regex(r"[0-9]{8}", fullmatch=True),
    st.text("abhost;-xz.", max_size=20),
    st.from_regex(r"[0-9]{8}T[0-9]{6}Z", fullmatch=True),
)
def test_any_wellformed_authorization_raises_only_service_error(
    key: str, date: str, names: str, stamp: str
) -> None:
    text = (
        f"AWS4-HMAC-SHA256 Credential={key}/{date}/eu-west-1/sagemaker/aws4_request, "
        f"SignedHeaders={names}, Signature={'0' * 64}"
    )
    headers = (
        ("host", "h"),
        (AUTH, text),
        ("x-amz-date", stamp),
        ("x-amz-security-token", "token"),
    )
    with pytest.raises(ServiceError):
        verify(Request("POST", URL, headers), KNOWN, SCOPE, now=NOW, max_skew=1e15)


WRONG_NUMBERS = [float("nan"), float("inf"), -float("inf"), "1", None]


@pytest.mark.parametrize("number", WRONG_NUMBERS)
def test_time_that_is_not_finite_is_refused(number: Any) -> None:
    with pytest.raises(ConstructionError, match=r"^now: "):
        verify(signed(), KNOWN, SCOPE, now=number)
    with pytest.raises(ConstructionError, match=r"^max_skew: "):
        verify(signed(now=0), KNOWN, SCOPE, now=NOW, max_skew=number)


def test_negative_max_skew_is_refused_and_zero_is_allowed() -> None:
    with pytest.raises(ConstructionError, match=r"^max_skew: found -1; must be 0 seconds or more"):
        verify(signed(), KNOWN, SCOPE, now=NOW, max_skew=-1)
    assert verify(signed(), KNOWN, SCOPE, now=NOW, max_skew=0) is PLAIN


def at(url: str, host: str) -> Request:
    """Return a request to `url` that is signed with the Host header `host`."""
    made = Request("POST", url, (("Host", host),), b"1")
    return Request("POST", url, made.headers + sign(made, PLAIN, SCOPE, now=NOW).headers, b"1")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://h/", "h"),
        ("https://H/", "h"),
        ("https://h/", "H"),
        ("https://h:443/", "h"),
        ("https://h/", "h:443"),
        ("http://h:80/", "h"),
        ("http://h/", "h:80"),
        ("https://h:8443/", "h:8443"),
        ("https://[::1]:443/", "[::1]"),
    ],
)
def test_host_header_equal_to_the_url_is_accepted(url: str, host: str) -> None:
    assert verify(at(url, host), KNOWN, SCOPE, now=NOW) is PLAIN


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://internal/", "public"),
        ("https://h/", "h.evil"),
        ("https://h:8443/", "h"),
        ("https://h/", "h:8443"),
        ("https://h/", "h:80"),
        ("http://h/", "h:443"),
        ("http://h:443/", "h"),
        ("https://h/", "h."),
        ("https://[::1]/", "::1"),
    ],
)
def test_host_header_unequal_to_the_url_is_refused(url: str, host: str) -> None:
    with pytest.raises(ServiceError, match="but the Host header says") as caught:
        verify(at(url, host), KNOWN, SCOPE, now=NOW)
    assert (caught.value.code, caught.value.status) == (INVALID, 403)


def test_repeated_host_header_is_refused() -> None:
    made = at("https://h/", "h")
    twice = Request("POST", "https://h/", (("Host", "h"), *made.headers), b"1")
    with pytest.raises(ServiceError):
        verify(twice, KNOWN, SCOPE, now=NOW)


PRESIGNED = presign(Request("GET", "https://h/a?x=1&x=2"), SESSION, SCOPE, now=NOW, expires=60).url
PARAMETERS = [name for name, _ in parse_qsl(urlsplit(PRESIGNED).query) if name != "x"]


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("encoded", ["", "X", "-"])
@pytest.mark.parametrize("first", [False, True])
def test_repeated_signature_parameter_is_refused(name: str, encoded: str, first: bool) -> None:
    again = name.replace(encoded, f"%{ord(encoded):x}", 1) if encoded else name
    address, _, query = PRESIGNED.partition("?")
    url = f"{address}?{again}=1&{query}" if first else f"{PRESIGNED}&{again}=1"
    with pytest.raises(ServiceError, match=f"parameter {name} is given more than once") as caught:
        verify(Request("GET", url), KNOWN, SCOPE, now=NOW)
    assert caught.value.status == 403
    assert verify(Request("GET", PRESIGNED), KNOWN, SCOPE, now=NOW) is SESSION


def test_repeated_application_parameter_is_accepted() -> None:
    url = presign(Request("GET", "https://h/?a=1&a=2&A=3"), PLAIN, SCOPE, now=NOW).url
    assert verify(Request("GET", url), KNOWN, SCOPE, now=NOW) is PLAIN
