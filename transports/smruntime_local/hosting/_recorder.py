"""The recorder: it passes calls on to an endpoint elsewhere and writes them down.

    client ── signed for the local endpoint ──> recorder ── signed anew ──> upstream
                                                   └──> recording (`_recording_file`)

Upstream requests are built from the members of the operation and signed with the recorder's own
credentials, by default those that a client would find. Each is sent once: retries are the client's,
and are recorded one by one. Nothing is recorded of a request that upstream did not answer.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from smruntime_core import (
    ConstructionError,
    Credentials,
    DispatchFailure,
    InvokeEndpointWithResponseStream,
    Operation,
    Output,
    Request,
    Response,
    RetryPolicy,
    Scope,
    ServiceError,
    SmRuntimeError,
    StreamError,
    Timeouts,
    service,
    sign,
)
from smruntime_core.effects import Open, Receive, Send, StreamingResponse
from smruntime_core.eventstream import NEED_DATA, EventStreamDecoder, Message

from ._recording_file import (
    MAX_EXCHANGE_SIZE,
    RecordedBody,
    RecordedEvent,
    RecordedExchange,
    RecordedResponse,
    RecordingPath,
    Redaction,
    members_of,
    write_exchange,
    write_header,
    write_skipped,
)
from ._stream_behavior import Hangup, StreamedResponse

if TYPE_CHECKING:
    from smruntime_core.credentials import ProviderLike
    from smruntime_transports.sockets import Client, SocketIO

BODY_NAMES: Final = ("request-bodies", "response-bodies")
MAX_BODY: Final = 256 * 1024 * 1024  # bytes of a response that is not streamed
MAX_ERROR_SIZE: Final = 1024 * 1024  # bytes of a refused stream
REDACTED: Final = "redacted"
KEPT_HEADERS: Final = (
    "content-type",
    "retry-after",
    "x-amz-retry-after",
    "x-amzn-errortype",
    "x-amzn-requestid",
)
TIMEOUTS: Final = Timeouts()


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Where calls are passed on to, and the new file that they are written to.

    path          file to create; one that exists is not overwritten
    upstream      URL of the endpoint; None for that of the region
    region        to sign for; None for that of the environment or profile
    credentials   as of a client; None for those that a client would find
    redact        what the file leaves out: "request-bodies", "response-bodies", and names of
                  members, such as "custom_attributes"
    """

    path: RecordingPath
    upstream: str | None = None
    region: str | None = None
    credentials: ProviderLike | None = None
    redact: Iterable[str] = ()

    def redaction(self) -> Redaction:
        """Return what `redact` says; raises `ValueError` for a name that it does not know."""
        names = frozenset(self.redact)
        known = {name for kind in service.OPERATIONS for name in service.header_names(kind)}
        known |= {name for kind in service.OPERATIONS for name in service.header_names(kind.output)}
        unknown_names = sorted(names - known - set(BODY_NAMES))
        if unknown_names:
            allowed = ", ".join((*BODY_NAMES, *sorted(known)))
            raise ValueError(f"redact: unknown name {unknown_names[0]!r}; known are {allowed}")
        return Redaction(
            request_bodies=BODY_NAMES[0] in names,
            response_bodies=BODY_NAMES[1] in names,
            members=names - set(BODY_NAMES),
        )


class Recorder:
    """The calls of a local endpoint, passed on and written down; thread-safe.

    Raises `ConstructionError` for settings that cannot work, `CredentialsError` if there are no
    credentials, and `OSError` if the file exists or cannot be created.
    """

    def __init__(self, recording: Recording) -> None:
        self._redaction = recording.redaction()
        self._client, self._io, region = _connect_upstream(recording)
        self.region: str = region
        self._scope = Scope(region, "sagemaker")
        self._url: str = self._client.endpoint_url or ""
        self._lock = threading.Lock()
        self._secrets: set[str] = set()
        self._find_credentials()
        self._file = os.fdopen(
            os.open(recording.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600),
            "w",
            encoding="utf-8",
            newline="\n",
        )
        self._write(write_header())

    def close(self) -> None:
        """Close the file and the connections."""
        with self._lock:
            self._file.close()
        self._client.close()
        self._io.wire.close()

    def respond(self, operation: Operation[Output]) -> Response | StreamedResponse:
        """Return the response of upstream; raise `ServiceError` if there is none."""
        started = time.monotonic()
        try:
            request = self._sign(operation.request(self._url))
            if isinstance(operation, InvokeEndpointWithResponseStream):
                return self._open_stream(operation, request, started)
            response = self._io.send(Send(request, None, TIMEOUTS, max_body=MAX_BODY))
        except DispatchFailure as failure:
            raise _make_upstream_error(failure) from failure
        except SmRuntimeError as failure:  # of the credentials
            raise ServiceError(str(failure), code="UpstreamFailure", status=500) from failure
        return self._record_whole(operation, response, started)

    def _open_stream(
        self, operation: Operation[Output], request: Request, started: float
    ) -> Response | StreamedResponse:
        opened = self._io.open(Open(request, None, TIMEOUTS))
        head = Response(opened.status, opened.headers)
        if not 200 <= opened.status < 300:
            error_body = self._receive_error(opened)
            return self._record_whole(operation, head.replace(body=error_body), started)
        kept_head = head.replace(headers=self._keep_headers(operation, head))
        events = self._pass_events(operation, opened, kept_head, started)
        next(events)  # begun, so that it is closed even if the client is gone already
        return StreamedResponse(kept_head, events)

    def _receive_error(self, opened: StreamingResponse) -> bytes:
        """Return the body of an error, at most `MAX_ERROR_SIZE` bytes."""
        error_body = b""
        with closing(self._receive(opened)) as pieces:
            for data in pieces:
                error_body += data
                if len(error_body) > MAX_ERROR_SIZE:
                    break
        return error_body[:MAX_ERROR_SIZE]

    def _receive(self, opened: StreamingResponse) -> Generator[bytes]:
        """Yield the body as it arrives; the connection is closed if it is not read to its end."""
        try:
            while data := self._io.receive(Receive(opened.body, None, TIMEOUTS)):
                yield data
        finally:
            opened.body.abort()

    def _pass_events(
        self,
        operation: Operation[Output],
        opened: StreamingResponse,
        head: Response,
        started: float,
    ) -> Generator[bytes]:
        """Yield b"", then the body unchanged; write its events down, however it ends."""
        reader, ended = _EventReader(started), False
        head_seconds = time.monotonic() - started
        try:
            with closing(self._receive(opened)) as pieces:
                yield b""
                for data in pieces:
                    reader.read(data)
                    yield data
            ended = True
        except DispatchFailure:
            raise Hangup from None
        finally:
            opened.body.abort()
            self._record(
                operation,
                RecordedResponse(
                    head_seconds,
                    head.status,
                    head.headers,
                    events=tuple(reader.events),
                    ended=ended and not reader.is_broken,
                ),
                reader.size,
            )

    def _record_whole(
        self, operation: Operation[Output], response: Response, started: float
    ) -> Response:
        kept = response.replace(headers=self._keep_headers(operation, response))
        if kept.status >= 400:  # a refused signature is answered with all that was signed
            error_text = kept.body.decode("utf-8", "replace")
            kept = kept.replace(body=self._hide_secrets(error_text).encode())
        recorded = RecordedResponse(
            time.monotonic() - started, kept.status, kept.headers, kept.body
        )
        self._record(operation, recorded, len(kept.body))
        return kept

    def _record(
        self, operation: Operation[Output], response: RecordedResponse, response_size: int
    ) -> None:
        body = bytes(vars(operation).get("body") or b"")
        size = len(body) + response_size
        if size > MAX_EXCHANGE_SIZE:
            name = f"{type(operation).__name__} of {members_of(operation)['endpoint_name']}"
            self._write(write_skipped(f"{name}: {size} bytes, more than {MAX_EXCHANGE_SIZE}"))
            return
        hidden_names = {
            wire_name.lower()
            for name, wire_name in service.header_names(operation.output).items()
            if name in self._redaction.members
        }
        headers = tuple(
            (name, REDACTED if name.lower() in hidden_names else value)
            for name, value in response.headers
        )
        recorded = dataclasses.replace(response, headers=headers)
        exchange = RecordedExchange(
            type(operation).__name__, members_of(operation), RecordedBody(body), recorded
        )
        self._write(self._hide_secrets(write_exchange(exchange, self._redaction)))

    def _keep_headers(
        self, operation: Operation[Output], response: Response
    ) -> tuple[tuple[str, str], ...]:
        """Return the headers of the output's members and a few more; no cookies."""
        names = {name.lower() for name in service.header_names(operation.output).values()}
        names |= set(KEPT_HEADERS)
        return tuple(pair for pair in response.headers if pair[0].lower() in names)

    def _sign(self, request: Request) -> Request:
        signature = sign(request, self._find_credentials(), self._scope, now=time.time())
        return request.replace(headers=(*request.headers, *signature.headers))

    def _find_credentials(self) -> Credentials:
        """Return current credentials, and remember what must not be written down."""
        credentials = self._client.credentials()
        self._secrets |= {
            secret
            for secret in (
                credentials.access_key_id,
                credentials.secret_access_key,
                credentials.session_token,
            )
            if secret
        }
        return credentials

    def _hide_secrets(self, text: str) -> str:
        for secret in tuple(self._secrets):
            text = text.replace(secret, f"<{REDACTED}>")
        return text

    def _write(self, line: str) -> None:
        with self._lock:
            if not self._file.closed:  # a stream may end after the endpoint
                self._file.write(line)
                self._file.flush()


class _EventReader:
    """The events of a stream that passes by, with their times."""

    def __init__(self, started: float) -> None:
        self.events: list[RecordedEvent] = []
        self.size: int = 0
        self.is_broken: bool = False
        self._started = started
        self._decoder = EventStreamDecoder()

    def read(self, data: bytes) -> None:
        """Read the next bytes; keep no events beyond the limit of an exchange."""
        self.size += len(data)
        if self.is_broken or self.size > MAX_EXCHANGE_SIZE:
            self.events = []
            return
        self._decoder.receive_data(data)
        try:
            while isinstance(found := self._decoder.next_event(), Message):
                seconds = time.monotonic() - self._started
                headers = {name: str(value) for name, value in found.headers.items()}
                self.events.append(RecordedEvent(seconds, headers, bytes(found.payload)))
            assert found is NEED_DATA  # noqa: S101 - the only other result
        except StreamError:
            self.is_broken = True


def _connect_upstream(recording: Recording) -> tuple[Client, SocketIO, str]:
    """Return a client that finds settings and credentials, an IO that sends, and the region."""
    from smruntime_core import run
    from smruntime_core.config import load_configuration
    from smruntime_transports.sockets import Client, SocketIO

    io = SocketIO.reading()
    configuration = run(
        load_configuration(dict(os.environ), home=os.path.expanduser("~"), windows=os.name == "nt"),
        io,
    )
    io.wire.trust(configuration.ca_bundle)
    client = Client(
        region=recording.region or configuration.region,
        endpoint_url=recording.upstream or configuration.endpoint_url,
        credentials=recording.credentials,
        retries=RetryPolicy(max_attempts=1),
    )
    client.credentials()  # reads the settings, and fails now rather than at the first call
    region = client.region
    if region is None:
        raise ConstructionError("region", "given, or found in the environment or profile")
    return client, io, region


def _make_upstream_error(failure: DispatchFailure) -> ServiceError:
    message = f"upstream did not answer: {failure}"
    return ServiceError(message, code="UpstreamFailure", status=502)
