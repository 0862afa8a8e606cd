"""The server: it accepts connections and gives each a slot and a thread.

listen queue ──> slot ──> thread: TLS, HTTP ──> service ──> models
                 _slots           _connection   _service    _host
"""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

from smruntime_core import Credentials, InvokeEndpoint, Scope

from ._connection import LINGER, Connection
from ._host import Host
from ._limits import MAX_BODY, ServerLimits
from ._service import Service
from ._sessions import LIFETIME, Sessions
from ._slots import Slots
from ._streaming import Manner, how_to_cut
from .models import _echo, _iris, _ngram
from .models._backend import Backend
from .models._chat import Chat
from .models._container import Model

BACKLOG = 1024  # connections that the system holds until there is a slot
RETRY = 0.05  # seconds to wait for the system to have descriptors or threads again


def serve(
    *,
    port: int = 0,
    region: str = "us-east-1",
    credentials: Credentials | None = None,
    tls: ssl.SSLContext | None = None,
    backends: Mapping[str, str] | None = None,
    cut: str = "aligned",
    session_seconds: float = LIFETIME,
    max_connections: int = 256,
    max_body: int = MAX_BODY,
    head_seconds: float = 10.0,
    body_seconds: float = 60.0,
    idle_seconds: float = 300.0,
    send_seconds: float = 60.0,
) -> Endpoint:
    """Start serving on loopback; `close()` or the end of a `with` block stops it.

    `port` 0 is any free one. `backends` are more endpoints by name: URLs of containers that speak
    SageMaker's contract, as "http://127.0.0.1:8080"; one that is not ready causes a warning. `cut`
    is how streams are cut (see `_streaming`) unless a call says otherwise; `session_seconds` is how
    long a session of `chat` lives.

    These bound what peers can cost:

    max_connections    open at once. One more closes the connection that has waited longest for a
                       request, but at least a second; it waits itself while all are at work.
    max_body           bytes of a request's body; a larger one is refused (413).
    head_seconds       from the connection, or the first byte of a further request, to the end of
                       its head, the TLS handshake included (408, or closed if nothing has come).
    body_seconds       for the body of a request (408).
    idle_seconds       between two requests of a connection.
    send_seconds       for 256 KiB of an answer, or what is left of it.

    A body of more than 64 KiB, or of unknown size, is refused from its head (403) if the request
    has no signature, or one of other credentials. Raises `ValueError` for what cannot be served.
    """
    seconds = head_seconds, body_seconds, idle_seconds, send_seconds
    limits = ServerLimits(max_connections, max_body, *seconds).validated()
    manner = how_to_cut(cut, Manner())
    models = _built_in(session_seconds)
    for name, url in (backends or {}).items():
        models[name] = _backend(name, url)
    return Endpoint(models, port, region, credentials or _random_credentials(), tls, manner, limits)


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
        warnings.warn(
            f"the container of {name} at {url} is not ready: {trouble}",
            RuntimeWarning,
            stacklevel=3,
        )
    return backend.answer


def _random_credentials() -> Credentials:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    key_id = "ASIA" + "".join(secrets.choice(letters) for _ in range(16))
    return Credentials(key_id, secrets.token_urlsafe(30), secrets.token_urlsafe(90))


class Endpoint:
    """A running server, with its `url` and the `region` and `credentials` to sign with."""

    def __init__(
        self,
        models: Mapping[str, Model],
        port: int,
        region: str,
        credentials: Credentials,
        tls: ssl.SSLContext | None,
        manner: Manner,
        limits: ServerLimits,
    ) -> None:
        self.region = region
        self.credentials = credentials
        self.scope = Scope(region, "sagemaker")
        self._tls = tls
        self._limits = limits
        self._slots = Slots(limits.max_connections)
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self._address: tuple[str, int] = self._listener.getsockname()
        self.url = (
            f"https://localhost:{self._address[1]}"
            if tls
            else f"http://127.0.0.1:{self._address[1]}"
        )
        sleep = self._closing.wait
        self._host = Host(models, region=region, url=self.url, manner=manner, sleep=sleep)
        self._service = Service(self._host, credentials, self.scope, url=self.url)
        self._acceptor = threading.Thread(target=self._accept, name="smruntime_local", daemon=True)
        self._acceptor.start()

    @property
    def requests_seen(self) -> int:
        """How many requests have come, also refused ones; not those that need no signature."""
        return self._service.requests_seen

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, cut every open connection and end the workers."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._host.close()
        threads = self._slots.close()
        with suppress(OSError), socket.create_connection(self._address, 1.0):
            pass  # no other way to wake accept() works on every platform
        self._acceptor.join(LINGER)
        self._listener.close()
        for thread in threads:
            thread.join(LINGER)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                time.sleep(RETRY)  # out of file descriptors, or the peer left already
                continue
            if not self._start(connection):
                connection.close()

    def _start(self, accepted: socket.socket) -> bool:
        """Serve a connection in a thread of its own; return False if that cannot be done."""
        try:
            connection = self._secured(accepted)
        except OSError:  # the peer has left
            return False
        thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
        if not self._slots.enter(connection, thread):
            connection.close()
            return False
        try:
            thread.start()
        except RuntimeError:  # the system gives out no more threads
            self._slots.leave(connection)
            connection.close()
            time.sleep(RETRY)
        return True

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def _converse(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):  # the peer left, spoke no TLS or was too slow
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                scheme = "https" if self._tls else "http"
                http = Connection(connection, scheme, self._service, self._limits, self._slots)
                if isinstance(connection, ssl.SSLSocket):
                    connection.settimeout(self._limits.head_seconds)
                    connection.do_handshake()
                http.run()
        finally:
            self._slots.leave(connection)
            connection.close()
