"""Signed events equal the published chains, and are verified from end to end."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import Credentials, Request, Scope, StreamError
from smruntime_core.errors import SignatureMismatch
from smruntime_core.eventstream import NEED_DATA, EventStreamDecoder, Message, Timestamp, encode
from smruntime_core.signing import (
    STREAMING_EVENTS,
    EventSigner,
    EventVerifier,
    RegionSet,
    sign,
    verify,
)
from smruntime_core.signing._signature_chain import Chain, piece
from smruntime_core.signing._sigv4 import signing_key
from smruntime_core.values._dates import parse_timestamp

from .vectors import NOW, cases

KEYS = Credentials("AKID", "secret")
HERE = Scope("us-east-1", "transcribe")


def at(stamp: str) -> int:
    seconds = parse_timestamp(stamp)
    assert seconds is not None
    return seconds


@pytest.mark.parametrize(
    "case",
    cases(
        "sigv4-streaming.json",
        lambda found: [case for case in found if case["name"].startswith("event")],
    ),
)
def test_signatures_equal_the_published_chains(case: Any) -> None:
    credentials, scope = (
        Credentials(case["access_key"], case["secret_key"]),
        Scope(case["region"], case["service"]),
    )
    if "request" in case:
        said = case["request"]
        headers = (
            *map(tuple, said["headers"]),
            ("x-amz-content-sha256", said["x-amz-content-sha256"]),
        )
        request = Request(
            said["method"], "https://demo.us-east-1.amazonaws.com" + said["path"], headers
        )
        seed = sign(
            request, credentials, scope, now=at(said["amz_date"]), payload_hash=STREAMING_EVENTS
        )
        assert seed.signature == case["seed_signature"]
    chain = Chain(credentials, scope, case["seed_signature"])
    for step in case["steps"]:
        said = piece(bytes.fromhex(step["data_hex"]), bytes.fromhex(step["signed_headers_hex"]))
        assert chain.sign(said, at(step["amz_date"])) == step["signature"]


@pytest.mark.parametrize(
    "case",
    cases(
        "sigv4-streaming.json",
        lambda found: [case for case in found if case["name"].startswith("string")],
    ),
)
def test_signer_signs_the_published_string(case: Any) -> None:
    previous = hashlib.sha256(case["previous_signature_is_sha256hex_of"].encode()).hexdigest()
    credentials, scope = Credentials("AKID", "secret"), Scope(case["region"], case["service"])
    message, now = case["message"], at(case["amz_date"])
    inner = encode(
        Message({name: value for name, _, value in message["headers"]}, message["payload"].encode())
    )
    framed = EventSigner(credentials, scope, previous).sign(
        Message(
            {name: value for name, _, value in message["headers"]}, message["payload"].encode()
        ),
        now=now,
    )
    key, _ = signing_key(credentials, scope, now)
    assert decoded(framed).headers[":chunk-signature"] == bytes.fromhex(
        key.sign(case["string_to_sign"])
    )
    assert decoded(framed).payload == inner


def decoded(frame: bytes) -> Message:
    decoder = EventStreamDecoder()
    decoder.receive_data(frame)
    message = decoder.next_event()
    assert message is not NEED_DATA
    return message


def opened(scope: Scope | RegionSet = HERE) -> tuple[Request, str]:
    request = Request(
        "POST", "https://h/", (("Host", "h"), ("x-amz-content-sha256", STREAMING_EVENTS))
    )
    made = sign(request, KEYS, scope, now=NOW, payload_hash=STREAMING_EVENTS)
    return request.replace(headers=request.headers + made.headers), made.signature


@given(payloads=st.lists(st.binary(max_size=30), max_size=4), sigv4a=st.booleans())
def test_signed_events_are_verified(payloads: list[bytes], sigv4a: bool) -> None:
    scope = RegionSet("*", "transcribe") if sigv4a else HERE
    request, seed = opened(scope)
    assert verify(request, {"AKID": KEYS}, HERE, now=NOW, accept={STREAMING_EVENTS}) is KEYS
    signer, verifier = EventSigner(KEYS, scope, seed), EventVerifier(request, KEYS, HERE)
    for number, payload in enumerate(payloads):
        message = Message({":event-type": "Audio"}, payload)
        assert (
            decoded(verifier.verify(decoded(signer.sign(message, now=NOW + number)), now=NOW))
            == message
        )
    assert verifier.verify(decoded(signer.sign(None, now=NOW)), now=NOW) == b""
    assert signer.signature != seed


def test_verifier_refuses_altered_late_and_unsigned_events() -> None:
    request, seed = opened()
    first, second = [
        (signer := EventSigner(KEYS, HERE, seed)).sign(Message({}, b"1"), now=NOW),
        signer.sign(Message({}, b"2"), now=NOW),
    ]
    good = decoded(first)
    signature, date = good.headers[":chunk-signature"], good.headers[":date"]
    for message, now, kind in (
        (decoded(second), NOW, SignatureMismatch),
        (good._replace(payload=b""), NOW, SignatureMismatch),
        (good, NOW + 301, SignatureMismatch),
        (good, NOW - 301, SignatureMismatch),
        (good._replace(headers={":date": date}), NOW, StreamError),
        (good._replace(headers={":chunk-signature": signature}), NOW, StreamError),
        (good._replace(headers={":date": date, ":chunk-signature": b""}), NOW, SignatureMismatch),
        (good._replace(headers={":date": date, ":chunk-signature": "text"}), NOW, StreamError),
        (
            good._replace(headers={":date": Timestamp(2**63 - 1), ":chunk-signature": signature}),
            NOW,
            SignatureMismatch,
        ),
        (
            good._replace(
                headers={":date": Timestamp(int(date) + 1), ":chunk-signature": signature}
            ),
            NOW,
            SignatureMismatch,
        ),
    ):
        with pytest.raises(kind):
            EventVerifier(request, KEYS, HERE).verify(message, now=now)
    assert EventVerifier(request, KEYS, HERE).verify(good, now=NOW) == encode(Message({}, b"1"))
