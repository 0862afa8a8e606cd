"""The server: one thread a connection, h11 for the bytes, `smruntime_core` for the meaning.

A request passes four gates in this order: HTTP (400 or 413, and the connection closes), signature (403), protocol
(`service.read`), model (424). Nothing looks at a request whose signature was not verified, except for `GET /ping`.
"""

from __future__ import annotations

import re
import secrets
import socket
import ssl
import threading
import time
import uuid
from contextlib import suppress
from types import TracebackType
from typing import TypeAlias

try:
    import h11
except ImportError as missing:
    raise ImportError("smruntime_local needs h11: pip install 'smruntime-core[local]'") from missing

from smruntime_core import (
    Credentials,
    InvokeEndpoint,
    InvokeEndpointOutput,
    ModelError,
    Request,
    Response,
    Scope,
    ServiceError,
    ServiceUnavailable,
    ValidationError,
    service,
    verify,
)

from . import _echo, _iris, _ngram
from ._container import Model

Headers: TypeAlias = "tuple[tuple[str, str], ...]"

ACCOUNT = "000000000000"
MAX_BODY = 64 * 1024 * 1024
MAX_HEAD = 64 * 1024  # a session token alone may have 16 KiB
LINGER = 2.0

# No slash or question mark: with those a Host field could move the path that is verified.
_is_host = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::[0-9]{1,5})?").fullmatch


def serve(
    *,
    port: int = 0,
    region: str = "us-east-1",
    credentials: Credentials | None = None,
    tls: ssl.SSLContext | None = None,
) -> Endpoint:
    """Start serving on loopback; `close()` or the end of a `with` block stops it. Port 0 is any free one."""
    return Endpoint(port, region, credentials or _random_credentials(), tls)


def _random_credentials() -> Credentials:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    key_id = "ASIA" + "".join(secrets.choice(letters) for _ in range(16))
    return Credentials(key_id, secrets.token_urlsafe(30), secrets.token_urlsafe(90))


class Endpoint:
    """A running server: its `url`, the `region` and `credentials` to sign with, and how many requests it has seen."""

    def __init__(self, port: int, region: str, credentials: Credentials, tls: ssl.SSLContext | None) -> None:
        self.region = region
        self.credentials = credentials
        self.scope = Scope(region, "sagemaker")
        self.requests_seen = 0
        self._calls_to_flaky = 0
        self._tls = tls
        _ngram.followers()  # before anybody asks: fifty threads at once would train it fifty times
        self._models: dict[str, Model] = {
            "echo": _echo.answer,
            "flaky": self._flaky,
            "iris": _iris.Classifier().answer,
            "ngram": _ngram.answer,
        }
        self._lock = threading.Lock()
        self._closing = False
        self._open: dict[socket.socket, threading.Thread] = {}
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._address: tuple[str, int] = self._listener.getsockname()
        self.url = f"https://localhost:{self._address[1]}" if tls else f"http://127.0.0.1:{self._address[1]}"
        self._acceptor = threading.Thread(target=self._accept, name="smruntime_local", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and cut every open connection."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            connections = list(self._open.items())
        with suppress(OSError), socket.create_connection(self._address, 1.0):
            pass  # no other way to wake accept() works on every platform
        self._acceptor.join(LINGER)
        self._listener.close()
        for connection, _ in connections:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not TLS's own, which the other thread is using
        for _, thread in connections:
            thread.join(LINGER)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._closing:
                    return
                time.sleep(0.05)  # out of file descriptors, or the peer left already
                continue
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()
            if self._closing:
                return

    def _converse(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):  # the peer left, or spoke no TLS: nobody to tell
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    if self._closing:
                        return
                    self._open[connection] = threading.current_thread()
                if isinstance(connection, ssl.SSLSocket):
                    connection.do_handshake()
                _Connection(connection, self).run("https" if self._tls else "http")
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()

    def answer(self, request: Request) -> Response:
        """What the service says to `request`, its signature verified before anything else."""
        with self._lock:
            self.requests_seen += 1
        request_id = str(uuid.uuid4())
        try:
            verify(request, {self.credentials.access_key_id: self.credentials}, self.scope, now=time.time())
            call = service.read(request)
            if not isinstance(call, InvokeEndpoint):
                raise ServiceError("not offered here", code="UnknownOperationException", status=404)
            return service.answer(self._invoke(call), request_id=request_id)
        except ServiceError as refusal:
            return service.answer(refusal, request_id=request_id)

    def _invoke(self, call: InvokeEndpoint) -> InvokeEndpointOutput:
        model = self._models.get(call.endpoint_name)
        if model is None:
            raise ValidationError(f"Endpoint {call.endpoint_name} of account {ACCOUNT} not found.")
        try:
            content_type, body = model(call)
        except ServiceError:
            raise
        except ValueError as fault:
            raise self._model_error(call.endpoint_name, 400, str(fault)) from fault
        except Exception as fault:  # a container that fails does not take the service down
            raise self._model_error(call.endpoint_name, 500, f"{type(fault).__name__}: {fault}") from fault
        return InvokeEndpointOutput(
            body=body,
            content_type=content_type,
            invoked_production_variant="AllTraffic",
            custom_attributes=call.custom_attributes,
        )

    def _model_error(self, endpoint_name: str, status: int, message: str) -> ModelError:
        side = "client" if status < 500 else "server"
        error = ModelError(f'Received {side} error ({status}) from primary with message "{message}".')
        error.original_status_code = status
        error.original_message = message
        error.log_stream_arn = f"arn:aws:logs:{self.region}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{endpoint_name}"
        return error

    def _flaky(self, call: InvokeEndpoint) -> tuple[str, bytes]:
        with self._lock:
            self._calls_to_flaky += 1
            fails = self._calls_to_flaky % 2 == 1
        if fails:
            raise ServiceUnavailable("The service is unavailable. Try your call again.")
        return _echo.answer(call)


class _Connection:
    """One connection, its requests one after the other."""

    def __init__(self, connection: socket.socket, endpoint: Endpoint) -> None:
        self._socket = connection
        self._endpoint = endpoint
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._method = ""

    def run(self, scheme: str) -> None:
        """Answer until either side wants to close."""
        while True:
            try:
                request = self._receive(scheme)
            except h11.RemoteProtocolError as fault:
                return self._refuse(_malformed(str(fault)))
            except ServiceError as refusal:
                return self._refuse(refusal)
            if request is None:
                return None
            is_ping = request.method == "GET" and request.url.partition("://")[2].partition("?")[0].partition("/")[2] == "ping"
            self._send(Response(200) if is_ping else self._endpoint.answer(request))
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return None
            self._http.start_next_cycle()

    def _receive(self, scheme: str) -> Request | None:
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
                url = _url(scheme, found.get("host", ""), event.target.decode("latin-1"))
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
        fields = [*response.headers, ("Content-Length", str(len(response.body)))]
        if last:
            fields.append(("Connection", "close"))
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        events: list[h11.Event] = [h11.Response(status_code=response.status, headers=headers)]
        if self._method != "HEAD":
            events.append(h11.Data(data=response.body))
        events.append(h11.EndOfMessage())
        self._socket.sendall(b"".join([self._http.send(event) or b"" for event in events]))  # at once: one packet if it fits

    def _refuse(self, refusal: ServiceError) -> None:
        self._send(service.answer(refusal, request_id=str(uuid.uuid4())), last=True)
        # Closing on bytes that nobody read resets the connection, and the peer might never see the answer.
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.settimeout(LINGER)
        deadline = time.monotonic() + LINGER
        while time.monotonic() < deadline and self._socket.recv(256 * 1024):
            pass


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
