"""One connection: h11 for the bytes, requests in and answers out, one after the other.

What is no HTTP (400), too large (413) or too slow (408) is refused here. So is a large body without
a signature (403), before it is read. The connection closes then. Each wait for the peer is bounded
(`_limits`). A streamed answer is sent as it is made, a chunk for each event.
"""

from __future__ import annotations

import re
import socket
import time
import uuid
from contextlib import closing
from typing import TypeAlias

try:
    import h11
except ImportError as missing:
    raise ImportError("smruntime_local needs h11: pip install 'smruntime-core[local]'") from missing

from smruntime_core import Request, Response, ServiceError, service

from ._host import Answer, StreamedResponse
from ._limits import ServerLimits
from ._received import ReceivedBody, too_large
from ._service import Service
from ._slots import Slots
from ._streaming import Hangup

Headers: TypeAlias = "tuple[tuple[str, str], ...]"

MAX_HEAD = 64 * 1024  # bytes; a session token alone may have 16 KiB
SMALL = 64 * 1024  # bytes of a body that are read before anything is checked
LINGER = 2.0  # seconds
RECEIVED = 64 * 1024  # bytes at a time; h11 accepts a head of up to MAX_HEAD + RECEIVED
SENT = 256 * 1024  # bytes that a peer must take within `send_seconds`

# No slash or question mark: with those a Host field could move the path that is verified.
_is_host = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::[0-9]{1,5})?").fullmatch


class Connection:
    """One connection of a peer, whose requests `service` answers within `limits`.

    The connection holds one of `slots`.
    """

    def __init__(
        self,
        connection: socket.socket,
        scheme: str,
        service: Service,
        limits: ServerLimits,
        slots: Slots,
    ) -> None:
        self._socket = connection
        self._scheme = scheme
        self._service = service
        self._limits = limits
        self._slots = slots
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._method = ""
        self._deadline = time.monotonic() + limits.head_seconds

    def run(self) -> None:
        """Answer until either side closes or the peer is too slow; raises `OSError` if it left."""
        while self._serve_one():
            self._http.start_next_cycle()
            self._slots.end_request(self._socket)
            if not self._await_next():
                return

    def _await_next(self) -> bool:
        """Wait for the first bytes of another request; return False if none come in time."""
        self._deadline = time.monotonic() + self._limits.idle_seconds
        try:
            if not self._http.trailing_data[0]:
                self._receive()
        except TimeoutError:
            return False
        self._deadline = time.monotonic() + self._limits.head_seconds
        return True

    def _serve_one(self) -> bool:
        """Receive and answer one request; return whether the connection can serve another."""
        self._method = ""
        try:
            head = self._receive_head()
            if head is None or not self._slots.start_request(self._socket):
                return False
            with ReceivedBody(self._limits.max_body) as body:
                if (refusal := self._refuse_unread(head)) is not None:
                    return self._refuse(refusal)
                self._receive_body(body)
                answer = self._service.answer(head, body)
        except h11.RemoteProtocolError as fault:
            return self._refuse(_answer(_malformed(str(fault))))
        except ServiceError as refusal:
            return self._refuse(_answer(refusal))
        return self._respond(answer)

    def _receive_head(self) -> Request | None:
        """Return the next request without its body; None if the peer closes or sends nothing."""
        try:
            event = self._next_event()
        except TimeoutError:
            if not self._http.trailing_data[0]:
                return None
            raise _too_slow("head", self._limits.head_seconds) from None
        if not isinstance(event, h11.Request):
            return None
        self._method = event.method.decode("latin-1")
        headers = _decoded(event)
        url = _url(self._scheme, dict(headers).get("host", ""), event.target.decode("latin-1"))
        return Request(self._method, url, headers, b"")

    def _refuse_unread(self, head: Request) -> Response | None:
        """Return the refusal of a request with a large body from its head; None if it may go on."""
        fields = dict(head.headers)
        size = int(fields.get("content-length", "0"))
        if size > self._limits.max_body:
            raise too_large(self._limits.max_body)
        return self._service.refuse(head) if size > SMALL or "transfer-encoding" in fields else None

    def _receive_body(self, body: ReceivedBody) -> None:
        """Receive the rest of the request into `body`."""
        self._deadline = time.monotonic() + self._limits.body_seconds
        if self._http.they_are_waiting_for_100_continue:
            self._send_event(h11.InformationalResponse(status_code=100, headers=[]))
        try:
            while isinstance(event := self._next_event(), h11.Data):
                body.write(event.data)
        except TimeoutError:
            raise _too_slow("body", self._limits.body_seconds) from None

    def _next_event(self) -> object:
        """Return what h11 makes of the bytes; raises `TimeoutError` at the deadline."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._receive()
        return event

    def _receive(self) -> None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._socket.settimeout(remaining)
        self._http.receive_data(self._socket.recv(RECEIVED))

    def _respond(self, answer: Answer) -> bool:
        """Send the answer; return whether the connection can serve another request."""
        try:
            if isinstance(answer, StreamedResponse):
                self._stream(answer)
            else:
                self._send(answer)
        except Hangup:
            return False
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def _send(self, response: Response, *, last: bool = False) -> None:
        events: list[h11.Event] = [
            _head(
                response,
                ("Content-Length", str(len(response.body))),
                *[("Connection", "close")] * last,
            )
        ]
        if self._method != "HEAD":
            events.append(h11.Data(data=response.body))
        events.append(h11.EndOfMessage())
        # At once: one packet if it fits.
        self._send_bytes(b"".join([self._http.send(event) or b"" for event in events]))

    def _stream(self, answer: StreamedResponse) -> None:
        with closing(answer.chunks) as chunks:
            self._send_event(_head(answer.head, ("Transfer-Encoding", "chunked")))
            for chunk in chunks:
                self._send_event(h11.Data(data=chunk))
            self._send_event(h11.EndOfMessage())

    def _send_event(self, event: h11.Event) -> None:
        self._send_bytes(self._http.send(event) or b"")

    def _send_bytes(self, data: bytes) -> None:
        """Send `data`; raises `TimeoutError` if the peer does not take it."""
        view = memoryview(data)
        self._socket.settimeout(self._limits.send_seconds)
        for start in range(0, len(view), SENT):
            self._socket.sendall(view[start : start + SENT])

    def _refuse(self, answer: Response) -> bool:
        """Send the last answer of this connection; return False."""
        self._send(answer, last=True)
        # Closing with bytes unread resets the connection, and the peer might never see the answer.
        self._socket.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER
        while (remaining := deadline - time.monotonic()) > 0:
            self._socket.settimeout(remaining)
            if not self._socket.recv(RECEIVED):
                break
        return False


def _decoded(request: h11.Request) -> Headers:
    fields = request.headers
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)


def _head(response: Response, *framing: tuple[str, str]) -> h11.Response:
    fields = (*response.headers, *framing)
    return h11.Response(
        status_code=response.status,
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields],
    )


def _url(scheme: str, host: str, target: str) -> str:
    if not _is_host(host):
        raise _malformed("the Host header is missing or is no host")
    if not target.startswith("/"):
        raise _malformed("the request target must begin with a slash")
    return f"{scheme}://{host}{target}"


def _answer(refusal: ServiceError) -> Response:
    return service.answer(refusal, request_id=str(uuid.uuid4()))


def _malformed(message: str) -> ServiceError:
    return ServiceError(message, code="MalformedHttpRequestException", status=400)


def _too_slow(part: str, seconds: float) -> ServiceError:
    message = f"The {part} of the request did not arrive within {seconds:g} s ({part}_seconds)."
    return ServiceError(message, code="RequestTimeoutException", status=408)
