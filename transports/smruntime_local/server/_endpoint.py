"""The server: it accepts connections and gives each of them a slot and a thread.

listen queue ──> slot ──> thread: TLS, HTTP ──> request handler ──> model
                 _slots           _connection   hosting/            models/
"""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext, suppress
from types import TracebackType
from typing import Final

from smruntime_core import Credentials, Scope

from ..hosting._endpoint_config import MODEL_SECONDS, EndpointConfig
from ..hosting._faults import UnusedStepsError
from ..hosting._model_host import ModelHost
from ..hosting._model_sources import check_endpoint_name, make_backend, make_builtin_models
from ..hosting._recorder import Recorder, Recording
from ..hosting._recording_file import RecordingPath
from ..hosting._replay import Replay
from ..hosting._request_handler import RequestHandler
from ..hosting._routing import HostedEndpoint, Router, SingleModel
from ..hosting._stream_behavior import StreamBehavior, parse_cut
from ..models._call import Call
from ..models._container import Model
from ..models._function import ModelFunction
from ..models._sessions import SESSION_LIFETIME
from ._connection import LINGER_SECONDS, ServerConnection
from ._limits import DEFAULT_LIMITS, ServerLimits
from ._slots import ConnectionSlots

DEFAULT_REGION: Final = "us-east-1"
LISTEN_BACKLOG: Final = 1024  # connections that the system holds until there is a slot
RETRY_SECONDS: Final = 0.05  # until the system may have descriptors or threads again
KEY_ID_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def serve(
    *,
    port: int = 0,
    region: str | None = None,
    credentials: Credentials | None = None,
    tls: ssl.SSLContext | None = None,
    models: Mapping[str, ModelFunction] | None = None,
    endpoints: Mapping[str, EndpointConfig] | None = None,
    backends: Mapping[str, str] | None = None,
    replay: RecordingPath | None = None,
    replay_delays: bool = False,
    record: Recording | None = None,
    cut: str = "aligned",
    session_seconds: float = SESSION_LIFETIME,
    max_connections: int = DEFAULT_LIMITS.max_connections,
    max_body: int = DEFAULT_LIMITS.max_body,
    head_seconds: float = DEFAULT_LIMITS.head_seconds,
    body_seconds: float = DEFAULT_LIMITS.body_seconds,
    idle_seconds: float = DEFAULT_LIMITS.idle_seconds,
    send_seconds: float = DEFAULT_LIMITS.send_seconds,
) -> Endpoint:
    """Start serving on loopback; `close()` or the end of a `with` block stops it.

    `port` 0 is any free port; `region` is us-east-1, or that of `record`, unless it is given.
    `models` are endpoints by name, beside the built-in ones: functions from a `Call` to bytes,
    text, a JSON value, an output or a generator of parts (`models/_function.py`). `endpoints` are
    endpoints with variants, several models or inference components (`EndpointConfig`). `backends`
    are endpoints by name, too: URLs of containers that implement SageMaker's contract, as
    "http://127.0.0.1:8080"; one that is not ready causes a warning. `replay` is a recording whose
    endpoints answer as recorded, with `replay_delays` after the recorded times; there are no
    built-in ones then. `record` passes every call on and writes it down (`Recording`); it goes
    without models. `cut` is how streams are cut unless a call sets it (see
    `hosting/_stream_behavior.py`). `session_seconds` is the lifetime of a session of `chat`.

    These limit what peers can cost:

    max_connections    open at once. One more closes the connection that has waited longest for a
                       request, but at least a second; while all serve requests, it waits.
    max_body           bytes of a request's body; a larger one is refused (413).
    head_seconds       from the connection, or the first byte of a further request, to the end of
                       its head, the TLS handshake included (408, or closed if nothing arrived).
    body_seconds       for the body of a request (408).
    idle_seconds       between two requests of a connection.
    send_seconds       for 256 KiB of a response, or what is left of it.

    A body of more than 64 KiB, or of unknown size, is refused from its head (403) if the request
    has no signature, or one of other credentials. Raises `ValueError` for an invalid argument and
    `OSError` if the port cannot be used.
    """
    limits = ServerLimits(
        max_connections, max_body, head_seconds, body_seconds, idle_seconds, send_seconds
    ).validated()
    behavior = parse_cut(cut, StreamBehavior())
    builtin_models = make_builtin_models(session_seconds)
    hosted = _host(builtin_models, models, endpoints, backends)
    if record is not None and (hosted or replay is not None):
        raise ValueError("record: passes every call on; leave out models, backends and replay")
    if record is None and replay is None:
        hosted = _host_alone(builtin_models) | hosted
    closing_event = threading.Event()
    replayed = None
    if replay is not None:
        replayed = Replay(replay, delays=replay_delays, sleep=closing_event.wait)
        _refuse_both(replayed.endpoint_names, hosted)
    signing_credentials = credentials or _generate_credentials()
    with ExitStack() as stack:
        recorder = None
        if record is not None:
            recorder = Recorder(record)
            stack.callback(recorder.close)
            region = region or recorder.region
        endpoint = Endpoint(
            hosted,
            builtin_models,
            port,
            region or DEFAULT_REGION,
            signing_credentials,
            tls,
            behavior,
            limits,
            closing_event,
            replayed,
            recorder,
        )
        stack.pop_all()  # the endpoint closes the recorder
    return endpoint


def _host_alone(models: Mapping[str, Model]) -> dict[str, HostedEndpoint]:
    return {name: SingleModel(model) for name, model in models.items()}


def _host(
    builtin_models: Mapping[str, Model],
    models: Mapping[str, ModelFunction] | None,
    endpoints: Mapping[str, EndpointConfig] | None,
    backends: Mapping[str, str] | None,
) -> dict[str, HostedEndpoint]:
    """Return the endpoints by name; a later one replaces an earlier one of that name."""
    hosted: dict[str, HostedEndpoint] = {}
    for name, url in (backends or {}).items():
        check_endpoint_name(name)
        hosted[name] = SingleModel(make_backend(name, url, MODEL_SECONDS))
    configs = {name: EndpointConfig(model=function) for name, function in (models or {}).items()}
    for name, config in (configs | dict(endpoints or {})).items():
        check_endpoint_name(name)
        hosted[name] = Router(name, config, builtin_models)
    return hosted


def _refuse_both(replayed_names: list[str], hosted: Mapping[str, HostedEndpoint]) -> None:
    """Raise `ValueError` for an endpoint that has both a model and recorded exchanges."""
    common_names = sorted(set(replayed_names) & set(hosted))
    if common_names:
        raise ValueError(f"replay: {common_names[0]} is in the recording and has a model, too")


def _generate_credentials() -> Credentials:
    random_letters = "".join(secrets.choice(KEY_ID_ALPHABET) for _ in range(16))
    secret_access_key, session_token = secrets.token_urlsafe(30), secrets.token_urlsafe(90)
    return Credentials(f"ASIA{random_letters}", secret_access_key, session_token)


class Endpoint:
    """A running server, with its `url` and the `region` and `credentials` to sign with."""

    def __init__(
        self,
        hosted_endpoints: Mapping[str, HostedEndpoint],
        builtin_models: Mapping[str, Model],
        port: int,
        region: str,
        credentials: Credentials,
        tls: ssl.SSLContext | None,
        stream_behavior: StreamBehavior,
        limits: ServerLimits,
        closing_event: threading.Event,
        replay: Replay | None,
        recorder: Recorder | None,
    ) -> None:
        self.region: str = region
        self.credentials: Credentials = credentials
        self.scope: Scope = Scope(region, "sagemaker")
        self._builtin_models = builtin_models
        self._tls_context = tls
        self._limits = limits
        self._slots = ConnectionSlots(limits.max_connections)
        self._closing_event = closing_event
        self._listener = socket.create_server(("127.0.0.1", port), backlog=LISTEN_BACKLOG)
        self._address: tuple[str, int] = self._listener.getsockname()
        actual_port = self._address[1]
        self.url: str = (
            f"https://localhost:{actual_port}" if tls else f"http://127.0.0.1:{actual_port}"
        )
        self._model_host = ModelHost(
            hosted_endpoints,
            region=region,
            url=self.url,
            stream_behavior=stream_behavior,
            sleep=closing_event.wait,
            replay=replay,
            recorder=recorder,
        )
        self._request_handler = RequestHandler(
            self._model_host, credentials, self.scope, url=self.url
        )
        self._acceptor_thread = threading.Thread(
            target=self._accept_connections, name="smruntime_local", daemon=True
        )
        self._acceptor_thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which boto3, the AWS CLI and our clients find this endpoint."""
        return {
            "AWS_ACCESS_KEY_ID": self.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_access_key,
            "AWS_SESSION_TOKEN": self.credentials.session_token or "",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.url,
            "AWS_ENDPOINT_URL_S3": f"{self.url}/s3",
        }

    @property
    def requests_seen(self) -> int:
        """The number of requests, refused ones included, without those that need no signature."""
        return self._request_handler.requests_seen

    @property
    def calls(self) -> tuple[Call, ...]:
        """The newest calls as the containers received them, at most 1000 or 64 MiB of bodies."""
        return self._model_host.calls.snapshot()

    @property
    def sessions_opened(self) -> int:
        """The number of sessions that the containers have opened."""
        return self._model_host.sessions_opened

    def add(self, endpoint_name: str, model: ModelFunction | str | EndpointConfig) -> None:
        """Add an endpoint while the server runs, or replace the one of that name.

        `model` is what `EndpointConfig.model` takes, or a whole `EndpointConfig`. Raises
        `ValueError`.
        """
        check_endpoint_name(endpoint_name)
        config = model if isinstance(model, EndpointConfig) else EndpointConfig(model=model)
        router = Router(endpoint_name, config, self._builtin_models)
        self._model_host.add_endpoint(endpoint_name, router)

    @property
    def endpoint_names(self) -> list[str]:
        """The names of the endpoints, in order."""
        return self._model_host.endpoint_names

    def count_calls(self, endpoint_name: str | None = None) -> int:
        """Return how many calls the models of an endpoint have received; None: of all."""
        return self._model_host.calls.count(endpoint_name)

    def reset(self) -> None:
        """Forget calls, scripts, objects, and endpoints that were added since the start."""
        self._model_host.reset()

    def check_scripts(self) -> None:
        """Raise `UnusedStepsError` if a step of a script was not used."""
        self._model_host.scripts.raise_unused()

    def script(self, endpoint_name: str, *steps: object) -> None:
        """Let the next requests to an endpoint go as `steps` say, one each; a retry is a request.

        A step is one of `hosting/_faults.py`, a `ServiceError`, or a value that a model could
        return. Raises `ValueError` for an endpoint that does not exist, and `TypeError` for a
        value that no model could return.
        """
        self._model_host.add_steps(endpoint_name, steps)

    def fetch(self, location: str) -> bytes | None:
        """Return the object at `location`; None if there is none.

        Objects are outputs and failures of `InvokeEndpointAsync`, and what `put` stored.
        """
        return self._model_host.store.get(location)

    def put(self, location: str, data: bytes) -> None:
        """Store an input of `InvokeEndpointAsync` at `location` ("s3://bucket/key").

        `client.upload_input` does the same where `s3_endpoint_url` is `url` + "/s3".
        """
        self._model_host.store.put(location, data)

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        unused_steps = suppress(UnusedStepsError) if exception else nullcontext()
        with unused_steps:  # the exception of the block says more
            self.close()

    def close(self) -> None:
        """Stop listening, close every connection and end the workers.

        Raises `UnusedStepsError` if a step of a script was not used.
        """
        if self._closing_event.is_set():
            return
        self._closing_event.set()
        self._model_host.close()
        serving_threads = self._slots.close()
        # Only a connection wakes accept() on every platform.
        with suppress(OSError), socket.create_connection(self._address, 1.0):
            pass
        self._acceptor_thread.join(LINGER_SECONDS)
        self._listener.close()
        for serving_thread in serving_threads:
            serving_thread.join(LINGER_SECONDS)
        self._model_host.close_recording()
        self._model_host.scripts.raise_unused()

    def _accept_connections(self) -> None:
        while not self._closing_event.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                time.sleep(RETRY_SECONDS)  # out of file descriptors, or the peer closed already
                continue
            if not self._start_serving(connection):
                connection.close()

    def _start_serving(self, accepted: socket.socket) -> bool:
        """Serve a connection in a new thread; return False if the endpoint or the peer closed."""
        try:
            connection = self._wrap_tls(accepted)
        except OSError:  # the peer closed the connection
            return False
        thread = threading.Thread(target=self._serve_connection, args=(connection,), daemon=True)
        if not self._slots.acquire(connection, thread):
            connection.close()
            return False
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._slots.release(connection)
            connection.close()
            time.sleep(RETRY_SECONDS)
        return True

    def _wrap_tls(self, connection: socket.socket) -> socket.socket:
        if self._tls_context is None:
            return connection
        return self._tls_context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )

    def _serve_connection(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):  # the peer closed, sent no TLS or was too slow
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                scheme = "https" if self._tls_context else "http"
                server_connection = ServerConnection(
                    connection,
                    scheme,
                    self._request_handler,
                    self._limits,
                    self._slots,
                    self._closing_event.wait,
                )
                if isinstance(connection, ssl.SSLSocket):
                    connection.settimeout(self._limits.head_seconds)
                    connection.do_handshake()
                server_connection.run()
        finally:
            self._slots.release(connection)
            connection.close()
