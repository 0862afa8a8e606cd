"""One connection: h11 for the bytes, requests in and answers out, one after the other.

What is no HTTP, or too large, is refused here (400 or 413), and the connection closes. A streamed answer goes out as it is made,
a chunk for each event.
"""

from __future__ import annotations

import re
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import TypeAlias

try:
    import h11
except ImportError as missing:
    raise ImportError("smruntime_local needs h11: pip install 'smruntime-core[local]'") from missing

from smruntime_core import Request, Response, ServiceError, service

from ._host import MAX_BODY, Answer, Streamed
from ._streaming import Hangup

Headers: TypeAlias = "tuple[tuple[str, str], ...]"

MAX_HEAD = 64 * 1024  # a session token alone may have 16 KiB
LINGER = 2.0

# No slash or question mark: with those a Host field could move the path that is verified.
_is_host = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::[0-9]{1,5})?").fullmatch


class Connection:
    """One connection of a peer, its requests answered by `answer`."""

    def __init__(self, connection: socket.socket, scheme: str, answer: Callable[[Request], Answer]) -> None:
        self._socket = connection
        self._scheme = scheme
        self._answer = answer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._method = ""

    def run(self) -> None:
        """Answer until either side wants to close."""
        while True:
            try:
                request = self._receive()
            except h11.RemoteProtocolError as fault:
                return self._refuse(_malformed(str(fault)))
            except ServiceError as refusal:
                return self._refuse(refusal)
            if request is None or not self._respond(self._answer(request)):
                return None
            self._http.start_next_cycle()

    def _respond(self, answer: Answer) -> bool:
        """Send the answer; false if the connection cannot serve another request."""
        try:
            if isinstance(answer, Streamed):
                self._stream(answer)
            else:
                self._send(answer)
        except Hangup:
            return False
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def _receive(self) -> Request | None:
        """The next request; None if the peer has closed instead."""
        self._method, url, body = "", "", bytearray()
        headers: Headers = ()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    self._socket.sendall(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                self._http.receive_data(self._socket.recv(256 * 1024))
            elif isinstance(event, h11.Request):
                self._method = event.method.decode("latin-1")
                headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
                found: dict[str, str] = dict(headers)
                url = _url(self._scheme, found.get("host", ""), event.target.decode("latin-1"))
                if int(found.get("content-length", "0")) > MAX_BODY:
                    raise _too_large()
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY:
                    raise _too_large()
            elif isinstance(event, h11.EndOfMessage):
                return Request(self._method, url, headers, bytes(body))
            else:
                return None

    def _send(self, response: Response, *, last: bool = False) -> None:
        events: list[h11.Event] = [_head(response, ("Content-Length", str(len(response.body))), *[("Connection", "close")] * last)]
        if self._method != "HEAD":
            events.append(h11.Data(data=response.body))
        events.append(h11.EndOfMessage())
        self._socket.sendall(b"".join([self._http.send(event) or b"" for event in events]))  # at once: one packet if it fits

    def _stream(self, answer: Streamed) -> None:
        with closing(answer.chunks) as chunks:
            self._socket.sendall(self._http.send(_head(answer.head, ("Transfer-Encoding", "chunked"))) or b"")
            for chunk in chunks:
                self._socket.sendall(self._http.send(h11.Data(data=chunk)) or b"")
            self._socket.sendall(self._http.send(h11.EndOfMessage()) or b"")

    def _refuse(self, refusal: ServiceError) -> None:
        self._send(service.answer(refusal, request_id=str(uuid.uuid4())), last=True)
        # Closing on bytes that nobody read resets the connection, and the peer might never see the answer.
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.settimeout(LINGER)
        deadline = time.monotonic() + LINGER
        while time.monotonic() < deadline and self._socket.recv(256 * 1024):
            pass


def _head(response: Response, *framing: tuple[str, str]) -> h11.Response:
    fields = (*response.headers, *framing)
    return h11.Response(status_code=response.status, headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields])


def _url(scheme: str, host: str, target: str) -> str:
    if not _is_host(host):
        raise _malformed("the Host header is missing or is no host")
    if not target.startswith("/"):
        raise _malformed("the request target must begin with a slash")
    return f"{scheme}://{host}{target}"


def _malformed(message: str) -> ServiceError:
    return ServiceError(message, code="MalformedHttpRequestException", status=400)


def _too_large() -> ServiceError:
    message = f"The body must have at most {MAX_BODY} bytes."
    return ServiceError(message, code="RequestEntityTooLargeException", status=413)
