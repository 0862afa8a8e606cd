"""The canonical request (SigV4 step 1): one text for one request, however it was written down.

    method, path, query, header lines, "", names of the signed headers, hash of the body      joined by newlines

Sources: "Create a signed AWS API request" in the IAM user guide; where it is silent, the published test suite.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ..errors import ConstructionError
from ..values._url import split_url


class Dialect(NamedTuple):
    """What services do differently; each is what nearly all of them do unless it is said otherwise.

    `normalize_path` resolves dots and double slashes, `double_encode` percent-encodes the path once more, `normalize_query` decodes
    parameters and encodes them strictly (False: they are signed as they are written). `add_payload_hash` says the body's hash in a
    header, `sign_session_token` signs the token (False: it is added after signing, which a few services want).
    """

    normalize_path: bool = True
    double_encode: bool = True
    normalize_query: bool = True
    add_payload_hash: bool = False
    sign_session_token: bool = True


STANDARD = Dialect()
S3 = Dialect(normalize_path=False, double_encode=False, add_payload_hash=True)

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
_blanks = re.compile(
    r"[ \t\n\v\f\r]+"
)  # not str.split(): it folds U+0085 and U+00A0 too, which no server does


def canonical_target(url: str, dialect: Dialect) -> tuple[str, str, str]:
    """Authority, canonical path and canonical query of `url`; raises `ConstructionError` if it is no http(s) URL."""
    _, authority, path, query = split_url(url)
    try:
        path = canonical_path(
            path, normalize=dialect.normalize_path, double_encode=dialect.double_encode
        )
        return authority, path, canonical_query(query, normalize=dialect.normalize_query)
    except UnicodeEncodeError:
        raise ConstructionError("url", "text without lone surrogates") from None


def canonical_path(path: str, *, normalize: bool, double_encode: bool) -> str:
    """The path, its dots and empty segments resolved if `normalize`, every segment percent-encoded.

    `path` is what is sent, so it is encoded already; all services but S3 sign it encoded once more (`double_encode`).
    """
    if _plain_path(path):
        return path
    if normalize:
        path = _resolve(path)
    return "/".join(
        _encode(segment if double_encode else _decoded(segment)) for segment in path.split("/")
    )


def _resolve(path: str) -> str:
    """Dot segments and doubled slashes removed (RFC 3986 section 5.2.4); a slash at the end stays."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return f"/{'/'.join(kept)}{'/' * (bool(kept) and path.endswith('/'))}"


def canonical_query(query: str, *, normalize: bool = True) -> str:
    """Parameters sorted by name, then value; if `normalize`, decoded before and encoded strictly."""
    if not query:
        return ""
    encoded = strictly if normalize else str
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return "&".join(
        f"{name}={value}"
        for name, value in sorted((encoded(name), encoded(value)) for name, _, value in pairs)
    )


def strictly(text: str) -> str:
    """A name or value of a query with all but the unreserved characters percent-encoded, whatever was encoded before."""
    return _encode(_decoded(text))


def encode_value(text: str) -> str:
    """Text as a value of a query; what looks encoded in it is not."""
    return _encode(text)


def unquoted(text: str) -> str:
    """What a name or value of a query says; bytes that are no UTF-8 are replaced."""
    return _decoded(text).decode("utf-8", "replace")


def _encode(text: str | bytes) -> str:
    """Percent-encode all but the unreserved characters (RFC 3986 section 2.3)."""
    return "".join([_ENCODED[byte] for byte in (text.encode() if isinstance(text, str) else text)])


def _decoded(text: str) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes((int(found[1], 16),)), text.encode())


def canonical_headers(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return canonical values by lower-case name: blanks folded, repeated fields joined by commas."""
    found = {name.lower(): value for name, value in headers}
    text = " | ".join(
        ["", *found.values(), ""]
    )  # a blank at either end of a value is now one of two
    if len(found) == len(headers) and "  " not in text and text.isprintable():
        return found
    folded: dict[str, list[str]] = {}
    for name, value in headers:
        folded.setdefault(name.lower(), []).append(_blanks.sub(" ", value).strip(" "))
    return {name: ",".join(values) for name, values in folded.items()}


def signed_names(headers: Mapping[str, str], chosen: Collection[str] | None) -> list[str]:
    """Return which of `headers` are signed, sorted: all but those in `UNSIGNED`, or those `chosen`.

    Services demand `host` and every `x-amz-*`, so those are signed in any case.
    """
    if chosen is None:
        return sorted(headers.keys() - UNSIGNED)
    wanted = {"host", *map(str.lower, chosen)}
    return sorted([name for name in headers if name in wanted or name.startswith("x-amz-")])


def canonical_request(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    names: Sequence[str],
    payload_hash: str,
) -> str:
    """Return the canonical request, in which the headers called `names` are signed."""
    lines = "".join([f"{name}:{headers[name]}\n" for name in names])
    return f"{method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{payload_hash}"
