"""A container behind a URL: each call of an endpoint is forwarded to it.

    POST <url>/invocations    the body and the headers that SageMaker passes on; the body of a 2xx
                              response is the reply, part by part as it arrives, and any other
                              response is an error of the model
    GET  <url>/ping           200 once the container is ready

A container that does not accept a connection did not run the model, so the call may be tried again
(503). One that accepts it and does not answer may have run the model (424).
"""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from smruntime_core import InvokeEndpoint, ServiceUnavailable
from smruntime_core.service import header_names

from ._container import ContainerReply, ContainerTimeout, Refusal

MODEL_TIMEOUT: Final = 60.0  # seconds, as SageMaker allows a model
PING_TIMEOUT: Final = 2.0  # seconds
READ_SIZE: Final = 64 * 1024  # bytes
MAX_MESSAGE_SIZE: Final = 2048  # bytes of an error, as in the service's model

FORWARDED_MEMBERS: Final = (
    "content_type",
    "accept",
    "custom_attributes",
    "target_model",
    "inference_id",
    "enable_explanations",
    "session_id",
)
CUSTOM_ATTRIBUTES_HEADER: Final = "X-Amzn-SageMaker-Custom-Attributes"
NEW_SESSION_HEADER: Final = "X-Amzn-SageMaker-New-Session-Id"
CLOSED_SESSION_HEADER: Final = "X-Amzn-SageMaker-Closed-Session-Id"


class Backend:
    """The container at `url` ("http://127.0.0.1:8080"); raises `ValueError` for an invalid URL."""

    def __init__(self, url: str, *, timeout: float = MODEL_TIMEOUT) -> None:
        url_parts = urlsplit(url)
        is_http = url_parts.scheme in ("http", "https") and url_parts.hostname
        if not is_http or url_parts.query or url_parts.fragment or url_parts.username:
            raise ValueError(
                f"backends: {url!r} must be an http:// or https:// URL of host, port and path"
            )
        self._connection_type = HTTPSConnection if url_parts.scheme == "https" else HTTPConnection
        self._container_host: str = url_parts.hostname or ""
        self._container_port = url_parts.port
        self._base_path = url_parts.path.rstrip("/")
        self._timeout = timeout

    def find_problem(self) -> str | None:
        """Return why the container is not ready; None if it is."""
        connection = self._make_connection(PING_TIMEOUT)
        try:
            connection.request("GET", f"{self._base_path}/ping")
            status_code = connection.getresponse().status
        except (OSError, HTTPException) as error:
            return f"it does not answer: {error or type(error).__name__}"
        finally:
            connection.close()
        return None if status_code == 200 else f"it answers {status_code}"

    def respond(self, call: InvokeEndpoint) -> ContainerReply:
        """Forward `call` and return the reply.

        Raises `ServiceUnavailable` if the container refuses the connection, otherwise `Refusal`.
        """
        connection = self._make_connection(self._timeout)
        try:
            response = self._forward_call(connection, call)
        except BaseException:
            connection.close()
            raise
        return ContainerReply(
            _read_header(response, "Content-Type"),
            self._read_parts(connection, response),
            _read_header(response, CUSTOM_ATTRIBUTES_HEADER),
            _read_header(response, NEW_SESSION_HEADER),
            _read_header(response, CLOSED_SESSION_HEADER),
        )

    def _make_connection(self, timeout: float) -> HTTPConnection:
        return self._connection_type(self._container_host, self._container_port, timeout=timeout)

    def _forward_call(self, connection: HTTPConnection, call: InvokeEndpoint) -> HTTPResponse:
        try:
            connection.connect()
        except OSError as error:
            message = f"The container of {call.endpoint_name} does not listen: {error}."
            raise ServiceUnavailable(message) from error
        header_fields = {
            header_names(type(call))[member]: value
            for member, value in vars(call).items()
            if member in FORWARDED_MEMBERS and value is not None
        }
        try:
            connection.request("POST", f"{self._base_path}/invocations", call.body, header_fields)
            response = connection.getresponse()
            if not 200 <= response.status < 300:
                error_message = response.read(MAX_MESSAGE_SIZE).decode("utf-8", "replace")
                raise Refusal(response.status, error_message)
        except (OSError, HTTPException) as error:
            raise self._make_refusal(error) from error
        return response

    def _read_parts(self, connection: HTTPConnection, response: HTTPResponse) -> Iterator[bytes]:
        try:
            while part := response.read1(READ_SIZE):
                yield part
            if response.length:  # read1 does not raise for a body that is cut short
                raise HTTPException("the body is cut short")
        except (OSError, HTTPException) as error:
            raise self._make_refusal(error) from error
        finally:
            connection.close()

    def _make_refusal(self, error: Exception) -> Refusal:
        if isinstance(error, TimeoutError):
            return ContainerTimeout(self._timeout)
        return Refusal(0, f"The container broke off: {error or type(error).__name__}.")


def _read_header(response: HTTPResponse, name: str) -> str | None:
    """Return a header of the container; None if it is missing or cannot be passed on."""
    header_value = (response.getheader(name) or "").strip()
    is_printable = header_value.isascii() and header_value.isprintable()
    return header_value if header_value and is_printable else None
