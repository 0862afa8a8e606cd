"""The blocking client over urllib3: its pools and its TLS, for programs that have urllib3 anyway.

urllib3 does what it is asked and no more: no redirects, no retries of its own, no decompression, no header of its own but
those that frame the message. Its reading of responses is http.client's, which is laxer than the sockets transport's.
"""

from __future__ import annotations

import ssl
import time
from typing import Unpack, cast

try:
    import urllib3
    from urllib3.exceptions import (
        ConnectTimeoutError,
        HTTPError,
        IncompleteRead,
        NameResolutionError,
        NewConnectionError,
        ProtocolError,
        ReadTimeoutError,
        SSLError,
    )
    from urllib3.util import SKIP_HEADER, Timeout
except ImportError as error:
    raise ImportError("smruntime_transports.urllib3 needs urllib3: pip install 'smruntime-core[urllib3]'") from error

from smruntime_core import Credentials, DispatchFailure, GetCredentials, Open, Receive, Response, Send, Sleep, StreamingResponse
from smruntime_core._errors import Delivery, Kind, Phase
from smruntime_core._http1 import MAX_ERROR_BODY, write
from smruntime_core._url import host_and_port, split

from ._client import Settings, SyncClient, build

PIECE = 64 * 1024


class Urllib3IO:
    """Answers effects with a `urllib3.PoolManager`. Safe for threads."""

    def __init__(self, credentials: Credentials, pools: urllib3.PoolManager) -> None:
        self._credentials = credentials
        self._pools = pools

    def credentials(self, effect: GetCredentials, /) -> Credentials:
        return self._credentials

    def sleep(self, effect: Sleep, /) -> None:
        time.sleep(effect.seconds)

    def send(self, effect: Send, /) -> Response:
        response = self._begin(effect)
        try:
            return _read(response)
        except HTTPError as error:
            raise _failure(error, response.status) from None
        finally:
            response.close()  # back in the pool already if it was read to its end

    def open(self, effect: Open, /) -> StreamingResponse:
        response = self._begin(effect)
        return StreamingResponse(response.status, _headers(response), OpenBody(response))

    def receive(self, effect: Receive, /) -> bytes:
        """urllib3 fixed the time to wait when the request was sent: the limit on the head serves for every piece as well."""
        body = effect.body
        assert isinstance(body, OpenBody), "a body that this IO opened"  # noqa: S101 - a mistake of the caller's
        try:
            # one look at the socket, however little it has: `read` and `stream` wait until the amount is there
            data = body.response.read1(PIECE, decode_content=False)
        except HTTPError as error:
            body.abort()
            raise _failure(error, body.response.status) from None
        except BaseException:
            body.abort()
            raise
        if not data:
            body.response.release_conn()
        return data or b""

    def _begin(self, effect: Send | Open) -> urllib3.BaseHTTPResponse:
        request, phases = effect.request, effect.phases
        (scheme, authority), _ = write(request)  # refuses what HTTP/1.1 cannot carry; http.client is laxer
        _, _, path, query = split(request.url)
        headers = urllib3.HTTPHeaderDict({"Accept-Encoding": SKIP_HEADER, "User-Agent": SKIP_HEADER})
        for name in {name for name, _ in request.headers}:
            headers.pop(name, None)
        for name, value in request.headers:
            headers.add(name, value)
        if effect.fresh:
            self._pools.clear()
        try:
            host, port = host_and_port(scheme, authority)
            return self._pools.connection_from_host(host, port, scheme).urlopen(
                request.method,
                f"{path}?{query}" if query else path,
                body=cast("bytes", request.body),  # any buffer will do, whatever the stubs say
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                timeout=Timeout(total=effect.timeout, connect=phases.connect, read=phases.response),
            )
        except HTTPError as error:
            raise _failure(error, None) from None


class OpenBody:
    """A body that is being read."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self.response = response

    def abort(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self.response.close()


def _headers(response: urllib3.BaseHTTPResponse) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in response.headers.iteritems())


def _read(response: urllib3.BaseHTTPResponse) -> Response:
    """The whole body, an error's up to its limit."""
    status, headers = response.status, _headers(response)
    if status < 300:
        return Response(status, headers, response.read(decode_content=False))
    body, truncated = b"", False
    try:
        while not truncated and (piece := response.read(PIECE, decode_content=False)):
            body += piece
            truncated = len(body) > MAX_ERROR_BODY
    except HTTPError:
        truncated = True
    return Response(status, headers, body[:MAX_ERROR_BODY], truncated)


def _failure(error: HTTPError, status: int | None) -> DispatchFailure:
    """What urllib3's exception says in our terms. It does not tell what it had sent, so doubt means `maybe_sent`."""
    kind: Kind = "protocol"
    phase: Phase = "head" if status is None else "body"
    delivery: Delivery = "maybe_sent" if status is None else "answered"
    text = str(error)
    match error:
        case ConnectTimeoutError() if not isinstance(error, NewConnectionError):
            kind, phase, delivery = "timeout", "connect", "not_sent"
        case NameResolutionError():
            kind, phase, delivery = "refused", "resolve", "not_sent"
        case NewConnectionError():
            kind, phase, delivery = "refused", "connect", "not_sent"
        case SSLError() if status is None:
            kind, phase, delivery = "tls", "tls", "not_sent"
        case ReadTimeoutError():
            kind = "timeout"
        case IncompleteRead():
            kind = "truncated"
        case ProtocolError():
            cause = error.args[-1]
            if isinstance(cause, IncompleteRead) or (status is not None and "incomplete" in text.lower()):
                kind = "truncated"
            elif isinstance(cause, ConnectionResetError | BrokenPipeError):
                kind = "reset"
            elif "RemoteDisconnected" in text:
                kind = "closed"
        case _:
            pass
    return DispatchFailure(f"urllib3: {text}", kind=kind, phase=phase, delivery=delivery, status=status)


class Client(SyncClient):
    """SageMaker Runtime over urllib3.

    `pools` is a `urllib3.PoolManager` of yours, which stays yours to close; without one the client makes its own, trusting `tls`
    (default: the system's certificates). Raises `ConstructionError` for settings that cannot work.
    """

    def __init__(
        self,
        *,
        pools: urllib3.PoolManager | None = None,
        tls: ssl.SSLContext | None = None,
        **settings: Unpack[Settings],
    ) -> None:
        runtime, credentials = build(settings)
        self._own = None if pools else urllib3.PoolManager(maxsize=10, ssl_context=tls)
        super().__init__(runtime, Urllib3IO(credentials, pools or self._own or urllib3.PoolManager()))

    def close(self) -> None:
        if self._own is not None:
            self._own.clear()
