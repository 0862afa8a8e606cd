"""Requests as bytes; a request that a peer could read in another way is refused."""

from __future__ import annotations

from string import ascii_letters, digits
from typing import cast

from ..errors import ConstructionError
from ..values._bodies import Body, Source, Upload
from ..values._http import Headers, Request
from ..values._url import split_url

MAX_SINGLE_WRITE = 64 * 1024  # a body of up to so many bytes is sent together with the head

_FRAMING_NAMES = frozenset(("content-length", "host", "transfer-encoding"))
_PRINTABLE = bytes(range(0x20, 0x7F))
_TOKEN_CHARACTERS = f"!#$%&'*+-.^_`|~{digits}{ascii_letters}".encode()  # RFC 9110, 5.6.2


def write(request: Request) -> tuple[tuple[str, str], list[memoryview]]:
    """Return where to connect (scheme and authority), and the buffers to send.

    The head and a small body are one buffer; a larger body is a buffer of its own, never copied. An
    `Upload` is in no buffer: it is supplied later. `Host` and `Content-Length` are added if they
    are missing, nothing else is. Raises `ConstructionError` for control and non-ASCII characters, a
    name that is not a token, a wrong length or a second host.
    """
    scheme, authority, path, query = split_url(request.url)
    headers, body, size = request.headers, request.body, _size(request.body)
    names = [name.lower() for name, _ in headers]
    if not _FRAMING_NAMES.isdisjoint(names):
        _check_framing(names, headers, size)
    target = f"{path}?{query}" if "?" in request.url else path
    host = [] if "host" in names else [f"Host: {authority}"]
    length = [] if "content-length" in names else [f"Content-Length: {size}"]
    first_line = f"{request.method} {target} HTTP/1.1"
    lines = [first_line, *host, *map(": ".join, headers), *length, "", ""]
    head = _encode_head(request, names, lines)
    if size <= MAX_SINGLE_WRITE and not isinstance(cast("object", body), Upload):
        return (scheme, authority), [memoryview(head + body)]  # a memoryview's repr shows no header
    return (scheme, authority), [memoryview(head), *_buffers(body)]


def _encode_head(request: Request, names: list[str], lines: list[str]) -> bytes:
    """Return the head of `request`, or raise `ConstructionError`.

    The names together must be tokens, and the lines together printable ASCII but for the line ends
    between them: then no name or value contains a line end, and the first line is three words.
    """
    tokens = [request.method, *names]
    if "" in tokens or _encode("".join(tokens)).translate(None, _TOKEN_CHARACTERS):
        raise _refusal(request)
    head = _encode("\r\n".join(lines))
    line_ends = head.translate(None, _PRINTABLE)
    first_line = lines[0]
    if line_ends != b"\r\n" * (len(lines) - 1) or first_line.count(" ") != 2 or "#" in first_line:
        raise _refusal(request)
    return head


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _size(body: object) -> int:
    if isinstance(body, bytes):
        return len(body)
    if isinstance(body, Source):
        raise ConstructionError("body", "measured before it is sent", f"it is {body!r}")
    return body.size if isinstance(body, Upload) else memoryview(cast("Body", body)).nbytes


def _buffers(body: object) -> list[memoryview]:
    """Return the buffer of a body that is sent after the head; none for an `Upload`."""
    return [] if isinstance(body, Upload) else [memoryview(cast("Body", body)).cast("B")]


def _check_framing(names: list[str], headers: Headers, size: int) -> None:
    """Raise `ConstructionError` unless the fields that frame the message are right."""
    if names.count("host") > 1:
        raise ConstructionError("host", "given once", f"found {names.count('host')} fields")
    if "transfer-encoding" in names:
        raise ConstructionError("transfer-encoding", "left out: the body's length is known")
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if lengths not in ([], [str(size)]):
        raise ConstructionError("content-length", f"the length of the body ({size}), given once")


def _refusal(request: Request) -> ConstructionError:
    """Return the error for the first part of `request` that cannot be sent."""
    for name, value in request.headers:
        is_token = name and not _encode(name).translate(None, _TOKEN_CHARACTERS)
        if not is_token or _encode(value).translate(None, _PRINTABLE):
            return ConstructionError(f"header {name!r}", "a token, its value of 0x20–0x7E only")
    return ConstructionError(
        "url", "printable ASCII without blanks or fragment, percent-encoded where needed"
    )
