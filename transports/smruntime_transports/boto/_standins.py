"""Exceptions with the names, arguments and texts of botocore's, where botocore is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ._types import ErrorResponse


class BotoCoreError(Exception):
    """The root of errors that are no answers; `kwargs` holds what the message says."""

    fmt: ClassVar[str] = "An unspecified error occurred"

    def __init__(self, **kwargs: object) -> None:
        super().__init__(self.fmt.format(**kwargs))
        self.kwargs: dict[str, object] = kwargs

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.kwargs)


def _restore(error_class: type[BotoCoreError], kwargs: dict[str, object]) -> BotoCoreError:
    return error_class(**kwargs)


class HTTPClientError(BotoCoreError):
    """An exchange that failed in a way that has no class of its own."""

    fmt = "An HTTP Client raised an unhandled exception: {error}"


class ConnectionError(BotoCoreError):
    """A connection that could not be opened."""

    fmt = "An HTTP Client failed to establish a connection: {error}"


class EndpointConnectionError(ConnectionError):
    """An endpoint that cannot be reached."""

    fmt = 'Could not connect to the endpoint URL: "{endpoint_url}"'


class SSLError(ConnectionError):
    """A TLS handshake that failed."""

    fmt = "SSL validation failed for {endpoint_url} {error}"


class ConnectTimeoutError(ConnectionError):
    """A connection that was not open in time."""

    fmt = 'Connect timeout on endpoint URL: "{endpoint_url}"'


class ProxyConnectionError(ConnectionError):
    """A proxy that cannot be used."""

    fmt = 'Failed to connect to proxy URL: "{proxy_url}"'


class ConnectionClosedError(HTTPClientError):
    """A connection that ended before a response."""

    fmt = (
        "Connection was closed before we received a valid response "
        'from endpoint URL: "{endpoint_url}".'
    )


class ReadTimeoutError(HTTPClientError):
    """A response that did not come in time."""

    fmt = 'Read timeout on endpoint URL: "{endpoint_url}"'


class ResponseStreamingError(HTTPClientError):
    """A response that broke off, or cannot be read."""

    fmt = "An error occurred while reading from response stream: {error}"


class IncompleteReadError(BotoCoreError):
    """A body with fewer bytes than its length says."""

    fmt = "{actual_bytes} read, but total bytes expected is {expected_bytes}."


class ParamValidationError(BotoCoreError):
    """Arguments that were refused before anything was sent."""

    fmt = "Parameter validation failed:\n{report}"


class NoRegionError(BotoCoreError):
    """A client without a region."""

    fmt = "You must specify a region."


class NoCredentialsError(BotoCoreError):
    """No credentials anywhere."""

    fmt = "Unable to locate credentials"


class PartialCredentialsError(BotoCoreError):
    """Half of a pair of keys."""

    fmt = "Partial credentials found in {provider}, missing: {cred_var}"


class CredentialRetrievalError(BotoCoreError):
    """A source of credentials that failed."""

    fmt = "Error when retrieving credentials from {provider}: {error_msg}"


class ProfileNotFound(BotoCoreError):
    """A profile that is in no file."""

    fmt = "The config profile ({profile}) could not be found"


class UnknownServiceError(BotoCoreError):
    """A service that this package does not call."""

    fmt = "Unknown service: '{service_name}'. Valid service names are: {known_service_names}"


class OperationNotPageableError(BotoCoreError):
    """An operation whose answer has no pages."""

    fmt = "Operation cannot be paginated: {operation_name}"


class ClientError(Exception):
    """An error that the service answered with: `response` is a dictionary."""

    def __init__(self, error_response: ErrorResponse, operation_name: str) -> None:
        error = error_response.get("Error", {})
        code, text = error.get("Code", "Unknown"), error.get("Message", "Unknown")
        metadata = error_response.get("ResponseMetadata", {})
        attempts = ""
        if metadata.get("MaxAttemptsReached") and "RetryAttempts" in metadata:
            attempts = f" (reached max retries: {metadata['RetryAttempts']})"
        super().__init__(
            f"An error occurred ({code}) when calling the {operation_name} "
            f"operation{attempts}: {text}"
        )
        self.response: ErrorResponse = error_response
        self.operation_name: str = operation_name

    def __reduce__(self) -> tuple[object, ...]:
        return ClientError, (self.response, self.operation_name)


class EventStreamError(ClientError):
    """An error that ended a streamed answer."""
