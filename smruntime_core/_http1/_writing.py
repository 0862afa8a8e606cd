"""A request as it goes over the wire, or a refusal: nothing leaves that a peer could read as something else."""

from __future__ import annotations

import re

from .._errors import ConstructionError
from .._model import Headers, Request
from .._url import split
from ._gate import TOKEN

ONE_WRITE = 64 * 1024  # up to here head and body leave together; a larger body is never copied

_token = re.compile(TOKEN).fullmatch
_start = re.compile(rf"{TOKEN} [!-\"$-~]+ [!-~]+").fullmatch
_TOKEN_BYTES = bytes(byte for byte in range(128) if _token(chr(byte)))
_PRINTABLE = bytes(range(0x20, 0x7F))


def write(request: Request) -> tuple[tuple[str, str], list[memoryview]]:
    """Where to (scheme and authority) and what: one piece if the request is small, else its head and the body itself.

    `Host` and `Content-Length` are added if they are not there; nothing else is. Raises `ConstructionError` for what
    a peer could read as something else: controls or non-ASCII anywhere, a name that is no token, another length.
    """
    scheme, authority, path, query = split(request.url)
    method = request.method
    target = f"{path}?{query}" if query else path
    if not _start(f"{method} {target} {authority}"):
        raise ConstructionError("url", "printable ASCII without blanks or fragment, percent-encoded where needed")
    headers, body = request.headers, request.body
    size = len(body) if type(body) is bytes else memoryview(body).nbytes
    names = ":".join([name for name, _ in headers])
    known = f":{names}:".lower()
    if ":host:" in known or ":content-length:" in known or ":transfer-encoding:" in known:
        refusal = _misframed(headers, size)
        if refusal is not None:
            del headers, body  # what a traceback with locals would show
            raise refusal
    host = "" if ":host:" in known else f"Host: {authority}\r\n"
    length = "" if ":content-length:" in known else f"Content-Length: {size}\r\n"
    fields = "\r\n".join([*map(": ".join, headers), ""])
    text = f"{method} {target} HTTP/1.1\r\n{host}{fields}{length}\r\n"
    head = text.encode("ascii", "replace")
    # without its printable characters, a good head is nothing but the ends of its lines
    good = head.translate(None, _PRINTABLE) == b"\r\n" * (len(headers) + 2 + bool(host) + bool(length))
    if not (good and text.isascii() and _are_tokens(names, len(headers))):
        refusal = _bad_header(headers)
        del headers, body, fields, text, head
        raise refusal
    if size <= ONE_WRITE:
        return (scheme, authority), [memoryview(head + body)]
    return (scheme, authority), [memoryview(head), memoryview(body).cast("B")]


def _are_tokens(names: str, count: int) -> bool:
    """`names`, joined by colons, are that many tokens."""
    return names.encode().translate(None, _TOKEN_BYTES) == b":" * (count - 1) and "::" not in f":{names}:" * (count > 0)


def _bad_header(headers: Headers) -> ConstructionError:
    """What names the header that is at fault."""
    for name, value in headers:
        if not (_token(name) and value.isascii() and value.isprintable()):
            return ConstructionError(f"header {name!r}", "a token, its value of 0x20–0x7E only")
    return ConstructionError("headers", "tokens with values of 0x20–0x7E only")


def _misframed(headers: Headers, size: int) -> ConstructionError | None:
    """What is wrong, if it is: a caller may frame the message itself, once, if it says the same that we would."""
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if lengths and lengths != [str(size)]:
        return ConstructionError("content-length", "the length of the body, once")
    if sum(name.lower() == "host" for name, _ in headers) > 1:
        return ConstructionError("host", "there once")
    if any(name.lower() == "transfer-encoding" for name, _ in headers):
        return ConstructionError("transfer-encoding", "left out: the body's length is known")
    return None
