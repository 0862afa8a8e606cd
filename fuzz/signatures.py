"""Targets for `verify` and `verify_bearer`: accepted requests and tokens mean what was signed.

Most damage is refused, always by a `ServiceError` with status 403. Some changes nothing, such as
other letters in a percent-encoding or another order of parameters. An accepted request is therefore
read again, with `urllib.parse` and without the library, and must have the same meaning.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from mutation import mutate

import smruntime_core as sm
from smruntime_core.signing import bearer_token, presign, verify_bearer

NOW = 1_700_000_000
SCOPE = sm.Scope("eu-west-1", "sagemaker")
LONG_TERM_KEYS = sm.Credentials("AKID", "secret")
SESSION_KEYS = sm.Credentials("ASIA", "hush", "to/ken+==", expires_at=NOW + 600.0)
KEYS_BY_ID = {"AKID": LONG_TERM_KEYS, "ASIA": SESSION_KEYS}
SIGNATURE_FRAGMENTS = [
    *(b"%", b"/", b"?", b"&", b"=", b"#", b"@", b":", b" ", b",", b";", b"\t", b"\r\n", b"\xff"),
    *(b"..", b"./", b"//", b"+", b"%2B", b"%20", b"%58", b"%2d", b"%00", b":443", b":80", b"=="),
    *(b"X-Amz-Expires=604800", b"%58-Amz-Expires=604800", b"&X-Amz-Date=20231114T221320Z"),
    *(b"Host: evil\r\n", b"x-amz-date: 20231114T221320Z\r\n", b"host", b"AKID", b"ASIA", b"0"),
    *(b"X-Amz-Security-Token=", b"X-Amz-Signature=", b"x-amz-meta: 1\r\n", b"NaN", b"&Action=x"),
]


class Meaning(NamedTuple):
    """What a server acts on, read without the library; the scheme is not signed."""

    method: str
    host: str
    path: str
    query: list[tuple[bytes, bytes]]
    headers: dict[str, str]
    body: bytes


def read_meaning(request: sm.Request, signed_names: frozenset[str]) -> Meaning:
    """Return the URL, the body and the signed headers of `request`, normalized."""
    parts = urlsplit(request.url)
    default_port = {"http": ":80", "https": ":443"}[parts.scheme]
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name.lower(), []).append(re.sub("[ \t\n\v\f\r]+", " ", value).strip(" "))
    signed_headers = {
        name: ",".join(values) for name, values in headers.items() if name in signed_names
    }
    signed_headers["host"] = (
        signed_headers.get("host", parts.netloc).lower().removesuffix(default_port)
    )
    return Meaning(
        request.method,
        parts.netloc.lower().removesuffix(default_port),
        _normalize_path(parts.path),
        _decode_query(parts.query),
        signed_headers,
        bytes(request.body),
    )


def _normalize_path(path: str) -> str:
    """Resolve dots and doubled slashes; percent-encodings are signed as written."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment and segment != ".":
            segments.append(segment)
    return "/" + "/".join(segments) + ("/" if segments and path.endswith("/") else "")


def _decode_query(query: str) -> list[tuple[bytes, bytes]]:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    decoded = [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]
    return sorted(pair for pair in decoded if pair[0] != b"X-Amz-Signature")


def _sign_requests() -> list[sm.Request]:
    """Return requests with signatures in the header and in the URL."""
    signed_requests: list[sm.Request] = []
    for keys in KEYS_BY_ID.values():
        headers = (("Host", "h.example"), ("Content-Type", "text/csv"), ("X-Amz-Target", "a  b"))
        url = "https://h.example/endpoints/a%20b/invocations?b=2&a=%2F&a=1"
        post_request = sm.Request("POST", url, headers, b"1,2,3")
        signature = sm.sign(post_request, keys, SCOPE, now=NOW)
        signed_requests.append(sm.Request("POST", url, headers + signature.headers, b"1,2,3"))
        host_header = (("Host", "h.example"),)
        get_request = sm.Request("GET", "http://h.example/x/?q=a%20b", host_header)
        presigned_url = presign(get_request, keys, SCOPE, now=NOW, expires=60).url
        signed_requests.append(sm.Request("GET", presigned_url, host_header))
    return signed_requests


def _serialize(request: sm.Request) -> bytes:
    lines = [
        f"{request.method} {request.url}",
        *(f"{name}: {value}" for name, value in request.headers),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + bytes(request.body)


def _deserialize(data: bytes) -> sm.Request | None:
    """Parse what `_serialize` wrote; None if there is no request line or a field has no colon."""
    head, _, body = data.partition(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    method, space, url = request_line.partition(" ")
    pairs = [line.partition(":") for line in lines]
    if not space or not all(colon for _, colon, _ in pairs):
        return None
    headers = tuple((name, value.strip(" \t")) for name, _, value in pairs)
    try:
        return sm.Request(method, url, headers, body)
    except sm.ConstructionError:
        return None


SIGNED_REQUESTS = _sign_requests()
BEARER_TOKENS = [
    bearer_token(keys, SCOPE.region, now=NOW, expires=expires)
    for keys, expires in ((LONG_TERM_KEYS, 43_200), (SESSION_KEYS, 600))
]
TOKEN_PREFIX = "sagemaker-api-key-"  # noqa: S105 - of every token, no secret


def _find_signature(request: sm.Request) -> tuple[frozenset[str], list[str]]:
    """Return the names of the signed headers, and the parts of the signature itself."""
    headers_by_name = {name.lower(): value for name, value in request.headers}
    unquoted_url = unquote_to_bytes(request.url).decode("latin-1")
    text = headers_by_name.get("authorization") or unquoted_url
    names = re.search(r"SignedHeaders=([^\s,&]+)", text)
    assert names is not None, f"accepted without signed headers: {request!r}"
    parts = re.findall(r"(?:Credential|SignedHeaders|Signature)=([^\s,&]+)", text)
    return frozenset(names[1].split(";")), parts


def signature(random: Random) -> None:
    """Check that a damaged request is refused with status 403, or means what was signed."""
    original = random.choice(SIGNED_REQUESTS)
    damaged = _deserialize(mutate(random, _serialize(original), SIGNATURE_FRAGMENTS))
    if damaged is None:
        return
    try:
        keys = sm.verify(damaged, KEYS_BY_ID, SCOPE, now=NOW)
    except sm.ServiceError as refusal:
        assert refusal.status == 403
        assert all(line.isprintable() for line in str(refusal).split("\n"))
        return
    signed_names, parts = _find_signature(original)
    assert _find_signature(damaged) == (signed_names, parts), f"accepted {damaged!r}"
    assert keys is KEYS_BY_ID[parts[0].partition("/")[0]], f"taken for {keys!r}: {damaged!r}"
    accepted, expected = read_meaning(damaged, signed_names), read_meaning(original, signed_names)
    assert accepted == expected, f"accepted {accepted}\ninstead of {expected}"


def bearer(random: Random) -> None:
    """Check that a damaged bearer token is refused with status 403, or means what was signed."""
    original = random.choice(BEARER_TOKENS)
    original_url = b64decode(original.removeprefix(TOKEN_PREFIX))
    damaged = mutate(random, original_url, SIGNATURE_FRAGMENTS)
    token = TOKEN_PREFIX + b64encode(damaged).decode()
    if random.random() < 0.1:
        token = mutate(random, original.encode(), SIGNATURE_FRAGMENTS).decode("latin-1")
    try:
        verify_bearer(token, KEYS_BY_ID, SCOPE, now=NOW + random.choice((0, 599)))
    except sm.ServiceError as refusal:
        assert refusal.status == 403
        return
    damaged_url = b64decode(token.removeprefix(TOKEN_PREFIX))
    accepted, expected = (
        _decode_query(text.partition(b"?")[2].decode()) for text in (damaged_url, original_url)
    )
    assert accepted == expected, f"accepted {accepted}\ninstead of {expected}"
    signatures = [
        re.findall(rb"X-Amz-Signature=([^&]+)", text) for text in (damaged_url, original_url)
    ]
    assert signatures[0] == signatures[1], f"accepted another signature in {damaged_url!r}"


def clock(random: Random) -> None:
    """Check that a time which is no finite number is refused, although all else is right."""
    invalid_time: Any = random.choice((float("nan"), float("inf"), -float("inf"), None, "now"))
    settings: dict[str, Any] = {"now": NOW, "max_skew": 300.0}
    settings[random.choice(("now", "max_skew"))] = invalid_time
    try:
        keys = sm.verify(random.choice(SIGNED_REQUESTS), KEYS_BY_ID, SCOPE, **settings)
    except sm.ConstructionError:
        return
    raise AssertionError(f"accepted {keys!r} with {settings}")


SIGNATURES: Sequence[Callable[[Random], None]] = (signature, bearer, clock)
