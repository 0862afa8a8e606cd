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
from typing import Literal, TypeAlias

from .._errors import Delivery, DispatchFailure, Kind, Phase
from .._model import MAX_ERROR_BODY, Request, Response
from ._framing import Framing, frame
from ._gate import MAX_HEAD, Head, Violation, read_head
from ._writing import write

MAX_INTERIM = 16

_bare_lf = re.compile(rb"(?<!\r)\n").search

Engine: TypeAlias = "Callable[[Head, bool], Framing]"
Until: TypeAlias = Literal["head", "piece", "end"]


class Exchange:
    """One request and its response. Set `reused` if the connection served before: failures report it.

    `until` says how far to receive before looking: to the end of the response, or for those who read while it comes, to its `head`,
    then to the next `piece` of its body, which `take` hands out. A successful body of more than `max_body` bytes is an error.

    Raises `ConstructionError` if the request holds what HTTP/1.1 cannot carry.
    """

    until: Until = "end"
    max_body: int | None = None
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
                self._check_size(head.length or 0)
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
        if _bare_lf(self._held, max(0, len(self._held) - len(data))):
            raise Violation("protocol", "a line of the head ends with LF alone")
        if len(self._held) >= MAX_HEAD:
            raise Violation("too_large", f"the head of the response is longer than {MAX_HEAD} bytes")

    def _receive_body(self, framing: Framing, data: bytes) -> None:
        piece = framing.receive_data(data) if data else b""
        if not piece:
            return
        self._body_size += len(piece)
        self._pieces.append(piece)
        self._check_size(self._body_size)
        if self._body_size > MAX_ERROR_BODY and self._is_error:
            self._pieces[-1] = piece[: MAX_ERROR_BODY - self._body_size]
            self._cut_short = True

    def _check_size(self, size: int) -> None:
        if self.max_body is not None and size > self.max_body and not self._is_error:
            raise Violation("too_large", f"the body has more than the {self.max_body} bytes allowed by max_body")

    @property
    def _is_error(self) -> bool:
        return self._head is not None and self._head.status >= 300

    def _salvage(self) -> bool:
        """An error answer says enough even when its body is cut: keep what came."""
        self._cut_short = self._is_error
        return self._cut_short
