"""One HTTP/1.1 exchange without I/O: what to send, what came, whether the connection may live (RFC 9112).

    request ──> write() ──> data_to_send() ─ ─ ─ wire ─ ─ ─> receive_data() ──> gate ──> framing ──> response
                                                                               (head)    (body)

A client that keeps connections must know exactly where an answer ends: whoever makes it misjudge that gives one caller
another's answer. So nothing is guessed. The *gate* reads the raw head and takes only what has one meaning: CRLF, no bare CR, NUL
or folded line, a three-digit status, one Content-Length of digits or exactly `chunked`. The *framing* takes the body
by length, by chunks or to the end of the stream, and every part is bounded.

The framing is a seam: another reader of bodies can stand there (`engine=`), behind the same gate.

A transport does this until `done`, in any order the socket allows, so an early answer is seen while sending:

    data = exchange.data_to_send()   -> send some of it, then data = exchange.sent(count)
    exchange.receive_data(data)      -> whatever came; exchange.receive_eof() if the peer closed

Both receive methods raise `DispatchFailure` and nothing else. What is left of a long body need not pass through here:

    room = exchange.room()           -> None, or memory to receive into; then exchange.filled(count)
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Literal, TypeAlias

from ..errors import Delivery, DispatchFailure, Kind, Phase
from ..values._http import MAX_ERROR_BODY, Request, Response
from ._body_buffer import Room
from ._framing import BODILESS, Framing, frame
from ._head import MAX_HEAD, Head, ProtocolViolation, bare_lf, read_head
from ._request_writer import write

MAX_INTERIM_RESPONSES = 16
ROOMY = 128 * 1024  # bytes still to come that are worth a buffer of their own
_END = b"\r\n\r\n"  # of a head
_MOST = MAX_HEAD - len(_END)  # bytes before it

Engine: TypeAlias = "Callable[[Head, bool], Framing]"
Until: TypeAlias = Literal["head", "piece", "end"]


class Exchange:
    """One request and its response. Set `reused` if the connection served before: failures report it.

    `until` says how far to receive before looking: to the end of the response, or for those who read while it comes, to its `head`,
    then to the next `piece` of its body, which `take` hands out. A successful body of more than `max_body` bytes is an error.

    Raises `ConstructionError` if the request holds what HTTP/1.1 cannot carry.
    """

    until: Until = "end"
    reused = False
    bytes_sent = 0
    bytes_received = 0
    owed = 0  # bytes of the request that have yet to be supplied
    phase: Phase = "send"  # what is under way: that, waiting for the `"head"`, or the `"body"`
    done = False  # the response is complete, or as complete as it will be
    _held: bytes | bytearray = b""  # the beginning of a head
    _interim = 0
    head: Head | None = None  # of the response, once it has arrived
    _framing: Framing | None = None  # from the head on, unless the body came whole with it
    _bound = inf  # bytes of the body that are taken
    _body_size = 0
    _room: Room | None = None
    _deaf = False  # the peer takes no more of the request
    _cut_short = False  # an error's body was not read to its end
    _last = False  # nothing may follow on this connection

    def __init__(
        self, request: Request, engine: Engine | None = None, max_body: int | None = None
    ) -> None:
        self.origin, self._unsent = write(request)
        self._bodiless = request.method == "HEAD"
        self._engine = engine
        self.max_body = max_body
        self._pieces: list[bytes] = []

    # ── sending ──

    def data_to_send(self) -> memoryview | None:
        """What is to be sent next, or None if all of it has been."""
        return self._unsent[0] if self._unsent else None

    def sent(self, count: int) -> memoryview | None:
        """`count` bytes of `data_to_send()` were taken by the transport; what is next, as that says it."""
        self.bytes_sent += count
        unsent = self._unsent
        if count < len(unsent[0]):
            unsent[0] = unsent[0][count:]
        else:
            del unsent[0]
        if unsent:
            return unsent[0]
        if not self.owed and self.head is None:
            self.phase = "head"
        return None

    def supply(self, data: bytes) -> None:
        """The next bytes of a body that the request did not hold itself; so many are `owed` no longer."""
        self._unsent.append(memoryview(data))
        self.owed -= len(data)

    def stop_sending(self) -> None:
        """The peer takes no more; what it said before may still be read. The connection will not live."""
        self._unsent.clear()
        self._deaf = self._last = True
        self.owed = 0

    # ── receiving ──

    def receive_data(self, data: bytes) -> None:
        """Take in bytes from the peer; raises `DispatchFailure`."""
        self.bytes_received += len(data)
        try:
            if self.head is None:
                self._receive_head(data)
            else:
                self._receive_body(data)
        except ProtocolViolation as violation:
            raise self.failure(violation.kind, str(violation)) from None

    def room(self) -> memoryview | None:
        """Where to receive the next bytes if they are nothing but body, and many; release it before saying `filled`."""
        framing = self._framing
        if framing is None or framing.left == 0:
            return None
        if self._room is None:
            if framing.left < ROOMY or self.until != "end" or self._is_error:
                return None
            self._room = Room(b"".join(self._pieces), framing.left)
        return self._room.left()

    def filled(self, count: int) -> None:
        """`count` bytes have been received into the `room`."""
        assert self._framing is not None and self._room is not None, "there was room"  # noqa: S101, PT018 - a caller's mistake
        self.bytes_received += count
        self._room.filled(count)
        self._framing.skip(count)
        self.done = self._framing.complete

    def receive_eof(self) -> None:
        """The peer closed its side; raises `DispatchFailure` unless the response ends so."""
        try:
            if self.head is None:
                if self.bytes_received:
                    raise ProtocolViolation(
                        "truncated", "the connection was closed inside the head"
                    )
                if self._deaf:
                    raise ProtocolViolation(
                        "reset", "the connection broke while the request was sent"
                    )
                raise ProtocolViolation("closed", "the connection was closed without an answer")
            if self._framing is not None:
                self._framing.receive_eof()
            self.done = self._last = True
        except ProtocolViolation as violation:
            if not self._salvage():
                raise self.failure(violation.kind, str(violation)) from None

    def fail(self, kind: Kind, message: str, phase: Phase | None = None) -> None:
        """The connection broke. What is left of an error's body is kept; else raises `DispatchFailure`."""
        if not self._salvage():
            raise self.failure(kind, message, phase)

    def failure(self, kind: Kind, message: str, phase: Phase | None = None) -> DispatchFailure:
        """All that this exchange knows of its failure."""
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

    def hungry(self) -> bool:
        """There is more to receive before anybody need look."""
        until = self.until
        return not self.done and (
            until == "end" or (self.head is None if until == "head" else not self._pieces)
        )

    def take(self) -> bytes:
        """What has been received of the body since the last time; raises `DispatchFailure` where an error's body was cut short."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._cut_short and not body:
            raise self.failure("truncated", "the body of an error was cut short")
        return body

    def response(self) -> Response:
        """The response, once `done`."""
        head, pieces = self.head, self._pieces
        assert head is not None, "not done yet"  # noqa: S101 - a caller's mistake, not a peer's
        body = (
            self._room.take() if self._room else pieces[0] if len(pieces) == 1 else b"".join(pieces)
        )
        return Response(head.status, head.headers, body, self._cut_short)

    def reusable(self) -> bool:
        """Both messages ended where they must, nothing is left over and neither side said to close."""
        return self.done and not (self._last or self._unsent or self.owed)

    # ── the gate ──

    def _receive_head(self, data: bytes) -> None:
        if self._held:
            searched = len(self._held)
            self._held += data
            if _END not in self._held[max(0, searched - 3) :]:
                return self._check_beginning(searched)
            data = bytes(self._held)
        while True:
            raw, end, rest = data.partition(_END)
            if not end or len(raw) > _MOST:
                self._held = bytearray(data)
                return self._check_beginning(0)
            head = read_head(raw)
            if head.status >= 200:
                return self._receive_final(head, rest)
            if head.status == 101 or self._interim == MAX_INTERIM_RESPONSES:
                raise ProtocolViolation(
                    "protocol",
                    "unasked change of protocol"
                    if head.status == 101
                    else "too many interim responses",
                )
            self._interim += 1
            data = rest

    def _check_beginning(self, searched: int) -> None:
        """Of a head: whether it can be one of ours at all."""
        held = self._held
        if not b"HTTP/1.".startswith(held[:7]):
            raise ProtocolViolation(
                "protocol", f"not an HTTP/1 response: it begins with {bytes(held[:24])!r}"
            )
        if bare_lf(held, searched, MAX_HEAD):  # it might never end as we take it
            raise ProtocolViolation("protocol", f"a bare LF in the head: {bytes(held[:80])!r}")
        if len(held) >= MAX_HEAD:
            raise ProtocolViolation(
                "too_large", f"the head of the response is longer than {MAX_HEAD} bytes"
            )

    def _receive_final(self, head: Head, rest: bytes) -> None:
        self.head, self.phase = head, "body"
        _, status, _, _, _, length, close = head
        if close:
            self._last = True
        limit = MAX_ERROR_BODY if status >= 300 else self.max_body
        self._bound = inf if limit is None else limit
        if length == len(rest) <= self._bound and not (
            self._engine or self._bodiless or status in BODILESS
        ):
            self._pieces.append(rest)
            self.done = True  # as most answers are: whole at once, and nothing to frame
            return
        self._framing = (self._engine or frame)(head, self._bodiless)
        self._check_announced(length or 0, self._framing)
        self._receive_body(rest)

    def _check_announced(self, length: int, framing: Framing) -> None:
        """Raise `ProtocolViolation` at once for a body that will be too large."""
        if length > self._bound and not (framing.complete or self._is_error):
            raise self._too_large()

    def _receive_body(self, data: bytes) -> None:
        framing = self._framing
        if framing is None:  # it is over, and this belongs to no answer of ours
            self._last = True
            return
        piece = framing.receive_data(data) if data else b""
        self.done = framing.complete
        if framing.excess:
            self._last = True
        self._body_size += len(piece)
        if self._room is not None:
            self._room.put(piece)
        elif piece:
            self._pieces.append(piece)
        if self._body_size > self._bound:
            if not self._is_error:
                raise self._too_large()
            self._pieces[-1] = piece[: MAX_ERROR_BODY - self._body_size]
            self.done = self._cut_short = self._last = True

    def _too_large(self) -> ProtocolViolation:
        return ProtocolViolation(
            "too_large", f"the body has more than the {self.max_body} bytes allowed by max_body"
        )

    @property
    def _is_error(self) -> bool:
        return self.head is not None and self.head.status >= 300

    def _salvage(self) -> bool:
        """An error answer says enough even when its body is cut: keep what came."""
        if self._is_error:
            self.done = self._cut_short = self._last = True
        return self._is_error
