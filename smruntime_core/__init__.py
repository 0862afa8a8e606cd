"""Everything a Python program needs to talk to Amazon SageMaker Runtime, except the I/O.

Three layers, each built only from the ones below it:

    functions           `InvokeEndpoint(...).request(url)`, `sign(...)`, `operation.parse(response)`
    incremental parsers `streaming.ResponseParser`, `eventstream`, `payload`: bytes to events
    flows               `Runtime(...).call(operation)`: a generator of effects for `run` and
                        `run_async`

This module has what applications and SDKs use. Authors of transports find the rest in public
modules:

    errors        every error, with the kinds and phases of failures
    effects       what a flow asks its IO to do
    notices       what `observe` is called with
    signing       Signature Version 4, both sides
    credentials   where credentials come from
    service       the server's side of the protocol
    http1         one HTTP/1.1 exchange without I/O
    streaming     streamed responses and their events
    eventstream   frames of AWS event streams
    payload       text, lines, SSE and JSON in parts
    codecs        bodies from Python objects and back
    config        settings of `~/.aws`, and endpoints
    values        records, and the rules for their members
    testing       scripted flows, and the contract of transports
    deprecation   names that were renamed and still work

`smruntime_transports` has the clients, which do the I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config._endpoints import Config
from .conversation._driver import AsyncIO, SyncIO, run, run_async
from .conversation._options import Options
from .conversation._retries import RetryPolicy
from .conversation._runtime import Runtime
from .errors import (
    ConstructionError,
    CredentialsError,
    DispatchFailure,
    InternalDependencyException,
    InternalFailure,
    InternalStreamFailure,
    ModelError,
    ModelNotReadyException,
    ModelStreamError,
    ResponseError,
    ServiceError,
    ServiceUnavailable,
    SmRuntimeError,
    StreamError,
    TruncatedStream,
    ValidationError,
)
from .metadata import Attempt, Metadata
from .protocol._bindings import Output
from .protocol._operations import (
    NEW_SESSION,
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointAsyncOutput,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStreamOutput,
    Operation,
)
from .signing import Signature, sign
from .values._credentials import Credentials, Scope
from .values._http import Request, Response
from .values._lazy import lazy_attributes
from .values._timeouts import Timeouts
from .values._version import VERSION

if TYPE_CHECKING:  # imported at first use
    from . import codecs as codecs
    from . import config as config
    from . import conversation as conversation
    from . import credentials as credentials
    from . import deprecation as deprecation
    from . import effects as effects
    from . import errors as errors
    from . import eventstream as eventstream
    from . import http1 as http1
    from . import metadata as metadata
    from . import notices as notices
    from . import payload as payload
    from . import service as service
    from . import signing as signing
    from . import streaming as streaming
    from . import testing as testing
    from . import values as values
    from .signing import verify

__version__ = VERSION

__all__ = [
    "NEW_SESSION",
    "AsyncIO",
    "Attempt",
    "Config",
    "ConstructionError",
    "Credentials",
    "CredentialsError",
    "DispatchFailure",
    "InternalDependencyException",
    "InternalFailure",
    "InternalStreamFailure",
    "InvokeEndpoint",
    "InvokeEndpointAsync",
    "InvokeEndpointAsyncOutput",
    "InvokeEndpointOutput",
    "InvokeEndpointWithResponseStream",
    "InvokeEndpointWithResponseStreamOutput",
    "Metadata",
    "ModelError",
    "ModelNotReadyException",
    "ModelStreamError",
    "Operation",
    "Options",
    "Output",
    "Request",
    "Response",
    "ResponseError",
    "RetryPolicy",
    "Runtime",
    "Scope",
    "ServiceError",
    "ServiceUnavailable",
    "Signature",
    "SmRuntimeError",
    "StreamError",
    "SyncIO",
    "Timeouts",
    "TruncatedStream",
    "ValidationError",
    "run",
    "run_async",
    "sign",
    "verify",
]

_PUBLIC_MODULES = (
    "codecs",
    "config",
    "conversation",
    "credentials",
    "deprecation",
    "effects",
    "errors",
    "eventstream",
    "http1",
    "metadata",
    "notices",
    "payload",
    "service",
    "signing",
    "streaming",
    "testing",
    "values",
)
if not TYPE_CHECKING:  # a type checker would take any name for one of the package
    __getattr__, __dir__ = lazy_attributes(
        __name__, globals(), {"signing": ("verify",)}, _PUBLIC_MODULES
    )
