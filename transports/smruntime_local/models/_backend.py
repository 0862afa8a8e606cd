"""Any container that speaks SageMaker's contract, wherever it runs: an endpoint's calls forwarded to its URL.

    POST <url>/invocations    the body and the headers that SageMaker hands on; the body of a 2xx is the reply, part by part as
                              it arrives, and every other answer the model's error
    GET  <url>/ping           200 once the container is ready

A container that does not listen was not asked, so the call may be tried again (503); one that listens and does not answer may
have run the model (424).
"""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from smruntime_core import InvokeEndpoint, ServiceUnavailable
from smruntime_core.service import header_names

from ._container import Refusal, Reply, TimedOut

TIMEOUT = 60.0  # seconds, as SageMaker lets a model think
PING_TIMEOUT = 2.0
PIECE = 64 * 1024
MAX_MESSAGE = 2048  # bytes of an error, as in the service's model

HANDED_ON = (
    "content_type",
    "accept",
    "custom_attributes",
    "target_model",
    "inference_id",
    "enable_explanations",
    "session_id",
)
_ATTRIBUTES, _NEW, _CLOSED = (
    f"X-Amzn-SageMaker-{name}"
    for name in ("Custom-Attributes", "New-Session-Id", "Closed-Session-Id")
)


class Backend:
    """A container at `url` ("http://127.0.0.1:8080"); raises `ValueError` for what is no such URL."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise ValueError("a backend must be an http:// or https:// URL of host, port and path")
        self.url = url
        self._connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._timeout = timeout

    def trouble(self) -> str | None:
        """What is wrong with the container just now, None if it is ready."""
        connection = self._connection(self._host, self._port, timeout=PING_TIMEOUT)
        try:
            connection.request("GET", f"{self._path}/ping")
            status = connection.getresponse().status
        except (OSError, HTTPException) as fault:
            return f"it does not answer: {fault or type(fault).__name__}"
        finally:
            connection.close()
        return None if status == 200 else f"it answers {status}"

    def answer(self, call: InvokeEndpoint) -> Reply:
        """What the container says; raises `Refusal`, or `ServiceUnavailable` if nobody listens."""
        connection = self._connection(self._host, self._port, timeout=self._timeout)
        try:
            response = self._ask(connection, call)
        except BaseException:
            connection.close()
            raise
        return Reply(
            _text(response, "Content-Type"),
            self._parts(connection, response),
            _text(response, _ATTRIBUTES),
            _text(response, _NEW),
            _text(response, _CLOSED),
        )

    def _ask(self, connection: HTTPConnection, call: InvokeEndpoint) -> HTTPResponse:
        try:
            connection.connect()
        except OSError as fault:
            raise ServiceUnavailable(
                f"The container of {call.endpoint_name} does not listen: {fault}."
            ) from fault
        given = {
            header_names(type(call))[name]: value
            for name, value in vars(call).items()
            if name in HANDED_ON and value is not None
        }
        try:
            connection.request("POST", f"{self._path}/invocations", call.body, given)
            response = connection.getresponse()
            if not 200 <= response.status < 300:
                raise Refusal(
                    response.status, response.read(MAX_MESSAGE).decode("utf-8", "replace")
                )
        except (OSError, HTTPException) as fault:
            raise self._broken(fault) from fault
        return response

    def _parts(self, connection: HTTPConnection, response: HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := response.read1(PIECE):
                yield piece
            if (
                response.length
            ):  # of a body whose length was told, read1 does not say that it was cut short
                raise HTTPException("the body is cut short")
        except (OSError, HTTPException) as fault:
            raise self._broken(fault) from fault
        finally:
            connection.close()

    def _broken(self, fault: Exception) -> Refusal:
        if isinstance(fault, TimeoutError):
            return TimedOut(self._timeout)
        return Refusal(0, f"The container broke off: {fault or type(fault).__name__}.")


def _text(response: HTTPResponse, name: str) -> str | None:
    """A header of the container's, if it is one that can be handed on."""
    value = (response.getheader(name) or "").strip()
    return value if value and value.isascii() and value.isprintable() else None
