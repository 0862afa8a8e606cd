"""Everything a Python program needs to talk to Amazon SageMaker Runtime, except the I/O.

Three doors, each built only from the ones below it:

    functions for meaning      `InvokeEndpoint(...).request(url)`, `sign(...)`, `operation.parse(response)`
    objects for bytes          `smruntime_core._http1.Exchange`: one HTTP/1.1 exchange without I/O
    generators for time        `Runtime(...).call(operation)`: a flow of effects, driven by `run` or `run_async`

`smruntime_core.service` speaks the other side of the protocol. What does I/O lives in `smruntime_transports`.
"""

from __future__ import annotations

from ._bindings import Output
from ._drive import AsyncIO, SyncIO, run, run_async
from ._effects import Effect, Flow, GetCredentials, Send, Sleep
from ._endpoints import Config
from ._errors import (
    ConstructionError,
    CredentialsError,
    DispatchFailure,
    InternalDependencyException,
    InternalFailure,
    ModelError,
    ModelNotReadyException,
    ResponseError,
    ServiceError,
    ServiceUnavailable,
    SmRuntimeError,
    ValidationError,
)
from ._metadata import Attempt, Metadata
from ._model import Credentials, Request, Response, Scope, Timeouts
from ._operations import InvokeEndpoint, InvokeEndpointOutput, Operation
from ._retries import RetryPolicy
from ._runtime import Clock, Runtime
from .signing import Signature, sign, verify

__version__ = "0.1.0"

__all__ = [
    "AsyncIO",
    "Attempt",
    "Clock",
    "Config",
    "ConstructionError",
    "Credentials",
    "CredentialsError",
    "DispatchFailure",
    "Effect",
    "Flow",
    "GetCredentials",
    "InternalDependencyException",
    "InternalFailure",
    "InvokeEndpoint",
    "InvokeEndpointOutput",
    "Metadata",
    "ModelError",
    "ModelNotReadyException",
    "Operation",
    "Output",
    "Request",
    "Response",
    "ResponseError",
    "RetryPolicy",
    "Runtime",
    "Scope",
    "Send",
    "ServiceError",
    "ServiceUnavailable",
    "Signature",
    "Sleep",
    "SmRuntimeError",
    "SyncIO",
    "Timeouts",
    "ValidationError",
    "run",
    "run_async",
    "sign",
    "verify",
]
