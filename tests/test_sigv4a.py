"""SigV4a equals the published texts; signatures are verified by ours and cryptography's keys."""

from __future__ import annotations

import sys
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, Credentials, Request, Scope, ServiceError, verify
from smruntime_core.signing import RegionSet, presign, sign
from smruntime_core.signing._sigv4 import signing_key
from smruntime_core.signing._sigv4a import ORDER, private_key, private_number
from smruntime_core.signing._verify import _region_matches

from .vectors import AKID, NOW, Case, cases

ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
URL = "https://h/p?b=2&a=1"
HERE = Scope("eu-west-1", "s3")


def public(case: Any) -> Any:
    """Return the published public key."""
    numbers = ec.EllipticCurvePublicNumbers(
        int(case["public_key"]["X"], 16), int(case["public_key"]["Y"], 16), ec.SECP256R1()
    )
    return numbers.public_key()


@pytest.mark.parametrize("case", cases("sigv4a.json"))
def test_sigv4a_signatures_match_the_published_vectors(case: Any) -> None:
    given, theirs = Case(case), public(case)
    scope = RegionSet(given.scope.region, given.scope.service)
    hash_ = sign(given.request, given.credentials, scope, now=NOW).canonical_request[-64:]
    made = sign(given.request, given.credentials, scope, now=NOW, dialect=given.dialect)
    asked = presign(
        given.request,
        given.credentials,
        scope,
        now=NOW,
        expires=given.expires,
        dialect=given.dialect,
        payload_hash=hash_,
    )
    key, _ = signing_key(given.credentials, scope, NOW)
    for ours, expected in ((made, case["header"]), (asked, case["query"])):
        assert ours.canonical_request == expected["canonical_request"]
        assert ours.string_to_sign == expected["string_to_sign"]
        assert key.matches(expected["string_to_sign"], expected["signature"])
        theirs.verify(
            bytes.fromhex(ours.signature), ours.string_to_sign.encode(), ec.ECDSA(hashes.SHA256())
        )


def test_private_key_is_the_first_candidate_below_the_order() -> None:
    with mock.patch(
        "hmac.digest",
        side_effect=[
            b"\xff" * 32,
            (ORDER - 1).to_bytes(32, "big"),
            (ORDER - 2).to_bytes(32, "big"),
        ],
    ):
        assert private_number(AKID) == ORDER - 1
    assert private_key(AKID).private_numbers().private_value == private_number(AKID)


@given(
    regions=st.sampled_from(("*", "eu-west-1", "us-east-1,eu-west-1", "eu-*", "*-1", "e*w*1")),
    token=st.none() | st.just("tok"),
)
def test_signed_request_is_verified(regions: str, token: str | None) -> None:
    known = Credentials("AKID", "secret", token)
    request = Request("POST", URL, (("Host", "h"), ("X-Amz-Region-Set", "old")), b"body")
    scope = RegionSet(regions, "s3")
    headers = (
        tuple(pair for pair in request.headers if pair[0] == "Host")
        + sign(request, known, scope, now=NOW).headers
    )
    assert verify(request.replace(headers=headers), {"AKID": known}, HERE, now=NOW) is known
    url = presign(request.replace(headers=(("Host", "h"),)), known, scope, now=NOW).url
    assert (
        verify(Request("POST", url, (("Host", "h"),), b"body"), {"AKID": known}, HERE, now=NOW)
        is known
    )


SIGNED = Request(
    "POST",
    URL,
    (("Host", "h"), *sign(Request("POST", URL), AKID, RegionSet("eu-*", "s3"), now=NOW).headers),
)


def replaced(old: str, new: str) -> Request:
    return SIGNED.replace(
        headers=tuple((name, value.replace(old, new)) for name, value in SIGNED.headers)
    )


@pytest.mark.parametrize(
    ("request_", "scope"),
    [
        (SIGNED, Scope("us-east-1", "s3")),
        (SIGNED, Scope("eu-west-1", "sagemaker")),
        (SIGNED.replace(body=b"x"), HERE),
        (replaced("eu-*", "*"), HERE),
        (replaced("Signature=30", "Signature=31"), HERE),
        (replaced("Signature=", "Signature=00"), HERE),
        (replaced("/s3/", "/eu-west-1/s3/"), HERE),
        (
            SIGNED.replace(
                headers=tuple(pair for pair in SIGNED.headers if pair[0] != "x-amz-region-set")
            ),
            HERE,
        ),
    ],
)
def test_invalid_signature_is_refused(request_: Request, scope: Scope) -> None:
    assert verify(SIGNED, {"AKIDEXAMPLE": AKID}, HERE, now=NOW) is AKID
    with pytest.raises(ServiceError) as caught:
        verify(request_, {"AKIDEXAMPLE": AKID}, scope, now=NOW)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("pattern", "region", "covers"),
    [
        ("*", "", True),
        ("a*a", "a", False),
        ("a*b*c", "abc", True),
        ("a*b*c", "acb", False),
        ("a", "ab", False),
        ("", "a", False),
    ],
)
def test_region_pattern_region_matches_matching_regions(
    pattern: str, region: str, covers: bool
) -> None:
    assert _region_matches(pattern, region) is covers


def test_missing_cryptography_raises_with_the_pip_install() -> None:
    with mock.patch.dict(sys.modules, {"cryptography.hazmat.primitives.asymmetric": None}):
        with pytest.raises(ImportError, match=r"smruntime-core\[sigv4a\]"):
            sign(Request("GET", URL), Credentials("A", "b"), RegionSet("*", "s3"), now=NOW)
        with pytest.raises(ServiceError, match="not supported here"):
            verify(
                SIGNED,
                {"AKIDEXAMPLE": Credentials(AKID.access_key_id, AKID.secret_access_key)},
                HERE,
                now=NOW,
            )


@pytest.mark.parametrize("regions", ["", "a,", "a b", "a\n"])
def test_invalid_region_set_is_refused(regions: str) -> None:
    with pytest.raises(ConstructionError, match="region"):
        RegionSet(regions, "s3")
