"""Chunked bodies equal the published chains; signed ones are verified however they are cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import (
    ConstructionError,
    Credentials,
    Request,
    Scope,
    StreamError,
    TruncatedStream,
    verify,
)
from smruntime_core.errors import SignatureMismatch
from smruntime_core.signing import S3 as DIALECT
from smruntime_core.signing import (
    STREAMING_PAYLOAD,
    STREAMING_PAYLOAD_TRAILER,
    STREAMING_UNSIGNED_PAYLOAD_TRAILER,
    ChunkSigner,
    ChunkVerifier,
    RegionSet,
    Trailers,
    encoded_length,
)
from smruntime_core.values._dates import parse_timestamp
from smruntime_core.values._decoder import NEED_DATA

from .vectors import NOW, cases

KEYS = Credentials("AKID", "secret", "token")
HERE = Scope("us-east-1", "s3")
PUT = Request("PUT", "https://b.s3.amazonaws.com/key//x", (("Host", "b.s3.amazonaws.com"),))
WORDS = {STREAMING_PAYLOAD, STREAMING_PAYLOAD_TRAILER, STREAMING_UNSIGNED_PAYLOAD_TRAILER}
WORDS |= {
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
}


def chunked(found: list[Any]) -> list[Any]:
    return [case for case in found if case["name"].startswith("chunked")]


@pytest.mark.parametrize("case", cases("sigv4-streaming.json", chunked))
def test_chunks_equal_the_published_vectors(case: Any) -> None:
    request = case["request"]
    now = parse_timestamp(request["amz_date"])
    assert now is not None
    made = ChunkSigner(
        Request(
            request["method"],
            "https://s3.amazonaws.com" + request["path"],
            tuple(map(tuple, request["headers"])),
        ),
        Credentials(case["access_key"], case["secret_key"]),
        Scope(case["region"], case["service"]),
        now=now,
        length=66560,
    )
    assert made.signature == case["seed_signature"]
    assert f"SignedHeaders={request['signed_headers']}," in made.headers[-1][1]
    # The published chain does not announce its trailers, so they are announced here.
    made._trailer_names = tuple(
        name for step in case["steps"] if step["kind"] == "trailer" for name, _ in step["trailers"]
    )
    sent = b""
    for step in case["steps"]:
        if step["kind"] == "chunk" and "repeat" in step:
            letter, count = step["repeat"]
            sent = made.chunk(letter.encode() * count)
        elif step["kind"] == "chunk":
            sent = made.end(
                {name: value for last in case["steps"][3:] for name, value in last["trailers"]}
            )
        assert step["signature"].encode() in sent


def sent_in(
    parts: list[bytes], names: dict[str, str], *, sign_chunks: bool, scope: Scope | RegionSet = HERE
) -> tuple[Request, bytes]:
    length = sum(map(len, parts))
    signer = ChunkSigner(
        PUT, KEYS, scope, now=NOW, length=length, trailers=tuple(names), sign_chunks=sign_chunks
    )
    body = b"".join([signer.chunk(part) for part in parts]) + signer.end(names)
    return PUT.replace(headers=PUT.headers + signer.headers), body


def read(verifier: ChunkVerifier, parts: list[bytes]) -> list[bytes | Trailers]:
    events: list[bytes | Trailers] = []
    for part in parts:
        verifier.receive_data(part)
        while (event := verifier.next_event()) is not NEED_DATA:
            events.append(event)
    verifier.receive_eof()
    while (event := verifier.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


trailing = st.dictionaries(
    st.sampled_from(("x-amz-checksum-crc32c", "x-b", "X-A")),
    st.sampled_from(("wdBDMA==", "1", "a b")),
    max_size=3,
)


@given(
    parts=st.lists(st.binary(max_size=40), max_size=4),
    names=trailing,
    sign_chunks=st.booleans(),
    sigv4a=st.booleans(),
    places=st.lists(st.integers(0, 2000), max_size=5),
)
def test_signed_chunks_are_verified(
    parts: list[bytes], names: dict[str, str], sign_chunks: bool, sigv4a: bool, places: list[int]
) -> None:
    sign_chunks = sign_chunks or not names
    scope = RegionSet("*", "s3") if sigv4a else HERE
    request, body = sent_in(parts, names, sign_chunks=sign_chunks, scope=scope)
    credentials = verify(request, {"AKID": KEYS}, HERE, now=NOW, dialect=DIALECT, accept=WORDS)
    events = read(ChunkVerifier(request, credentials, HERE), cut(body, places))
    expected: list[bytes | Trailers] = [part for part in parts if part]
    if names:
        expected.append(Trailers(tuple((name.lower(), value) for name, value in names.items())))
    assert events == expected


@given(
    size=st.integers(0, 300),
    chunk=st.integers(1, 100),
    names=trailing,
    sign_chunks=st.booleans(),
    sigv4a=st.booleans(),
)
def test_encoded_length_is_the_length_of_the_encoded_body(
    size: int, chunk: int, names: dict[str, str], sign_chunks: bool, sigv4a: bool
) -> None:
    sign_chunks = sign_chunks or not names
    data = b"x" * size
    parts = [data[at : at + chunk] for at in range(0, size, chunk)]
    _, body = sent_in(
        parts, names, sign_chunks=sign_chunks, scope=RegionSet("*", "s3") if sigv4a else HERE
    )
    lengths = {name: len(value) for name, value in names.items()}
    assert len(body) == encoded_length(
        size, chunk, trailers=lengths, sign_chunks=sign_chunks, sigv4a=sigv4a
    )


SIGNED, WHOLE = sent_in([b"a" * 30, b"b" * 20], {"x-a": "1"}, sign_chunks=True)


@given(
    at=st.integers(0, len(WHOLE) - 1),
    byte=st.integers(0, 255),
    places=st.lists(st.integers(0, 2000), max_size=3),
)
def test_changed_byte_is_refused_or_changes_nothing(at: int, byte: int, places: list[int]) -> None:
    changed = WHOLE[:at] + bytes((byte,)) + WHOLE[at + 1 :]
    try:
        events = read(ChunkVerifier(SIGNED, KEYS, HERE), cut(changed, places))
    except StreamError:
        return
    assert events == [b"a" * 30, b"b" * 20, Trailers((("x-a", "1"),))]


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=3))
def test_any_bytes_raise_only_stream_error(data: bytes, places: list[int]) -> None:
    with pytest.raises(StreamError):
        read(ChunkVerifier(SIGNED, KEYS, HERE), cut(data, places))


@given(st.integers(0, len(WHOLE) - 1))
def test_body_cut_anywhere_is_truncated(size: int) -> None:
    with pytest.raises(TruncatedStream):
        read(ChunkVerifier(SIGNED, KEYS, HERE), [WHOLE[:size]])


def test_chunks_in_another_order_do_not_match() -> None:
    first, second = (
        WHOLE[: WHOLE.index(b"14;")],
        WHOLE[WHOLE.index(b"14;") : WHOLE.index(b"0;chunk")],
    )
    with pytest.raises(SignatureMismatch):
        read(ChunkVerifier(SIGNED, KEYS, HERE), [second + first + WHOLE[len(first + second) :]])
    with pytest.raises(SignatureMismatch):
        read(ChunkVerifier(SIGNED, KEYS.replace(secret_access_key="other"), HERE), [WHOLE])


def test_sizes_above_their_limits_are_refused() -> None:
    with pytest.raises(StreamError, match="more than max_chunk=29"):
        read(ChunkVerifier(SIGNED, KEYS, HERE, max_chunk=29), [WHOLE])
    with pytest.raises(StreamError, match="more than"):
        read(ChunkVerifier(SIGNED, KEYS, HERE), [b"1" * 10_000])
    with pytest.raises(StreamError, match="after the last chunk"):
        read(ChunkVerifier(SIGNED, KEYS, HERE), [WHOLE + b"x"])


def test_invalid_lengths_and_trailers_are_refused() -> None:
    with pytest.raises(ConstructionError, match="trailers"):
        ChunkSigner(PUT, KEYS, HERE, now=NOW, length=0, sign_chunks=False)
    with pytest.raises(ConstructionError, match="trailers"):
        ChunkSigner(PUT, KEYS, HERE, now=NOW, length=0, trailers=("a b",))
    with pytest.raises(ConstructionError, match="length"):
        ChunkSigner(PUT, KEYS, HERE, now=NOW, length=-1)
    signer = ChunkSigner(PUT, KEYS, HERE, now=NOW, length=2, trailers=("x",))
    with pytest.raises(ConstructionError, match="data"):
        signer.chunk(b"123")
    signer = ChunkSigner(PUT, KEYS, HERE, now=NOW, length=2, trailers=("x",))
    with pytest.raises(ConstructionError, match="2 bytes are missing"):
        signer.end({"x": "1"})
    signer.chunk(b"12")
    for trailers in ({}, {"y": "1"}, {"x": "1\r\n"}):
        with pytest.raises(ConstructionError, match="trailers"):
            signer.end(trailers)
    with pytest.raises(ConstructionError, match="announces chunks"):
        ChunkVerifier(
            SIGNED.replace(
                headers=tuple(pair for pair in SIGNED.headers if "sha256" not in pair[0])
            ),
            KEYS,
            HERE,
        )


def test_existing_content_encoding_is_kept() -> None:
    request = PUT.replace(headers=(*PUT.headers, ("Content-Encoding", "gzip")))
    assert (
        dict(ChunkSigner(request, KEYS, HERE, now=NOW, length=0).headers)["content-encoding"]
        == "aws-chunked,gzip"
    )
