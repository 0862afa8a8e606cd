"""Damaged requests and tokens for `verify` and `verify_bearer`: what is accepted means the same as what was signed.

Most damage is refused, and only by a `ServiceError` with status 403. Some changes nothing, as other
letters in a percent-encoding or another order of parameters. So whatever is accepted is read once
more, with `urllib.parse` and without the library, and must come to the same.
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
PLAIN = sm.Credentials("AKID", "secret")
SESSION = sm.Credentials("ASIA", "hush", "to/ken+==", expires_at=NOW + 600.0)
KNOWN = {"AKID": PLAIN, "ASIA": SESSION}
WORDS = [
    *(b"%", b"/", b"?", b"&", b"=", b"#", b"@", b":", b" ", b",", b";", b"\t", b"\r\n", b"\xff"),
    *(b"..", b"./", b"//", b"+", b"%2B", b"%20", b"%58", b"%2d", b"%00", b":443", b":80", b"=="),
    *(b"X-Amz-Expires=604800", b"%58-Amz-Expires=604800", b"&X-Amz-Date=20231114T221320Z"),
    *(b"Host: evil\r\n", b"x-amz-date: 20231114T221320Z\r\n", b"host", b"AKID", b"ASIA", b"0"),
    *(b"X-Amz-Security-Token=", b"X-Amz-Signature=", b"x-amz-meta: 1\r\n", b"NaN", b"&Action=x"),
]


class Meaning(NamedTuple):
    """What a server acts on, read without the library; the scheme is no part of a signature."""

    method: str
    host: str
    path: str
    query: list[tuple[bytes, bytes]]
    headers: dict[str, str]
    body: bytes


def meaning(request: sm.Request, signed: frozenset[str]) -> Meaning:
    """Read `request`: its URL, its body, and of its headers those that are `signed`."""
    parts = urlsplit(request.url)
    port = {"http": ":80", "https": ":443"}[parts.scheme]
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name.lower(), []).append(re.sub("[ \t\n\v\f\r]+", " ", value).strip(" "))
    joined = {name: ",".join(values) for name, values in headers.items() if name in signed}
    joined["host"] = joined.get("host", parts.netloc).lower().removesuffix(port)
    return Meaning(
        request.method,
        parts.netloc.lower().removesuffix(port),
        _path(parts.path),
        _query(parts.query),
        joined,
        bytes(request.body),
    )


def _path(path: str) -> str:
    """Resolve dots and doubled slashes; percent-encodings stay, for they are signed as written."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment and segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _query(query: str) -> list[tuple[bytes, bytes]]:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    decoded = [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]
    return sorted(pair for pair in decoded if pair[0] != b"X-Amz-Signature")


def _made() -> list[sm.Request]:
    """Requests with signatures of both forms."""
    made: list[sm.Request] = []
    for keys in KNOWN.values():
        headers = (("Host", "h.example"), ("Content-Type", "text/csv"), ("X-Amz-Target", "a  b"))
        url = "https://h.example/endpoints/a%20b/invocations?b=2&a=%2F&a=1"
        asked = sm.Request("POST", url, headers, b"1,2,3")
        signature = sm.sign(asked, keys, SCOPE, now=NOW)
        made.append(sm.Request("POST", url, headers + signature.headers, b"1,2,3"))
        plain = (("Host", "h.example"),)
        got = sm.Request("GET", "http://h.example/x/?q=a%20b", plain)
        presigned = presign(got, keys, SCOPE, now=NOW, expires=60).url
        made.append(sm.Request("GET", presigned, plain))
    return made


def _written(request: sm.Request) -> bytes:
    lines = [f"{request.method} {request.url}", *(f"{n}: {v}" for n, v in request.headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + bytes(request.body)


def _read(data: bytes) -> sm.Request | None:
    """Read a request as it was written, None if it has no first line or a field without a colon."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, space, url = first.partition(" ")
    pairs = [line.partition(":") for line in lines]
    if not space or not all(colon for _, colon, _ in pairs):
        return None
    try:
        return sm.Request(method, url, tuple((n, v.strip(" \t")) for n, _, v in pairs), body)
    except sm.ConstructionError:
        return None


MADE = _made()
TOKENS = [
    bearer_token(keys, SCOPE.region, now=NOW, expires=expires)
    for keys, expires in ((PLAIN, 43_200), (SESSION, 600))
]
_PREFIX = "sagemaker-api-key-"


def _claimed(request: sm.Request) -> tuple[frozenset[str], list[str]]:
    """Return the names that are signed, and the parts of the signature itself."""
    named = {name.lower(): value for name, value in request.headers}
    text = named.get("authorization", "") or unquote_to_bytes(request.url).decode("latin-1")
    found = re.search(r"SignedHeaders=([^\s,&]+)", text)
    assert found is not None, f"accepted without signed headers: {request!r}"
    parts = re.findall(r"(?:Credential|SignedHeaders|Signature)=([^\s,&]+)", text)
    return frozenset(found[1].split(";")), parts


def signature(random: Random) -> None:
    """A damaged request is refused with status 403, or it means what was signed."""
    original = random.choice(MADE)
    damaged = _read(mutate(random, _written(original), WORDS))
    if damaged is None:
        return
    try:
        keys = sm.verify(damaged, KNOWN, SCOPE, now=NOW)
    except sm.ServiceError as refused:
        assert refused.status == 403
        assert str(refused).isprintable()
        return
    signed, parts = _claimed(original)
    assert _claimed(damaged) == (signed, parts), f"accepted {damaged!r}"
    assert keys is KNOWN[parts[0].partition("/")[0]], f"taken for {keys!r}: {damaged!r}"
    found, right = meaning(damaged, signed), meaning(original, signed)
    assert found == right, f"accepted {found}\ninstead of {right}"


def bearer(random: Random) -> None:
    """A damaged bearer token is refused with status 403, or it means what was signed."""
    original = random.choice(TOKENS)
    inside = b64decode(original.removeprefix(_PREFIX))
    damaged = mutate(random, inside, WORDS)
    token = _PREFIX + b64encode(damaged).decode()
    if random.random() < 0.1:
        token = mutate(random, original.encode(), WORDS).decode("latin-1")
    try:
        verify_bearer(token, KNOWN, SCOPE, now=NOW + random.choice((0, 599)))
    except sm.ServiceError as refused:
        assert refused.status == 403
        return
    inner = b64decode(token.removeprefix(_PREFIX))
    found, right = (_query(text.partition(b"?")[2].decode()) for text in (inner, inside))
    assert found == right, f"accepted {found}\ninstead of {right}"
    signatures = [re.findall(rb"X-Amz-Signature=([^&]+)", text) for text in (inner, inside)]
    assert signatures[0] == signatures[1], f"accepted another signature in {inner!r}"


def clock(random: Random) -> None:
    """A time that is no finite number is refused, whatever else is right."""
    wrong: Any = random.choice((float("nan"), float("inf"), -float("inf"), None, "now"))
    settings: dict[str, Any] = {"now": NOW, "max_skew": 300.0}
    settings[random.choice(("now", "max_skew"))] = wrong
    try:
        keys = sm.verify(random.choice(MADE), KNOWN, SCOPE, **settings)
    except sm.ConstructionError:
        return
    raise AssertionError(f"accepted {keys!r} with {settings}")


SIGNATURES: Sequence[Callable[[Random], None]] = (signature, bearer, clock)
