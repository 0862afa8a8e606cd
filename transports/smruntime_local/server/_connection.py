"""HTTP/1.1 over one connection, read and written by h11: requests in order, one at a time.

    head ──> refused from the head? ──no──> body ──> request handler ──> response ──> next head
                    └──yes──> last response, connection closed

Refused here are malformed (400), too large (413) and too slow (408) requests, and large bodies
without a signature (403) before they are read. Each wait for the peer has a limit (`_limits`). A
streamed response is sent as it is made, a chunk for each event.
"""

from __future__ import annotations

import re
import socket
import struct
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeAlias

try:
    import h11
except ImportError as _missing:
    raise ImportError(
        "smruntime_local needs h11: pip install 'smruntime-core[local]'"
    ) from _missing

from smruntime_core import Request, Response, ServiceError, service

from ..hosting._faults import Cut, Drip, Reset, SlowHead, StaleConnection, WireFault
from ..hosting._model_host import FaultyResponse, HostedResponse
from ..hosting._received_body import ReceivedBody, make_too_large_error
from ..hosting._request_handler import RequestHandler
from ..hosting._stream_behavior import Hangup, StreamedResponse
from ._limits import ServerLimits
from ._slots import ConnectionSlots

HeaderFields: TypeAlias = "tuple[tuple[str, str], ...]"

MAX_HEAD_SIZE: Final = 64 * 1024  # bytes; a session token alone may have 16 KiB
UNCHECKED_BODY_SIZE: Final = 64 * 1024  # bytes of a body that are read before any check
LINGER_SECONDS: Final = 2.0
RECEIVE_SIZE: Final = 64 * 1024  # h11 accepts a head of up to MAX_HEAD_SIZE + RECEIVE_SIZE bytes
SEND_SIZE: Final = 256 * 1024  # bytes that a peer must accept within `send_seconds`

# No slash or question mark: with those a Host field could change the path that is verified.
_is_host = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::[0-9]{1,5})?").fullmatch


class ServerConnection:
    """One connection; `request_handler` answers its requests within `limits`.

    The connection holds one of `slots`.
    """

    def __init__(
        self,
        connection: socket.socket,
        scheme: str,
        request_handler: RequestHandler,
        limits: ServerLimits,
        slots: ConnectionSlots,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._socket = connection
        self._scheme = scheme
        self._request_handler = request_handler
        self._limits = limits
        self._slots = slots
        self._protocol: h11.Connection = h11.Connection(
            h11.SERVER, max_incomplete_event_size=MAX_HEAD_SIZE
        )
        self._request_method = ""
        self._deadline = time.monotonic() + limits.head_seconds
        self._sleep = sleep
        self._wire_fault: WireFault | None = None  # of the response that is being sent
        self._bytes_sent = 0

    def run(self) -> None:
        """Answer requests until either side closes or the peer is too slow.

        Raises `OSError` if the peer closed the connection in the middle of a response.
        """
        while self._serve_request():
            self._protocol.start_next_cycle()
            self._slots.end_request(self._socket)
            if not self._await_next_request():
                return

    def _await_next_request(self) -> bool:
        """Wait for the first bytes of another request; return False if none arrive in time."""
        self._deadline = time.monotonic() + self._limits.idle_seconds
        try:
            if not self._protocol.trailing_data[0]:
                self._receive_data()
        except TimeoutError:
            return False
        self._deadline = time.monotonic() + self._limits.head_seconds
        return True

    def _serve_request(self) -> bool:
        """Receive and answer one request; return whether the connection can serve another."""
        self._request_method = ""
        self._wire_fault, self._bytes_sent = None, 0
        try:
            request_head = self._receive_head()
            if request_head is None or not self._slots.start_request(self._socket):
                return False
            with ReceivedBody(self._limits.max_body) as received_body:
                if (refusal := self._refuse_from_head(request_head)) is not None:
                    return self._send_last_response(refusal)
                self._receive_body(received_body)
                response = self._request_handler.respond(request_head, received_body)
        except h11.RemoteProtocolError as protocol_error:
            return self._send_last_response(_refuse(_make_malformed_error(str(protocol_error))))
        except ServiceError as service_error:
            return self._send_last_response(_refuse(service_error))
        return self._send_response(response)

    def _receive_head(self) -> Request | None:
        """Return the next request without its body; None if the peer closes or sends nothing."""
        try:
            http_event = self._next_event()
        except TimeoutError:
            if not self._protocol.trailing_data[0]:
                return None
            raise _make_timeout_error("head", self._limits.head_seconds) from None
        if not isinstance(http_event, h11.Request):
            return None
        self._request_method = http_event.method.decode("latin-1")
        header_fields = _decode_fields(http_event)
        host_field = dict(header_fields).get("host", "")
        request_url = _make_url(self._scheme, host_field, http_event.target.decode("latin-1"))
        return Request(self._request_method, request_url, header_fields, b"")

    def _refuse_from_head(self, request_head: Request) -> Response | None:
        """Return the refusal of a request with a large body; None if its body may be read."""
        header_fields = dict(request_head.headers)
        content_length = int(header_fields.get("content-length", "0"))
        if content_length > self._limits.max_body:
            raise make_too_large_error(self._limits.max_body)
        if content_length > UNCHECKED_BODY_SIZE or "transfer-encoding" in header_fields:
            return self._request_handler.refuse_from_head(request_head)
        return None

    def _receive_body(self, received_body: ReceivedBody) -> None:
        """Receive the rest of the request into `received_body`."""
        self._deadline = time.monotonic() + self._limits.body_seconds
        if self._protocol.they_are_waiting_for_100_continue:
            self._send_event(h11.InformationalResponse(status_code=100, headers=[]))
        try:
            while isinstance(http_event := self._next_event(), h11.Data):
                received_body.write(http_event.data)
        except TimeoutError:
            raise _make_timeout_error("body", self._limits.body_seconds) from None

    def _next_event(self) -> object:
        """Return the next event of h11; raises `TimeoutError` at the deadline."""
        while (http_event := self._protocol.next_event()) is h11.NEED_DATA:
            self._receive_data()
        return http_event

    def _receive_data(self) -> None:
        remaining_seconds = self._deadline - time.monotonic()
        if remaining_seconds <= 0:
            raise TimeoutError
        self._socket.settimeout(remaining_seconds)
        self._protocol.receive_data(self._socket.recv(RECEIVE_SIZE))

    def _send_response(self, response: HostedResponse) -> bool:
        """Send a response; return whether the connection can serve another request."""
        try:
            if isinstance(response, FaultyResponse):
                self._wire_fault, response = response.fault, response.response
            if isinstance(response, StreamedResponse):
                self._send_streamed(response)
            else:
                self._send_whole(response)
            if isinstance(self._wire_fault, StaleConnection):
                return False
        except Hangup:
            return False
        protocol = self._protocol
        return protocol.our_state is h11.DONE and protocol.their_state is h11.DONE

    def _send_whole(self, response: Response, *, is_last: bool = False) -> None:
        framing_fields = [("Content-Length", str(len(response.body)))]
        if is_last:
            framing_fields.append(("Connection", "close"))
        http_events: list[h11.Event] = [_encode_head(response, *framing_fields)]
        if self._request_method != "HEAD":
            http_events.append(h11.Data(data=response.body))
        http_events.append(h11.EndOfMessage())
        # At once, so that a small response is one packet.
        self._send_data(b"".join([self._protocol.send(event) or b"" for event in http_events]))

    def _send_streamed(self, response: StreamedResponse) -> None:
        with closing(response.chunks) as response_chunks:
            self._send_event(_encode_head(response.head, ("Transfer-Encoding", "chunked")))
            for response_chunk in response_chunks:
                self._send_event(h11.Data(data=response_chunk))
            self._send_event(h11.EndOfMessage())

    def _send_event(self, http_event: h11.Event) -> None:
        self._send_data(self._protocol.send(http_event) or b"")

    def _send_data(self, data: bytes) -> None:
        """Send `data`; raises `TimeoutError` if the peer does not read it in time."""
        self._socket.settimeout(self._limits.send_seconds)
        if self._wire_fault is not None:
            self._send_faulty(data, self._wire_fault)
            return
        remaining_data = memoryview(data)
        for start in range(0, len(remaining_data), SEND_SIZE):
            self._socket.sendall(remaining_data[start : start + SEND_SIZE])

    def _send_faulty(self, data: bytes, fault: WireFault) -> None:
        """Send `data` as `fault` demands; raises `Hangup` where the connection ends."""
        if isinstance(fault, Reset):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Hangup
        if isinstance(fault, Cut):
            allowed = fault.after_bytes - self._bytes_sent
            self._socket.sendall(data[:allowed])
            self._bytes_sent += len(data)
            if len(data) >= allowed:
                raise Hangup
            return
        if isinstance(fault, Drip):
            for index in range(len(data)):
                self._socket.sendall(data[index : index + 1])
                self._sleep(fault.seconds)
            return
        if isinstance(fault, SlowHead) and not self._bytes_sent:
            middle = data.find(b"\r\n") + 2
            self._socket.sendall(data[:middle])
            self._sleep(fault.seconds)
            data = data[middle:]
            self._bytes_sent = 1
        self._socket.sendall(data)

    def _send_last_response(self, response: Response) -> bool:
        """Send the last response of this connection; return False."""
        self._send_whole(response, is_last=True)
        # To close with unread bytes resets the connection, and the peer may not see the response.
        self._socket.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER_SECONDS
        while (remaining_seconds := deadline - time.monotonic()) > 0:
            self._socket.settimeout(remaining_seconds)
            if not self._socket.recv(RECEIVE_SIZE):
                break
        return False


def _decode_fields(request: h11.Request) -> HeaderFields:
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers
    )


def _encode_head(response: Response, *framing_fields: tuple[str, str]) -> h11.Response:
    return h11.Response(
        status_code=response.status,
        headers=[
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (*response.headers, *framing_fields)
        ],
    )


def _make_url(scheme: str, host_field: str, target: str) -> str:
    if not _is_host(host_field):
        raise _make_malformed_error("the Host header is missing or is no host")
    if not target.startswith("/"):
        raise _make_malformed_error("the request target must begin with a slash")
    return f"{scheme}://{host_field}{target}"


def _refuse(service_error: ServiceError) -> Response:
    return service.answer(service_error, request_id=str(uuid.uuid4()))


def _make_malformed_error(message: str) -> ServiceError:
    return ServiceError(message, code="MalformedHttpRequestException", status=400)


def _make_timeout_error(request_part: str, seconds: float) -> ServiceError:
    limit_name = f"{request_part}_seconds"
    message = f"The {request_part} of the request did not arrive within {seconds:g} s"
    return ServiceError(f"{message} ({limit_name}).", code="RequestTimeoutException", status=408)
