"""Answers that hold credentials: any bytes give credentials or our error, which quotes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import Credentials, CredentialsError
from smruntime_core.credentials._documents import (
    describe_refusal,
    parse_credentials,
    parse_json_object,
    parse_xml_leaves,
)

NAMES = [
    "AccessKeyId",
    "SecretAccessKey",
    "Token",
    "SessionToken",
    "Expiration",
    "AccountId",
    "Code",
    "Message",
    "accesskeyid",
    "x",
]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2),
)


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        values | st.sampled_from(["Success", "2099-01-31T00:00:00Z", "AKID"]),
    ),
    st.booleans(),
)
def test_any_json_document_gives_credentials_or_our_error(
    document: dict[str, Any], expires: bool
) -> None:
    try:
        found = parse_credentials(
            parse_json_object(json.dumps(document).encode(), "here"),
            "here",
            requires_expiry=expires,
        )
    except CredentialsError as error:
        assert str(error).startswith("here: ")
        assert str(error).isprintable()
    else:
        assert found.access_key_id in document.values()
        assert found.expires_at is not None or not expires


@given(st.binary(max_size=200))
def test_any_bytes_give_our_error(body: bytes) -> None:
    with pytest.raises(CredentialsError):
        parse_credentials(parse_json_object(body, "here"), "here")


def test_case_of_member_names_does_not_matter() -> None:
    body = (
        b'{"accessKeyId": "A", "SECRETACCESSKEY": "s", "sessionToken": "t", '
        b'"expiration": "2099-01-31T02:00:00+02:00", "AccountID": "1"}'
    )
    assert parse_credentials(parse_json_object(body, "here"), "here") == Credentials(
        "A", "s", "t", 4073500800.0, "1"
    )


def test_repr_of_a_document_shows_names_only() -> None:
    said = parse_json_object(b'{"a": "hush", "b": {"c": "hush"}}', "here")
    assert repr(said) == "RedactedMapping(a, b)"
    assert repr(parse_xml_leaves(b"<a>hush</a>", "here")) == "RedactedMapping(a)"


def test_description_of_a_refusal_is_short_and_printable() -> None:
    said = parse_json_object(json.dumps({"error": "no\n", "message": "m" * 1000}).encode(), "here")
    assert describe_refusal(said).startswith("no\\n: mmm")
    assert len(describe_refusal(said)) <= 302
    assert describe_refusal({}) == "no explanation"


def test_xml_references_are_resolved_and_unknown_ones_kept() -> None:
    said = parse_xml_leaves(
        b"<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x42;&nope;&#xFFFFFF;&</a>"
        b"<a>second</a><b  c='d' ></b >",
        "here",
    )
    assert dict(said) == {"a": "<>&\"'AB&nope;&#xFFFFFF;&", "b": ""}
