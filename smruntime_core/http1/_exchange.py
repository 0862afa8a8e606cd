"""One HTTP/1.1 exchange without I/O (RFC 9112).

It says what to send, reads what was received, and knows whether the connection can be reused.

    request ──> write ──> data_to_send ─ ─ wire ─ ─> receive_data ──> head ──> framing ──> response

A client that reuses connections must know exactly where a response ends; otherwise one caller gets
another caller's response. So nothing is guessed: the head is accepted only if it has one meaning
(`_head`), and the body is read by length, by chunks or to the end of the stream, every part bounded
(`_framing`). Another reader of bodies can take the place of the framing (`engine=`), after the same
check of the head.

A transport does this until `done`, in any order that the socket allows, so an early response is
noticed while the request is being sent:

    data = exchange.data_to_send()       send some of it, then data = exchange.sent(count)
    exchange.receive_data(data)          what was received
    exchange.receive_eof()               the peer closed

The receive methods raise `DispatchFailure` and nothing else. The rest of a long body can be
received without a copy:

    buffer = exchange.get_buffer()       None, or memory to receive into
    exchange.buffer_updated(count)       after releasing the buffer
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Literal, TypeAlias

from ..errors import Delivery, DispatchFailure, Kind, Phase
from ..values._http import MAX_ERROR_BODY, Request, Response
from ._body_buffer import BodyBuffer
from ._framing import STATUSES_WITHOUT_BODY, Framing, frame
from ._head import MAX_HEAD, Head, ProtocolViolation, find_bare_lf, read_head
from ._request_writer import write

MAX_INTERIM_RESPONSES = 16
LONG_BODY = 128 * 1024  # a rest of so many bytes is worth a buffer of its own
_HEAD_END = b"\r\n\r\n"
_MAX_HEAD_LINES = MAX_HEAD - len(_HEAD_END)  # bytes

Engine: TypeAlias = "Callable[[Head, bool], Framing]"
Until: TypeAlias = Literal["head", "piece", "end"]


class Exchange:
    """One request and its response.

    Set `reused` if the connection has served before; failures report it. `until` says how much to
    receive before the transport stops: all of the response (`end`), its `head`, or the next `piece`
    of its body, which `take` returns. A successful body of more than
    `max_body` bytes is an error. Raises `ConstructionError` if HTTP/1.1 cannot carry the request.
    """

    until: Until = "end"
    reused: bool = False
    bytes_sent: int = 0
    bytes_received: int = 0
    bytes_to_supply: int = 0  # of a body that the request does not contain
    phase: Phase = "send"  # then "head", then "body"
    done: bool = False  # the response is complete, or as complete as it will be
    head: Head | None = None  # of the response, once it has been received
    _head_start: bytes | bytearray = b""  # of a head that has not been received whole
    _interim_count: int = 0
    _framing: Framing | None = None  # stays None if the body was received whole with the head
    _body_limit: float = inf
    _body_size: int = 0
    _body_buffer: BodyBuffer | None = None
    _body_truncated: bool = False  # an error's body was not read to its end
    _sending_stopped: bool = False
    _must_close: bool = False

    def __init__(
        self, request: Request, engine: Engine | None = None, max_body: int | None = None
    ) -> None:
        self.origin: tuple[str, str]
        self._unsent_buffers: list[memoryview]
        self.origin, self._unsent_buffers = write(request)
        self._bodiless = request.method == "HEAD"
        self._engine = engine
        self.max_body: int | None = max_body
        self._body_pieces: list[bytes] = []

    # ── sending ──

    def renew(self, request: Request) -> None:
        """Send `request` instead, which differs in its signature only; nothing has been sent."""
        self.origin, self._unsent_buffers = write(request)

    def data_to_send(self) -> memoryview | None:
        """Return what to send next, None if there is nothing (more)."""
        return self._unsent_buffers[0] if self._unsent_buffers else None

    def sent(self, count: int) -> memoryview | None:
        """Note that `count` bytes of `data_to_send()` were sent; return what to send next."""
        self.bytes_sent += count
        unsent_buffers = self._unsent_buffers
        if count < len(unsent_buffers[0]):
            unsent_buffers[0] = unsent_buffers[0][count:]
        else:
            del unsent_buffers[0]
        if unsent_buffers:
            return unsent_buffers[0]
        if not self.bytes_to_supply and self.head is None:
            self.phase = "head"
        return None

    def supply(self, data: bytes) -> None:
        """Add the next bytes of a body that the request does not contain."""
        self._unsent_buffers.append(memoryview(data))
        self.bytes_to_supply -= len(data)

    def stop_sending(self) -> None:
        """Note that the peer accepts no more bytes; what it has sent can still be received."""
        self._unsent_buffers.clear()
        self._sending_stopped = self._must_close = True
        self.bytes_to_supply = 0

    # ── receiving ──

    def receive_data(self, data: bytes) -> None:
        """Process bytes from the peer; raise `DispatchFailure` if they are no response."""
        self.bytes_received += len(data)
        try:
            if self.head is None:
                self._receive_head(data)
            else:
                self._receive_body(data)
        except ProtocolViolation as violation:
            raise self.failure(violation.kind, str(violation)) from None

    def get_buffer(self) -> memoryview | None:
        """Return memory to receive into if what comes next is many bytes of the body.

        Release it before calling `buffer_updated`.
        """
        framing = self._framing
        if framing is None or framing.left == 0:
            return None
        if self._body_buffer is None:
            if framing.left < LONG_BODY or self.until != "end" or self._is_error:
                return None
            self._body_buffer = BodyBuffer(b"".join(self._body_pieces), framing.left)
        return self._body_buffer.free_space()

    def buffer_updated(self, count: int) -> None:
        """Note that `count` bytes have been received into the buffer."""
        # a mistake of the caller
        assert self._framing is not None, "no buffer"  # noqa: S101
        assert self._body_buffer is not None, "no buffer"  # noqa: S101
        self.bytes_received += count
        self._body_buffer.advance(count)
        self._framing.skip(count)
        self.done = self._framing.complete

    def receive_eof(self) -> None:
        """Note that the peer closed; raise `DispatchFailure` unless the response may end here."""
        try:
            if self.head is None:
                raise self._closed_before_head()
            if self._framing is not None:
                self._framing.receive_eof()
            self.done = self._must_close = True
        except ProtocolViolation as violation:
            self.fail(violation.kind, str(violation))

    def _closed_before_head(self) -> ProtocolViolation:
        if self.bytes_received:
            return ProtocolViolation("truncated", "the connection was closed inside the head")
        if self._sending_stopped:
            return ProtocolViolation("reset", "the connection broke while the request was sent")
        return ProtocolViolation("closed", "the connection was closed without an answer")

    def fail(self, kind: Kind, message: str, phase: Phase | None = None) -> None:
        """Note that the connection broke; raise `DispatchFailure` unless an error was received.

        An error response says enough even if its body is incomplete.
        """
        if not self._is_error:
            raise self.failure(kind, message, phase) from None
        self.done = self._body_truncated = self._must_close = True

    def failure(self, kind: Kind, message: str, phase: Phase | None = None) -> DispatchFailure:
        """Return a failure with all that this exchange knows."""
        delivery: Delivery = (
            "answered" if self.head else "maybe_sent" if self.bytes_sent else "not_sent"
        )
        return DispatchFailure(
            message,
            kind=kind,
            phase=phase or self.phase,
            delivery=delivery,
            reused=self.reused,
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            status=self.head.status if self.head else None,
        )

    # ── the outcome ──

    def needs_data(self) -> bool:
        """Return whether more has to be received, as `until` says."""
        until = self.until
        return not self.done and (
            until == "end" or (self.head is None if until == "head" else not self._body_pieces)
        )

    def take(self) -> bytes:
        """Return what has been received of the body since the last call.

        Raises `DispatchFailure` at the end of an error's body that is incomplete.
        """
        body = self._joined_pieces()
        self._body_pieces.clear()
        if self._body_truncated and not body:
            raise self.failure("truncated", "the body of an error was cut short")
        return body

    def response(self) -> Response:
        """Return the response, once `done`."""
        assert self.head is not None, "the exchange is not done"  # noqa: S101 - a caller's mistake
        body = self._body_buffer.getvalue() if self._body_buffer else self._joined_pieces()
        return Response(self.head.status, self.head.headers, body, self._body_truncated)

    def reusable(self) -> bool:
        """Return whether the connection can serve again.

        It can if both messages ended properly, no byte is left over, and neither side asked to
        close.
        """
        return self.done and not (self._must_close or self._unsent_buffers or self.bytes_to_supply)

    def _joined_pieces(self) -> bytes:
        return self._body_pieces[0] if len(self._body_pieces) == 1 else b"".join(self._body_pieces)

    # ── the head ──

    def _receive_head(self, data: bytes) -> None:
        if self._head_start:
            searched_bytes = len(self._head_start)
            self._head_start += data
            if _HEAD_END not in self._head_start[max(0, searched_bytes - 3) :]:
                return self._check_head_start(searched_bytes)
            data = bytes(self._head_start)
        while True:
            head_lines, head_end, bytes_after_head = data.partition(_HEAD_END)
            if not head_end or len(head_lines) > _MAX_HEAD_LINES:
                self._head_start = bytearray(data)
                return self._check_head_start(0)
            head = read_head(head_lines)
            if head.status >= 200:
                return self._receive_final(head, bytes_after_head)
            self._check_interim(head)
            data = bytes_after_head

    def _check_head_start(self, searched_bytes: int) -> None:
        """Raise `ProtocolViolation` at once if this cannot become a head that is accepted."""
        head_start = self._head_start
        if head_start.startswith((b"\x15\x03", b"\x16\x03")):  # an alert or a handshake
            raise ProtocolViolation(
                "protocol", "the server speaks TLS: write https:// instead of http://"
            )
        if not b"HTTP/1.".startswith(head_start[:7]):
            raise ProtocolViolation(
                "protocol", f"not an HTTP/1 response: it begins with {bytes(head_start[:24])!r}"
            )
        if find_bare_lf(head_start, searched_bytes, MAX_HEAD):  # the end might never be found
            raise ProtocolViolation(
                "protocol", f"a bare LF in the head: {bytes(head_start[:80])!r}"
            )
        if len(head_start) >= MAX_HEAD:
            raise ProtocolViolation(
                "too_large", f"the head of the response is longer than {MAX_HEAD} bytes"
            )

    def _check_interim(self, head: Head) -> None:
        if head.status == 101:
            raise ProtocolViolation("protocol", "a change of protocol that was not requested")
        if self._interim_count == MAX_INTERIM_RESPONSES:
            raise ProtocolViolation(
                "protocol", f"more than {MAX_INTERIM_RESPONSES} interim responses"
            )
        self._interim_count += 1

    def _receive_final(self, head: Head, bytes_after_head: bytes) -> None:
        self.head, self.phase = head, "body"
        status, length = head.status, head.length
        if head.close:
            self._must_close = True
        if status >= 300:
            self._body_limit = MAX_ERROR_BODY
        elif self.max_body is not None:
            self._body_limit = self.max_body
        # Most responses arrive in one piece: an exchange takes 8.4 µs, with framing 9.3.
        needs_framing = self._engine or self._bodiless or status in STATUSES_WITHOUT_BODY
        if length == len(bytes_after_head) <= self._body_limit and not needs_framing:
            self._body_pieces.append(bytes_after_head)
            self.done = True
            return
        self._framing = (self._engine or frame)(head, self._bodiless)
        self._check_announced_length(length, self._framing)
        self._receive_body(bytes_after_head)

    # ── the body ──

    def _check_announced_length(self, length: int | None, framing: Framing) -> None:
        """Raise `ProtocolViolation` at once for a body that will be too large."""
        announced_too_much = length is not None and length > self._body_limit
        if announced_too_much and not (framing.complete or self._is_error):
            raise self._too_large()

    def _receive_body(self, data: bytes) -> None:
        framing = self._framing
        if framing is None:  # bytes after the end of the response
            self._must_close = True
            return
        piece = framing.receive_data(data) if data else b""
        self.done = framing.complete
        if framing.excess:
            self._must_close = True
        self._body_size += len(piece)
        if self._body_buffer is not None:
            self._body_buffer.append(piece)
        elif piece:
            self._body_pieces.append(piece)
        if self._body_size > self._body_limit:
            if not self._is_error:
                raise self._too_large()
            # a negative index: without the bytes beyond the limit
            self._body_pieces[-1] = piece[: MAX_ERROR_BODY - self._body_size]
            self.done = self._body_truncated = self._must_close = True

    def _too_large(self) -> ProtocolViolation:
        return ProtocolViolation(
            "too_large", f"the body has more than {self.max_body} bytes: the setting is max_body="
        )

    @property
    def _is_error(self) -> bool:
        return self.head is not None and self.head.status >= 300
