"""`explain` names each thing that was changed between signing and verifying, and nothing else."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import smruntime_local
from smruntime_core import Credentials, Request, Scope, ServiceError, sign, verify
from smruntime_core.signing import S3, STANDARD, UNSIGNED_PAYLOAD, explain, hash_payload, presign
from smruntime_transports import sockets

NOW = 1_700_000_000
KEYS = Credentials("AKID", "secret", "hush-token")
SCOPE = Scope("eu-west-1", "sagemaker")
REQUEST = Request(
    "POST",
    "https://h/a%20b/c?x=1&y=2",
    (("Host", "h"), ("Content-Type", "text/csv"), ("X-Amz-Acl", "p")),
    b"1,2,3",
)
SIGNED = sign(REQUEST, KEYS, SCOPE, now=NOW)
SENT = REQUEST.replace(headers=REQUEST.headers + SIGNED.headers)


def quoted(arrived: Request) -> str:
    """Return what a server that received `arrived` answers."""
    with pytest.raises(ServiceError) as refused:
        verify(arrived, {"AKID": KEYS}, SCOPE, now=NOW)
    return refused.value.message_raw


def headers(**changes: str) -> Request:
    names = {name.lower().replace("_", "-"): value for name, value in changes.items()}
    return SENT.replace(
        headers=tuple((name, names.get(name.lower(), value)) for name, value in SENT.headers)
    )


CHANGES = [
    (SENT.replace(method="PUT"), "method", "method"),
    (SENT.replace(url="https://h/a%20b/d?x=1&y=2"), "path", "URL was changed"),
    (SENT.replace(url="https://h/a%20b/c?x=1&y=3"), "parameter y", "changed after signing"),
    (SENT.replace(url="https://h/a%20b/c?x=1"), "parameter y", "did not arrive"),
    (SENT.replace(url="https://h/a%20b/c?x=1&y=2&z"), "parameter z", "added after signing"),
    (headers(content_type="text/plain"), "header content-type", "changed after signing"),
    (headers(host="proxy"), "header host", "another host"),
    (SENT.replace(body=b""), "payload hash", "No body arrived"),
    (SENT.replace(body=b"1,2,3 "), "payload hash", "compressed"),
]


@pytest.mark.parametrize(
    ("arrived", "part", "hint"), CHANGES, ids=[f"{part}: {hint}" for _, part, hint in CHANGES]
)
def test_changed_part_is_named_with_a_hint(arrived: Request, part: str, hint: str) -> None:
    said = quoted(arrived)
    for text in (said, json.dumps(said)[1:-1]):
        found = explain(SIGNED, text).differences
        assert [each.part for each in found] == [part]
        assert hint in found[0].hint
        assert part in str(explain(SIGNED, text))


def test_explain_lists_the_parts_in_which_two_signatures_differ() -> None:
    """Both texts are compared, so a part that is in one of them only is found too."""
    theirs = sign(REQUEST.replace(method="PUT"), KEYS, Scope("eu-west-2", "sagemaker"), now=NOW)
    assert [each.part for each in explain(SIGNED, theirs).differences] == ["method", "scope"]
    assert explain(SIGNED, SIGNED).compared
    assert explain(SIGNED, SIGNED).differences == ()
    url, other = (presign(REQUEST, KEYS, SCOPE, now=NOW, expires=expires) for expires in (1, 2))
    assert [each.part for each in explain(url, other).differences] == ["parameter X-Amz-Expires"]


@pytest.mark.parametrize(
    "part", ["The Canonical String for this request should have been 'x ", "<StringToSign>"]
)
def test_quotes_are_found_in_linear_time(part: str) -> None:
    """Searching from each of many beginnings of a quote would take hours."""
    assert not explain(SIGNED, part * 40_000).compared
    assert explain(SIGNED, f"POST\n/\n{'a=1&' * 40_000}\n\n\n").differences


def test_session_token_is_not_shown() -> None:
    theirs = sign(REQUEST, KEYS.replace(session_token="hush-other"), SCOPE, now=NOW)
    found = explain(SIGNED, theirs.canonical_request)
    assert [each.part for each in found.differences] == ["header x-amz-security-token"]
    assert "hush" not in str(found)
    url, other = (
        presign(REQUEST, KEYS.replace(session_token=token), SCOPE, now=NOW)
        for token in ("hush-1", "hush-2")
    )
    assert "hush" not in str(explain(url, other.canonical_request))


def test_quotes_in_s3s_xml_are_read() -> None:
    def xml(text: str) -> str:
        return text.replace("&", "&amp;")

    theirs = sign(REQUEST, KEYS, Scope("us-east-1", "s3"), now=NOW, dialect=S3)
    body = f"<Error><StringToSign>{xml(theirs.string_to_sign)}</StringToSign>"
    body += f"<CanonicalRequest>{xml(theirs.canonical_request)}</CanonicalRequest></Error>"
    found = {each.part: each for each in explain(SIGNED, body).differences}
    assert set(found) == {"path", "header x-amz-content-sha256", "signed headers", "scope"}
    assert "dialect=S3" in found["path"].hint
    assert found["scope"].theirs == "20231114/us-east-1/s3/aws4_request"


def test_hint_names_the_right_dialect() -> None:
    dotted = REQUEST.replace(url="https://h/a//b/../c%20")
    ours, theirs = (
        sign(dotted, KEYS, SCOPE, now=NOW, dialect=dialect)
        for dialect in (S3._replace(add_payload_hash=False), STANDARD)
    )
    assert explain(ours, theirs.canonical_request).differences[0].part == "path"
    once, twice = (
        sign(REQUEST, KEYS, SCOPE, now=NOW, dialect=STANDARD._replace(double_encode=double))
        for double in (False, True)
    )
    assert "dialect=STANDARD" in explain(once, twice.canonical_request).differences[0].hint
    assert "dialect=S3" in explain(twice, once.canonical_request).differences[0].hint


def test_string_to_sign_alone_shows_that_canonical_requests_differ() -> None:
    other = sign(REQUEST.replace(body=b""), KEYS, SCOPE, now=NOW + 1)
    assert [each.part for each in explain(SIGNED, other.string_to_sign).differences] == [
        "time",
        "hash of the canonical request",
    ]
    whole = sign(REQUEST, KEYS, SCOPE, now=NOW, payload_hash=UNSIGNED_PAYLOAD)
    assert (
        "payload_hash=UNSIGNED_PAYLOAD"
        in explain(SIGNED, whole.canonical_request).differences[0].hint
    )


def test_equal_texts_mean_that_the_keys_differ() -> None:
    wrong = sign(REQUEST, KEYS.replace(secret_access_key="other"), SCOPE, now=NOW)
    said = quoted(REQUEST.replace(headers=REQUEST.headers + wrong.headers))
    made = explain(wrong, said)
    assert made.differences == ()
    assert "secret access key" in str(made)


@pytest.mark.parametrize(
    "text", ["", "no", "\n", "GET\n", "AWS4", "<CanonicalRequest>", "'\n'", "GET\n/", "\ud800\n"]
)
def test_text_without_quotes_is_not_compared(text: str) -> None:
    made = explain(SIGNED, text)
    assert (made.differences, made.compared) == ((), False)
    assert hash_payload(b"1,2,3") in str(made)
    assert "The texts are equal" not in str(made)


# ── the error of a call ──


@pytest.fixture
def local_endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve(region=SCOPE.region, credentials=KEYS) as server:
        yield server


def refused_call(server: smruntime_local.Endpoint, **settings: Any) -> ServiceError:
    """Return the error of a call with these settings, which the endpoint refuses."""
    extra = settings.pop("extra_headers", {})
    given = {"region": SCOPE.region, "endpoint_url": server.url, "credentials": KEYS, **settings}
    client = sockets.Client(**given).with_options(extra_headers=extra)
    with client, pytest.raises(ServiceError) as refused:
        client.invoke_endpoint(endpoint_name="echo", body=b"1", custom_attributes="hush-attribute")
    return refused.value


def test_error_explains_that_the_keys_differ(local_endpoint: smruntime_local.Endpoint) -> None:
    wrong = KEYS.replace(secret_access_key="hush-other")
    error = refused_call(local_endpoint, credentials=wrong)
    explanation = error.explain()
    assert explanation is not None
    assert (explanation.compared, explanation.differences) == (True, ())
    assert "The texts are equal, so the keys differ" in str(error)


def test_error_explains_what_was_changed(local_endpoint: smruntime_local.Endpoint) -> None:
    error = refused_call(local_endpoint, signing_host="proxy.example")
    explanation = error.explain()
    assert explanation is not None
    (difference,) = explanation.differences
    assert (difference.part, difference.ours) == ("header host", "proxy.example")
    assert str(error).partition("\n")[2].splitlines() == [
        "    header host",
        "        ours:   proxy.example",
        f"        theirs: {local_endpoint.url.removeprefix('http://')}",
        f"        {difference.hint}",
    ]


def test_error_of_a_refused_signature_survives_pickling(
    local_endpoint: smruntime_local.Endpoint,
) -> None:
    error = refused_call(local_endpoint, signing_host="proxy.example")
    restored = pickle.loads(pickle.dumps(error))
    assert restored.explain() == error.explain()
    assert str(restored) == str(error)


def test_refused_signature_shows_no_secret(local_endpoint: smruntime_local.Endpoint) -> None:
    wrong = KEYS.replace(secret_access_key="hush-other")
    error = refused_call(local_endpoint, credentials=wrong, extra_headers={"x-key": "hush-header"})
    explanation = error.explain()
    for shown in (str(error), str(explanation), repr(explanation), repr(error)):
        assert "hush" not in shown
    error.explanation = None  # as of an error that no call raised: the quotes are shown
    assert "x-key:<redacted>" in str(error)
    assert "host:127.0.0.1" in str(error)
    assert "hush" not in str(error)


@pytest.mark.parametrize("header", ["cookie:a=1&key=hush", "x_api_key:hush", "x.y:hush&hush"])
def test_quoted_header_shows_no_part_of_its_value(header: str) -> None:
    quoted = f"The signatures differ.\n\n'POST\n/path\n\n{header}\nhost:h\n"
    error = ServiceError(quoted, code="SignatureDoesNotMatch", status=403)
    for shown in (str(error), error._repr_html_()):
        assert f"{header.partition(':')[0]}:" in shown
        assert "host:h" in shown
        assert "hush" not in shown


def test_changed_secret_header_is_named_and_not_shown() -> None:
    theirs = SIGNED.canonical_request.replace("x-amz-acl:p", "x-amz-acl:hush")
    (difference,) = explain(SIGNED, theirs, secret_headers=["X-Amz-Acl"]).differences
    assert (difference.part, difference.ours) == ("header x-amz-acl", "<redacted>")
    assert "hush" not in str(difference)


@pytest.mark.parametrize("status", [403, 400])
def test_lines_of_a_server_are_indented_and_printable(status: int) -> None:
    """A server must not forge a line of a log: only a 403 has lines, and each is indented."""
    forged = "no\n2026-01-01 ERROR forged\r\n\x1b[2J\nx-key: hush\n" + "x" * 9000 + "\n" * 999
    error = ServiceError(forged, status=status)
    first, *lines = str(error).split("\n")
    assert bool(lines) is (status == 403)
    assert first.isprintable()
    assert all(line.startswith("    ") and line.isprintable() for line in lines)
    assert all(len(line) <= 404 for line in lines)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [(403, "AccessDenied", "no"), (400, "ValidationError", "no"), (424, "ModelError", "a\nb")],
)
def test_other_errors_explain_nothing(status: int, code: str, message: str) -> None:
    error = ServiceError(message, code=code, status=status)
    assert error.explain() is None
    assert "\n" not in str(error)
