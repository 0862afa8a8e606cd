"""One HTTP/1.1 exchange without I/O: what to send, what came, whether the connection may live (RFC 9112).

    request ──> write() ──> data_to_send() ─ ─ ─ wire ─ ─ ─> receive_data() ──> gate ──> framing ──> response
                                                                               (head)    (body)

A client that keeps connections must know exactly where an answer ends: whoever makes it misjudge that gives one caller
another's answer. So nothing is guessed. The *gate* reads the raw head and takes only what has one meaning: CRLF, no bare CR, NUL
or folded line, a three-digit status, one Content-Length of digits or exactly `chunked`. The *framing* takes the body
by length, by chunks or to the end of the stream, and every part is bounded.

The framing is a seam: another reader of bodies can stand there (`engine=`), behind the same gate.

A transport does this until `done`, in any order the socket allows, so an early answer is seen while sending:

    data = exchange.data_to_send()   -> send some of it, then exchange.sent(count)
    exchange.receive_data(data)      -> whatever came; exchange.receive_eof() if the peer closed

Both receive methods raise `DispatchFailure` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, TypeAlias

from ._errors import ConstructionError, Delivery, DispatchFailure, Kind, Phase
from ._model import Headers, Request, Response
from ._url import split

MAX_HEAD = 64 * 1024
MAX_FIELDS = 256
MAX_INTERIM = 16
MAX_CHUNK_LINE = 16 * 1024
MAX_TRAILERS = 64 * 1024
MAX_ERROR_BODY = 1024 * 1024
ONE_WRITE = 64 * 1024  # up to here head and body leave together; a larger body is never copied

_TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a name, not a password
_FIELD = rf"{_TOKEN}:[\t -~\x80-\xff]*\r\n"
_head = re.compile(rf"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [\t -~\x80-\xff]*)?\r\n((?:{_FIELD})*)\r\n").fullmatch
_trailers = re.compile(rf"(?:{_FIELD})*\r\n".encode("latin-1")).fullmatch
_chunk_size = re.compile(rf"([0-9A-Fa-f]{{1,16}})(?:[ \t]*;[ \t]*{_TOKEN}[\t -~\x80-\xff]*)?".encode("latin-1")).fullmatch
_fields = re.compile(r"([^:]+):[\t ]*([^\r]*)\r\n").findall
_whole_chunk = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n").match
_length = re.compile(r"[0-9]{1,19}").fullmatch
_token = re.compile(_TOKEN).fullmatch
_start = re.compile(rf"{_TOKEN} [!-\"$-~]+ [!-~]+").fullmatch
_TOKEN_BYTES = bytes(byte for byte in range(128) if _token(chr(byte)))
_PRINTABLE = bytes(range(0x20, 0x7F))


class Violation(Exception):
    """What arrived is not HTTP as this module takes it; `Exchange` makes a `DispatchFailure` of it."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


class Head(NamedTuple):
    """A final head that passed the gate. `length` is None unless a Content-Length said it."""

    raw: bytes
    status: int
    headers: Headers
    http10: bool
    chunked: bool
    length: int | None
    close: bool


class Framing(Protocol):
    """Reads one body. `excess` is true once bytes came that are not part of it."""

    @property
    def complete(self) -> bool: ...
    @property
    def excess(self) -> bool: ...

    def receive_data(self, data: bytes) -> bytes:
        """The part of the body that `data` bears; raises `Violation`."""
        ...

    def receive_eof(self) -> None:
        """The peer closed: raises `Violation` unless the body may end so."""
        ...


Engine: TypeAlias = "Callable[[Head, bool], Framing]"


Until: TypeAlias = Literal["head", "piece", "end"]


class Exchange:
    """One request and its response. Set `reused` if the connection served before: failures report it.

    `until` says how far to receive before looking: to the end of the response, or for those who read while it comes, to its `head`,
    then to the next `piece` of its body, which `take` hands out.

    Raises `ConstructionError` if the request holds what HTTP/1.1 cannot carry.
    """

    until: Until = "end"
    reused = False
    bytes_sent = 0
    bytes_received = 0
    _head: Head | None = None
    _framing: Framing | None = None
    _interim = 0
    _body_size = 0
    _deaf = False  # the peer takes no more of the request
    _cut_short = False  # an error's body was not read to its end

    def __init__(self, request: Request, *, engine: Engine | None = None) -> None:
        self.origin, self._unsent = write(request)
        self._bodiless = request.method == "HEAD"
        self._engine = engine or frame
        self._held = bytearray()  # the beginning of a head
        self._pieces: list[bytes] = []

    # ── sending ──

    def data_to_send(self) -> memoryview | None:
        """What is to be sent next, or None if all of it has been."""
        return self._unsent[0] if self._unsent else None

    def sent(self, count: int) -> None:
        """`count` bytes of `data_to_send()` were taken by the transport."""
        self.bytes_sent += count
        piece = self._unsent[0]
        if count < len(piece):
            self._unsent[0] = piece[count:]
        else:
            del self._unsent[0]

    def stop_sending(self) -> None:
        """The peer takes no more; what it said before may still be read. The connection will not live."""
        self._unsent.clear()
        self._deaf = True

    # ── receiving ──

    def receive_data(self, data: bytes) -> None:
        """Take in bytes from the peer; raises `DispatchFailure`."""
        self.bytes_received += len(data)
        try:
            if self._framing is None:
                self._receive_head(data)
            else:
                self._receive_body(self._framing, data)
        except Violation as violation:
            del data  # what a traceback with locals would show
            raise self.failure(violation.kind, str(violation)) from None

    def receive_eof(self) -> None:
        """The peer closed its side; raises `DispatchFailure` unless the response ends so."""
        try:
            if self._framing is None:
                if self.bytes_received:
                    raise Violation("truncated", "the connection was closed inside the head")
                if self._deaf:
                    raise Violation("reset", "the connection broke while the request was sent")
                raise Violation("closed", "the connection was closed without an answer")
            self._framing.receive_eof()
        except Violation as violation:
            if not self._salvage():
                raise self.failure(violation.kind, str(violation)) from None

    def fail(self, kind: Kind, message: str, phase: Phase | None = None) -> None:
        """The connection broke. What is left of an error's body is kept; else raises `DispatchFailure`."""
        if not self._salvage():
            raise self.failure(kind, message, phase)

    def failure(self, kind: Kind, message: str, phase: Phase | None = None) -> DispatchFailure:
        """All that this exchange knows of its failure."""
        delivery: Delivery = "answered" if self._head else "maybe_sent" if self.bytes_sent else "not_sent"
        return DispatchFailure(
            message,
            kind=kind,
            phase=phase or self.phase,
            delivery=delivery,
            reused=self.reused,
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            status=self._head.status if self._head else None,
        )

    # ── the outcome ──

    @property
    def done(self) -> bool:
        """The response is complete, or as complete as it will be."""
        return self._cut_short or (self._framing is not None and self._framing.complete)

    @property
    def hungry(self) -> bool:
        """There is more to receive before anybody need look."""
        if self.done:
            return False
        return self.until == "end" or (self._head is None if self.until == "head" else not self._pieces)

    @property
    def head(self) -> Head | None:
        """The head of the response, once it has arrived."""
        return self._head

    def take(self) -> bytes:
        """What has been received of the body since the last time; raises `DispatchFailure` where an error's body was cut short."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._cut_short and not body:
            raise self.failure("truncated", "the body of an error was cut short")
        return body

    @property
    def phase(self) -> Phase:
        """What is under way: `"send"`, waiting for the `"head"`, or the `"body"`."""
        return "body" if self._head else "send" if self._unsent or self._deaf else "head"

    @property
    def response(self) -> Response:
        """The response, once `done`."""
        assert self._head is not None, "not done yet"  # noqa: S101 - a caller's mistake, not a peer's
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if self._cut_short:
            return Response(self._head.status, self._head.headers, body, True)
        return Response(self._head.status, self._head.headers, body)

    @property
    def reusable(self) -> bool:
        """Both messages ended where they must, nothing is left over and neither side said to close."""
        framing, head = self._framing, self._head
        return (
            framing is not None
            and head is not None
            and framing.complete
            and not (framing.excess or self._cut_short or self._deaf or self._unsent or head.close or head.http10)
        )

    # ── the gate ──

    def _receive_head(self, data: bytes) -> None:
        buffer: bytes | bytearray = data
        begin, searched = 0, 0
        if self._held:
            searched = max(0, len(self._held) - 3)
            self._held += data
            buffer = self._held
        while (end := buffer.find(b"\r\n\r\n", max(begin, searched), begin + MAX_HEAD) + 4) > 3:
            head = read_head(bytes(buffer[begin:end]))
            begin = end
            if head.status >= 200:
                self._head = head
                self._framing = framing = self._engine(head, self._bodiless)
                if begin < len(buffer) or framing.complete:
                    self._receive_body(framing, bytes(buffer[begin:]))
                return
            if head.status == 101 or self._interim == MAX_INTERIM:
                raise Violation("protocol", "unasked change of protocol" if head.status == 101 else "too many interim responses")
            self._interim += 1
        if begin or buffer is data:
            self._held = bytearray(buffer[begin:])
        if not b"HTTP/1.".startswith(self._held[:7]):
            raise Violation("protocol", f"not an HTTP/1 response: it begins with {bytes(self._held[:24])!r}")
        if len(self._held) >= MAX_HEAD:
            raise Violation("too_large", f"the head of the response is longer than {MAX_HEAD} bytes")

    def _receive_body(self, framing: Framing, data: bytes) -> None:
        piece = framing.receive_data(data) if data else b""
        if not piece:
            return
        self._body_size += len(piece)
        self._pieces.append(piece)
        if self._body_size > MAX_ERROR_BODY and self._is_error:
            self._pieces[-1] = piece[: MAX_ERROR_BODY - self._body_size]
            self._cut_short = True

    @property
    def _is_error(self) -> bool:
        return self._head is not None and self._head.status >= 300

    def _salvage(self) -> bool:
        """An error answer says enough even when its body is cut: keep what came."""
        self._cut_short = self._is_error
        return self._cut_short


# ── writing ──


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


# ── reading a head ──


def read_head(raw: bytes) -> Head:
    """A whole head, CRLF CRLF included, through the gate; raises `Violation`."""
    found = _head(raw.decode("latin-1"))
    if found is None:
        raise Violation("protocol", f"a malformed head: {_bad_line(raw)!r}")
    minor, status, block = found.groups()
    headers = _fields(block)
    if len(headers) > MAX_FIELDS:
        raise Violation("too_large", f"the head of the response has more than {MAX_FIELDS} fields")
    if " \r" in block or "\t\r" in block:
        headers = [(name, value.rstrip(" \t")) for name, value in headers]
    length: int | None = None
    chunked = close = False
    for name, value in headers:
        if (key := name.lower()) not in _FRAMING:
            continue
        if key == "connection":
            close = close or "close" in value.lower().replace(" ", "").split(",")
        elif key == "transfer-encoding":
            if chunked or value.lower() != "chunked":
                raise Violation("protocol", "Transfer-Encoding is not exactly 'chunked'")
            chunked = True
        else:
            if length is not None or not _length(value):
                raise Violation("protocol", "Content-Length is not one number of 1 to 19 digits")
            length = int(value)
    if chunked and (length is not None or minor == "0"):
        raise Violation("protocol", "Transfer-Encoding together with Content-Length, or in HTTP/1.0")
    return Head(raw, int(status), tuple(headers), minor == "0", chunked, length, close)


_FRAMING = frozenset(("connection", "transfer-encoding", "content-length"))


def _bad_line(raw: bytes) -> bytes:
    """The first line at fault, cut: a head may be hostile, and an error is for reading."""
    lines = raw[:-4].split(b"\r\n")
    if not re.match(rb"HTTP/1\.[01] [1-9][0-9][0-9](?: |$)", lines[0]):
        return lines[0][:80]
    good = re.compile(_FIELD.removesuffix(r"\r\n").encode("latin-1")).fullmatch
    return next((line for line in lines[1:] if not good(line)), lines[0])[:80]


# ── framing ──


def frame(head: Head, bodiless: bool) -> Framing:
    """The reader of the body that `head` announces (RFC 9112 section 6.3)."""
    if bodiless or head.status in (204, 304):
        return ByLength(0)
    if head.chunked:
        return Chunked()
    return UntilClose() if head.length is None else ByLength(head.length)


class ByLength:
    """A body of a known number of bytes."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.complete = length == 0
        self.excess = False

    def receive_data(self, data: bytes) -> bytes:
        if len(data) > self._left:
            self.excess = True
            data = data[: self._left]
        self._left -= len(data)
        self.complete = self._left == 0
        return data

    def receive_eof(self) -> None:
        raise Violation("truncated", f"the body ended {self._left} bytes early")


class UntilClose:
    """A body that ends with the connection."""

    complete = False
    excess = False

    def receive_data(self, data: bytes) -> bytes:
        return data

    def receive_eof(self) -> None:
        self.complete = self.excess = True  # nothing can follow: the connection is gone


class Chunked:
    """A body in chunks, each with its size before it; extensions and trailers are read, bounded and dropped."""

    def __init__(self) -> None:
        self._held = b""  # the beginning of a line that has not ended
        self._left = 0  # bytes of the chunk to come, then 2 for its CRLF
        self._in_trailers = False
        self.complete = False
        self.excess = False

    def receive_data(self, data: bytes) -> bytes:
        if self.complete:
            self.excess = True
            return b""
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[bytes] = []
        position = 0
        while position < len(data) and not self.complete:
            if self._left == 0 and (line := _whole_chunk(data, position)):  # the common case: all of a chunk is there
                begin = line.end()
                end = begin + int(line[1], 16)
                if data[end : end + 2] == b"\r\n" and not self._in_trailers and end > begin:
                    pieces.append(data[begin:end])
                    position = end + 2
                    continue
            if self._in_trailers:
                position = self._read_trailers(data, position)
            elif self._left > 2:
                piece = data[position : position + self._left - 2]
                pieces.append(piece)
                self._left -= len(piece)
                position += len(piece)
            elif self._left:
                if data[position] != b"\r\n"[2 - self._left]:
                    raise Violation("protocol", "a chunk does not end where its size says")
                self._left -= 1
                position += 1
            else:
                position = self._read_size(data, position)
        self.excess = position < len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_size(self, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position, position + MAX_CHUNK_LINE)
        line = data[position : end if end >= 0 else None]
        if end < 0:
            if len(line) >= MAX_CHUNK_LINE:
                raise Violation("too_large", f"a chunk's line is longer than {MAX_CHUNK_LINE} bytes")
            if b"\n" in line or not re.match(rb"[0-9A-Fa-f]{0,16}(?![^ \t;\r])", line):
                raise Violation("protocol", f"not a chunk size: {line[:24]!r}")
            self._held = line
            return len(data)
        found = _chunk_size(line)
        if found is None:
            raise Violation("protocol", f"not a chunk size: {line[:24]!r}")
        size = int(found[1], 16)
        self._in_trailers = size == 0
        self._left = size + 2 if size else 0
        return end + 2

    def _read_trailers(self, data: bytes, position: int) -> int:
        rest = data[position : position + MAX_TRAILERS]
        end = 0 if rest.startswith(b"\r\n") else rest.find(b"\r\n\r\n") + 2
        if end == 1:  # not found
            if len(rest) >= MAX_TRAILERS:
                raise Violation("too_large", f"the trailers are longer than {MAX_TRAILERS} bytes")
            self._held = rest
            return len(data)
        if not _trailers(rest[: end + 2]):
            raise Violation("protocol", "malformed trailers")
        self.complete = True
        return position + end + 2

    def receive_eof(self) -> None:
        raise Violation("truncated", "the body ended inside its chunks")
