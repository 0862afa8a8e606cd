"""A request as it goes over the wire, or a refusal: nothing leaves that a peer could read as something else."""

from __future__ import annotations

import re
from typing import cast

from ..errors import ConstructionError
from ..values._bodies import Body, Source, Upload
from ..values._messages import Request
from ..values._url import Form, split
from ._head import TOKEN

ONE_WRITE = 64 * 1024  # up to here head and body leave together; a larger body is never copied

_LINE = ": ".join
_token = re.compile(TOKEN).fullmatch
_start = re.compile(rf"{TOKEN} [!-\"$-~]+ [!-~]+").fullmatch


def write(request: Request) -> tuple[tuple[str, str], list[memoryview]]:
    """Where to (scheme and authority) and what: one piece if the request is small, else its head and the body itself, unless that is
    an `Upload`, to be supplied.

    `Host` and `Content-Length` are added if they are not there; nothing else is. Raises `ConstructionError` for what
    a peer could read as something else: controls or non-ASCII anywhere, a name that is no token, another length.
    """
    form = request.form
    if form is None:
        origin, lines = _checked(request)
    else:
        origin, lines = form.origin, [form.head or _begun(form), *map(_LINE, request.headers[len(form.headers) :])]
    body = request.body
    size = len(body) if type(body) is bytes else _size(body)
    lines += f"Content-Length: {size}", "", ""
    head = "\r\n".join(lines).encode("ascii")
    if size <= ONE_WRITE:
        return origin, [memoryview(head + body)]  # whose repr shows no header
    return origin, [memoryview(head), *_apart(body)]


def _begun(form: Form) -> str:
    """The head of all requests of a form, as far as it is the same."""
    form.head = "\r\n".join([f"{form.method} {form.target} HTTP/1.1", f"Host: {form.origin[1]}", *map(_LINE, form.headers)])
    return form.head


def _size(body: object) -> int:
    if isinstance(body, Source):
        raise ConstructionError("body", "measured before it is sent", f"it is {body!r}")
    return body.size if isinstance(body, Upload) else memoryview(cast("Body", body)).nbytes


def _apart(body: object) -> list[memoryview]:
    return [] if isinstance(body, Upload) else [memoryview(cast("Body", body)).cast("B")]


def _checked(request: Request) -> tuple[tuple[str, str], list[str]]:
    """Where `request` goes, and the lines of its head but for the length; raises `ConstructionError` if it cannot go there."""
    scheme, authority, path, query = split(request.url)
    target = f"{path}?{query}" if query else path
    if refusal := _fault(request, target, authority, _size(request.body)):
        raise refusal
    fields = [pair for pair in request.headers if pair[0].lower() != "content-length"]  # which says what we say, if it is there
    host = [] if any(name.lower() == "host" for name, _ in fields) else [f"Host: {authority}"]
    return (scheme, authority), [f"{request.method} {target} HTTP/1.1", *host, *map(_LINE, fields)]


def _fault(request: Request, target: str, authority: str, size: int) -> ConstructionError | None:
    """What is wrong, if it is. A caller may frame the message itself, once, if it says the same that we would."""
    if not _start(f"{request.method} {target} {authority}"):
        return ConstructionError("url", "printable ASCII without blanks or fragment, percent-encoded where needed")
    for name, value in request.headers:
        if not (_token(name) and value.isascii() and value.isprintable()):
            return ConstructionError(f"header {name!r}", "a token, its value of 0x20–0x7E only")
    names = [name.lower() for name, _ in request.headers]
    if "content-length" in names and [value for name, value in request.headers if name.lower() == "content-length"] != [str(size)]:
        return ConstructionError("content-length", "the length of the body, once")
    if names.count("host") > 1:
        return ConstructionError("host", "there once")
    if "transfer-encoding" in names:
        return ConstructionError("transfer-encoding", "left out: the body's length is known")
    return None
