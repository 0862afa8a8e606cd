"""Requests as bytes; a request that a peer could read in another way is refused."""

from __future__ import annotations

from typing import cast

from ..errors import ConstructionError
from ..values._bodies import Body, Source, Upload
from ..values._http import Headers, Request
from ..values._url import split_url

MAX_SINGLE_WRITE = 64 * 1024  # bytes: a body of at most this size is sent together with the head

_FRAMING_NAMES = frozenset(("content-length", "host", "transfer-encoding"))
_PRINTABLE = bytes(range(0x20, 0x7F))
_TOKEN_CHARACTERS = (  # RFC 9110, 5.6.2
    b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)


def write(request: Request) -> tuple[tuple[str, str], list[memoryview]]:
    """Return where to connect (scheme and authority), and the buffers to send.

    The head and a small body are one buffer; a larger body is a buffer of its own, never copied. An
    `Upload` is in no buffer: it is supplied later. `Host` and `Content-Length` are added if they
    are missing, nothing else is. Raises `ConstructionError` for control and non-ASCII characters, a
    name that is not a token, a wrong length or a second host.
    """
    scheme, authority, path, query = split_url(request.url)
    headers, body, body_size = request.headers, request.body, _measure_body(request.body)
    field_names = [name.lower() for name, _ in headers]
    if not _FRAMING_NAMES.isdisjoint(field_names):
        _check_framing(field_names, headers, body_size)
    request_target = f"{path}?{query}" if "?" in request.url else path
    host_line = [] if "host" in field_names else [f"Host: {authority}"]
    length_line = [] if "content-length" in field_names else [f"Content-Length: {body_size}"]
    request_line = f"{request.method} {request_target} HTTP/1.1"
    head_lines = [request_line, *host_line, *map(": ".join, headers), *length_line, "", ""]
    head = _encode_head(request, field_names, head_lines)
    if body_size <= MAX_SINGLE_WRITE and not isinstance(cast("object", body), Upload):
        return (scheme, authority), [memoryview(head + body)]  # a memoryview's repr shows no header
    return (scheme, authority), [memoryview(head), *_separate_buffers(body)]


def _encode_head(request: Request, field_names: list[str], head_lines: list[str]) -> bytes:
    """Return the head of `request`, or raise `ConstructionError`.

    The names together must be tokens, and the lines together printable ASCII but for the line ends
    between them: then no name or value contains a line end, and the request line is three words.
    """
    tokens = [request.method, *field_names]
    if "" in tokens or _encode_text("".join(tokens)).translate(None, _TOKEN_CHARACTERS):
        raise _describe_refusal(request)
    head = _encode_text("\r\n".join(head_lines))
    if head.translate(None, _PRINTABLE) != b"\r\n" * (len(head_lines) - 1):
        raise _describe_refusal(request)
    request_line = head_lines[0]
    if request_line.count(" ") != 2 or "#" in request_line:
        raise _describe_refusal(request)
    return head


def _encode_text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _measure_body(body: object) -> int:
    if isinstance(body, bytes):
        return len(body)
    if isinstance(body, Source):
        raise ConstructionError("body", "measured before it is sent", f"it is {body!r}")
    return body.size if isinstance(body, Upload) else memoryview(cast("Body", body)).nbytes


def _separate_buffers(body: object) -> list[memoryview]:
    """Return the buffer of a body that is sent after the head; none for an `Upload`."""
    return [] if isinstance(body, Upload) else [memoryview(cast("Body", body)).cast("B")]


def _check_framing(field_names: list[str], headers: Headers, body_size: int) -> None:
    """Raise `ConstructionError` unless the fields that frame the message are right."""
    if field_names.count("host") > 1:
        raise ConstructionError("host", "given once", f"found {field_names.count('host')} fields")
    if "transfer-encoding" in field_names:
        raise ConstructionError("transfer-encoding", "left out: the body's length is known")
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if lengths not in ([], [str(body_size)]):
        raise ConstructionError(
            "content-length", f"the length of the body ({body_size}), given once"
        )


def _describe_refusal(request: Request) -> ConstructionError:
    """Return the error for the first part of `request` that cannot be sent."""
    for name, value in request.headers:
        is_token = name and not _encode_text(name).translate(None, _TOKEN_CHARACTERS)
        if not is_token or _encode_text(value).translate(None, _PRINTABLE):
            return ConstructionError(f"header {name!r}", "a token, its value of 0x20–0x7E only")
    return ConstructionError(
        "url", "printable ASCII without blanks or fragment, percent-encoded where needed"
    )
