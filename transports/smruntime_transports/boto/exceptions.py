"""The exceptions that clients raise: botocore's own where botocore is importable.

Without botocore they are classes of this package with the same names, arguments and texts. The
modelled exceptions (`ModelError` and the others) are subclasses of `ClientError`, as those under
`client.exceptions` are. This module imports botocore, which takes about 60 ms, so the package
imports it at the first failure, or when it is asked for an exception.

Each exception has the error of `smruntime_core` that it stands for as its `__cause__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._standins import (
        BotoCoreError,
        ClientError,
        ConnectionClosedError,
        ConnectionError,
        ConnectTimeoutError,
        CredentialRetrievalError,
        EndpointConnectionError,
        EventStreamError,
        HTTPClientError,
        IncompleteReadError,
        NoCredentialsError,
        NoRegionError,
        OperationNotPageableError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
        ProxyConnectionError,
        ReadTimeoutError,
        ResponseStreamingError,
        SSLError,
        UnknownServiceError,
    )
else:
    try:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionClosedError,
            ConnectionError,
            ConnectTimeoutError,
            CredentialRetrievalError,
            EndpointConnectionError,
            EventStreamError,
            HTTPClientError,
            IncompleteReadError,
            NoCredentialsError,
            NoRegionError,
            OperationNotPageableError,
            ParamValidationError,
            PartialCredentialsError,
            ProfileNotFound,
            ProxyConnectionError,
            ReadTimeoutError,
            ResponseStreamingError,
            SSLError,
            UnknownServiceError,
        )
    except ImportError:
        from ._standins import (
            BotoCoreError,
            ClientError,
            ConnectionClosedError,
            ConnectionError,
            ConnectTimeoutError,
            CredentialRetrievalError,
            EndpointConnectionError,
            EventStreamError,
            HTTPClientError,
            IncompleteReadError,
            NoCredentialsError,
            NoRegionError,
            OperationNotPageableError,
            ParamValidationError,
            PartialCredentialsError,
            ProfileNotFound,
            ProxyConnectionError,
            ReadTimeoutError,
            ResponseStreamingError,
            SSLError,
            UnknownServiceError,
        )

__all__ = [
    "BotoCoreError",
    "ClientError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "CredentialRetrievalError",
    "EndpointConnectionError",
    "EventStreamError",
    "HTTPClientError",
    "IncompleteReadError",
    "InternalDependencyException",
    "InternalFailure",
    "InternalStreamFailure",
    "ModelError",
    "ModelNotReadyException",
    "ModelStreamError",
    "NoCredentialsError",
    "NoRegionError",
    "OperationNotPageableError",
    "ParamValidationError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "ResponseStreamingError",
    "SSLError",
    "ServiceUnavailable",
    "UnknownServiceError",
    "ValidationError",
]


class InternalDependencyException(ClientError):
    """A failure of something that the service depends on."""


class InternalFailure(ClientError):
    """A failure of the service."""


class InternalStreamFailure(EventStreamError):
    """A failure of the service while an answer was streamed."""


class ModelError(ClientError):
    """An error of the model's container; `response` has `OriginalStatusCode` and more."""


class ModelNotReadyException(ClientError):
    """A refusal because the model is not loaded yet."""


class ModelStreamError(EventStreamError):
    """A failure of the model while its answer was streamed."""


class ServiceUnavailable(ClientError):
    """A refusal because the service is overloaded or down."""


class ValidationError(ClientError):
    """A request that the service refused."""


MODELLED: Final[dict[str, type[ClientError]]] = {
    modelled.__name__: modelled
    for modelled in (
        InternalDependencyException,
        InternalFailure,
        InternalStreamFailure,
        ModelError,
        ModelNotReadyException,
        ModelStreamError,
        ServiceUnavailable,
        ValidationError,
    )
}
