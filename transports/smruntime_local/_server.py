"""The server: a thread a connection, and the gates that a request passes.

HTTP (`_connection`: 400 or 413, and the connection closes), signature (403; on one path a bearer token, `_openai`), protocol
(`service.read`: 400 or 404), and then the models (`_host`). Nothing looks at a request whose signature was not verified, but for
two that reveal nothing: `GET /ping`, and `GET /async/…` of an object whose name nobody can guess.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
import uuid
import warnings
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

from smruntime_core import Credentials, InvokeEndpoint, Request, Response, Scope, ServiceError, service, verify

from . import _openai
from ._connection import LINGER, Connection
from ._host import Answer, Host
from ._sessions import LIFETIME, Sessions
from ._streaming import Manner, how_to_cut
from .models import _echo, _iris, _ngram
from .models._backend import Backend
from .models._chat import Chat
from .models._container import Model


def serve(
    *,
    port: int = 0,
    region: str = "us-east-1",
    credentials: Credentials | None = None,
    tls: ssl.SSLContext | None = None,
    backends: Mapping[str, str] | None = None,
    cut: str = "aligned",
    session_seconds: float = LIFETIME,
) -> Endpoint:
    """Start serving on loopback; `close()` or the end of a `with` block stops it. Port 0 is any free one.

    `backends` are more endpoints by name: URLs of containers that speak SageMaker's contract, as "http://127.0.0.1:8080"; one
    that is not ready is warned of. `cut` is how streams are cut (see `_streaming`) unless a call says otherwise, and
    `session_seconds` how long a session of `chat` lives. Raises `ValueError` for what cannot be served.
    """
    manner = how_to_cut(cut, Manner())
    models = _built_in(session_seconds)
    for name, url in (backends or {}).items():
        models[name] = _backend(name, url)
    return Endpoint(models, port, region, credentials or _random_credentials(), tls, manner)


def _built_in(session_seconds: float) -> dict[str, Model]:
    _ngram.followers()  # before anybody asks: fifty threads at once would train it fifty times
    return {
        "chat": Chat(Sessions(lifetime=session_seconds)).answer,
        "echo": _echo.answer,
        "flaky": _echo.Flaky().answer,
        "iris": _iris.Classifier().answer,
        "ngram": _ngram.answer,
    }


def _backend(name: str, url: str) -> Model:
    InvokeEndpoint(endpoint_name=name, body=b"")  # raises for a name that nobody could call
    backend = Backend(url)
    if trouble := backend.trouble():
        warnings.warn(f"the container of {name} at {url} is not ready: {trouble}", RuntimeWarning, stacklevel=3)
    return backend.answer


def _random_credentials() -> Credentials:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    key_id = "ASIA" + "".join(secrets.choice(letters) for _ in range(16))
    return Credentials(key_id, secrets.token_urlsafe(30), secrets.token_urlsafe(90))


class Endpoint:
    """A running server: its `url`, the `region` and `credentials` to sign with, and how many requests it has seen."""

    def __init__(
        self, models: Mapping[str, Model], port: int, region: str, credentials: Credentials, tls: ssl.SSLContext | None, manner: Manner
    ) -> None:
        self.region = region
        self.credentials = credentials
        self.scope = Scope(region, "sagemaker")
        self.requests_seen = 0
        self._tls = tls
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._address: tuple[str, int] = self._listener.getsockname()
        self.url = f"https://localhost:{self._address[1]}" if tls else f"http://127.0.0.1:{self._address[1]}"
        self._host = Host(models, region=region, url=self.url, manner=manner, sleep=self._closing.wait)
        self._acceptor = threading.Thread(target=self._accept, name="smruntime_local", daemon=True)
        self._acceptor.start()

    @property
    def sessions_opened(self) -> int:
        """How many sessions the containers have opened since the start."""
        return self._host.sessions_opened

    def fetch(self, location: str) -> bytes | None:
        """The object at `location`: an answer or a failure of `InvokeEndpointAsync`, or what was `put`. None if it is not there."""
        return self._host.store.get(location)

    def put(self, location: str, data: bytes) -> None:
        """Keep `data` as the object at `location` ("s3://bucket/key"), for an `InvokeEndpointAsync` to read."""
        self._host.store.put(location, data)

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, cut every open connection and end the workers."""
        with self._lock:
            if self._closing.is_set():
                return
            self._closing.set()
            connections = list(self._open.items())
        self._host.close()
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
                if self._closing.is_set():
                    return
                time.sleep(0.05)  # out of file descriptors, or the peer left already
                continue
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()
            if self._closing.is_set():
                return

    def _converse(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):  # the peer left, or spoke no TLS: nobody to tell
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    if self._closing.is_set():
                        return
                    self._open[connection] = threading.current_thread()
                if isinstance(connection, ssl.SSLSocket):
                    connection.do_handshake()
                Connection(connection, "https" if self._tls else "http", self.answer).run()
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()

    def answer(self, request: Request) -> Answer:
        """What the service says to `request`, its signature verified before anything else."""
        if request.method == "GET" and (unsigned := self._unsigned(request)):
            return unsigned
        with self._lock:
            self.requests_seen += 1
        request_id = str(uuid.uuid4())
        known = {self.credentials.access_key_id: self.credentials}
        if _openai.concerns(request):
            try:
                call, streamed = _openai.read(request, known, self.scope, now=time.time())
                return self._host.relay(call, streamed=streamed, request_id=request_id)
            except ServiceError as refusal:
                return _openai.answer(refusal, request_id=request_id)
        try:
            verify(request, known, self.scope, now=time.time())
            return self._host.answer(service.read(request), request_id=request_id)
        except ServiceError as refusal:
            return service.answer(refusal, request_id=request_id)

    def _unsigned(self, request: Request) -> Response | None:
        """What anybody may ask for."""
        path = request.url.partition("://")[2].partition("?")[0].partition("/")[2]
        if path == "ping":
            return Response(200)
        if not path.startswith("async/"):
            return None
        found = self.fetch(f"{self.url}/{path}")
        return Response(404) if found is None else Response(200, (("Content-Type", "application/octet-stream"),), found)
