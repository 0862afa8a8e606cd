"""The canonical request (SigV4 step 1): one text for one request, however it was written down.

    method, path, query, header lines, "", names of the signed headers, hash of the body      joined by newlines

Sources: "Create a signed AWS API request" in the IAM user guide; where it is silent, the published test suite.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

# Fields that a proxy or an HTTP client may add or change on the way: signing them breaks signatures.
UNSIGNED = frozenset(
    (
        "authorization",
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    )
)

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_ENCODED = [chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in range(256)]

_plain_path = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+").fullmatch
_blanks = re.compile(r"[ \t\n\v\f\r]+")  # not str.split(): it folds U+0085 and U+00A0 too, which no server does


@lru_cache(256)  # a client asks for the same few paths over and over
def canonical_path(path: str, *, normalize: bool, double_encode: bool) -> str:
    """The path, its dots and empty segments resolved if `normalize`, every segment percent-encoded.

    `path` is what is sent, so it is encoded already; all services but S3 sign it encoded once more (`double_encode`).
    """
    if _plain_path(path):
        return path
    if normalize:
        path = _resolve(path)
    return "/".join(_encode(segment if double_encode else _decoded(segment)) for segment in path.split("/"))


def _resolve(path: str) -> str:
    """Dot segments and doubled slashes removed (RFC 3986 section 5.2.4); a slash at the end stays."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return f"/{'/'.join(kept)}{'/' * (bool(kept) and path.endswith('/'))}"


def canonical_query(query: str) -> str:
    """Parameters decoded, encoded strictly and sorted by name, then value."""
    if not query:
        return ""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return "&".join(f"{name}={value}" for name, value in sorted((_strictly(name), _strictly(value)) for name, _, value in pairs))


def _strictly(text: str) -> str:
    return _encode(_decoded(text))


def _encode(text: str | bytes) -> str:
    """Percent-encode all but the unreserved characters (RFC 3986 section 2.3)."""
    return "".join([_ENCODED[byte] for byte in (text.encode() if isinstance(text, str) else text)])


def _decoded(text: str) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes((int(found[1], 16),)), text.encode())


def canonical_headers(headers: Iterable[tuple[str, str]], without: frozenset[str] = UNSIGNED) -> dict[str, str]:
    """Values by lower-case name: trimmed, blanks folded, repeated fields joined by commas in the order they stand."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in without:
            continue
        text = (value if value.isprintable() and "  " not in value else _blanks.sub(" ", value)).strip(" ")
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], names: list[str], signed: str, payload_hash: str
) -> str:
    """Put together what the functions above made; `names` are the signed headers, `signed` the same joined by semicolons."""
    lines = "\n".join([f"{name}:{headers[name]}" for name in names])
    return f"{method}\n{path}\n{query}\n{lines}\n\n{signed}\n{payload_hash}"
