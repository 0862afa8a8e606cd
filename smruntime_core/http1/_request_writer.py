"""A request as it goes over the wire; nothing is sent that a peer could read as something else."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import cast

from ..errors import ConstructionError
from ..values._bodies import Body, Source, Upload
from ..values._http import Headers, Request
from ..values._url import split_url
from ._head import TOKEN

MAX_SINGLE_WRITE = (
    64 * 1024
)  # up to here head and body leave together; a larger body is never copied

_FRAMING = frozenset(("content-length", "host", "transfer-encoding"))
_PRINTABLE = bytes(range(0x20, 0x7F))
_token = re.compile(TOKEN).fullmatch
_first = itemgetter(0)


def write(request: Request) -> tuple[tuple[str, str], list[memoryview]]:
    """Return where to connect (scheme and authority) and what to send: head and body in one piece
    if the body is small, else the head and the body itself, unless that is an `Upload`, which is
    supplied later.

    `Host` and `Content-Length` are added if they are missing; nothing else is. Raises
    `ConstructionError` for what a peer could read as something else: controls or non-ASCII
    anywhere, a name that is no token, another length, a second host.
    """
    scheme, authority, path, query = split_url(request.url)
    headers, body, size = request.headers, request.body, _size(request.body)
    names = list(map(str.lower, map(_first, headers)))
    tokens = [request.method, *names]
    if not (all(tokens) and _token("".join(tokens))):
        raise _misfit(request)
    if not _FRAMING.isdisjoint(names):
        _check_framing(names, headers, size)
    target = f"{path}?{query}" if query else path
    host = [] if "host" in names else [f"Host: {authority}"]
    length = [] if "content-length" in names else [f"Content-Length: {size}"]
    head = _encoded(
        [f"{request.method} {target} HTTP/1.1", *host, *map(": ".join, headers), *length, "", ""],
        request,
    )
    if size <= MAX_SINGLE_WRITE and isinstance(body, bytes | bytearray | memoryview):
        return (scheme, authority), [memoryview(head + body)]  # a memoryview's repr shows no header
    return (scheme, authority), [memoryview(head), *_apart(body)]


def _encoded(lines: list[str], request: Request) -> bytes:
    """Return the head of a request.

    Raises `ConstructionError` unless it is escape_unprintable ASCII but for the line ends between `lines`, so
    no name or value holds one.
    """
    head = "\r\n".join(lines).encode("utf-8", "surrogatepass")
    if (
        head.translate(None, _PRINTABLE) != b"\r\n" * (len(lines) - 1)
        or lines[0].count(" ") != 2
        or "#" in lines[0]
    ):
        raise _misfit(request)
    return head


def _size(body: object) -> int:
    if isinstance(body, bytes):
        return len(body)
    if isinstance(body, Source):
        raise ConstructionError("body", "measured before it is sent", f"it is {body!r}")
    return body.size if isinstance(body, Upload) else memoryview(cast("Body", body)).nbytes


def _apart(body: object) -> list[memoryview]:
    """Return a body that is sent after the head; an `Upload` is supplied later."""
    return [] if isinstance(body, Upload) else [memoryview(cast("Body", body)).cast("B")]


def _check_framing(names: list[str], headers: Headers, size: int) -> None:
    """Raise `ConstructionError` unless the fields that frame the message say what is sent."""
    if names.count("host") > 1:
        raise ConstructionError("host", "there once")
    if "transfer-encoding" in names:
        raise ConstructionError("transfer-encoding", "left out: the body's length is known")
    if "content-length" in names and [
        value for name, value in headers if name.lower() == "content-length"
    ] != [str(size)]:
        raise ConstructionError("content-length", "the length of the body, once")


def _misfit(request: Request) -> ConstructionError:
    """Return the error for the first part of `request` that cannot be sent."""
    for name, value in request.headers:
        if not (_token(name) and value.isascii() and value.isprintable()):
            return ConstructionError(f"header {name!r}", "a token, its value of 0x20–0x7E only")
    return ConstructionError(
        "url", "printable ASCII without blanks or fragment, percent-encoded where needed"
    )
