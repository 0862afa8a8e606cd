"""`explain` names each thing that was changed between signing and verifying, and nothing else."""

from __future__ import annotations

import json

import pytest

from smruntime_core import Credentials, Request, Scope, ServiceError, sign, verify
from smruntime_core.signing import S3, STANDARD, UNSIGNED_PAYLOAD, explain, hash_payload, presign

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
