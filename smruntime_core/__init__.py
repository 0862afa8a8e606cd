"""Everything a Python program needs to talk to Amazon SageMaker Runtime, except the I/O.

Three doors, each built only from the ones below it:

    functions for meaning      `InvokeEndpoint(...).request(url)`, `sign(...)`, `operation.parse(response)`
    objects for bytes          `ResponseParser`, `eventstream`, `payload`: bytes in any pieces in, events out
    generators for time        `Runtime(...).call(operation)`: a flow of effects, driven by `run` or `run_async`

`smruntime_core.service` speaks the other side of the protocol, `smruntime_core.credentials` knows where credentials come from.
What does I/O lives in `smruntime_transports`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config._endpoints import Config
from .conversation._deadline import Clock
from .conversation._driver import AsyncIO, SyncIO, run, run_async
from .conversation._options import Options
from .conversation._retries import RetryPolicy
from .conversation._runtime import Runtime
from .effects import (
    Ask,
    Contents,
    Effect,
    Finished,
    Flow,
    GetCredentials,
    Measure,
    Open,
    ReadFile,
    Receive,
    RunProcess,
    Send,
    Sleep,
    Supply,
    WriteFile,
)
from .errors import (
    ConstructionError,
    CredentialsError,
    Delivery,
    DispatchFailure,
    InternalDependencyException,
    InternalFailure,
    InternalStreamFailure,
    Kind,
    ModelError,
    ModelNotReadyException,
    ModelStreamError,
    Phase,
    ResponseError,
    ServiceError,
    ServiceUnavailable,
    SignatureMismatch,
    SmRuntimeError,
    StreamError,
    TruncatedStream,
    ValidationError,
)
from .metadata import Attempt, Metadata
from .notices import AttemptEnded, AttemptStarted, CallEnded, FirstByte, Notice, PieceReceived, RequestBuilt, Waiting
from .protocol._bindings import Output
from .protocol._operations import (
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointAsyncOutput,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStreamOutput,
    Operation,
    Streaming,
)
from .signing import Signature, sign
from .values._bodies import Source, Upload
from .values._decoder import NEED_DATA, Decoder, NeedData
from .values._lazy import lazy_attributes
from .values._messages import Credentials, Request, Response, ResponseBody, Scope, StreamingResponse, Timeouts
from .values._version import VERSION

if TYPE_CHECKING:
    from .conversation._stream import Stream
    from .protocol._response_parser import PayloadPart, ResponseEnded, ResponseEvent, ResponseParser, ResponseStarted, UnknownEvent
    from .signing import verify

__version__ = VERSION

__all__ = [
    "NEED_DATA",
    "Ask",
    "AsyncIO",
    "Attempt",
    "AttemptEnded",
    "AttemptStarted",
    "CallEnded",
    "Clock",
    "Config",
    "ConstructionError",
    "Contents",
    "Credentials",
    "CredentialsError",
    "Decoder",
    "Delivery",
    "DispatchFailure",
    "Effect",
    "Finished",
    "FirstByte",
    "Flow",
    "GetCredentials",
    "InternalDependencyException",
    "InternalFailure",
    "InternalStreamFailure",
    "InvokeEndpoint",
    "InvokeEndpointAsync",
    "InvokeEndpointAsyncOutput",
    "InvokeEndpointOutput",
    "InvokeEndpointWithResponseStream",
    "InvokeEndpointWithResponseStreamOutput",
    "Kind",
    "Measure",
    "Metadata",
    "ModelError",
    "ModelNotReadyException",
    "ModelStreamError",
    "NeedData",
    "Notice",
    "Open",
    "Operation",
    "Options",
    "Output",
    "PayloadPart",
    "Phase",
    "PieceReceived",
    "ReadFile",
    "Receive",
    "Request",
    "RequestBuilt",
    "Response",
    "ResponseBody",
    "ResponseEnded",
    "ResponseError",
    "ResponseEvent",
    "ResponseParser",
    "ResponseStarted",
    "RetryPolicy",
    "RunProcess",
    "Runtime",
    "Scope",
    "Send",
    "ServiceError",
    "ServiceUnavailable",
    "Signature",
    "SignatureMismatch",
    "Sleep",
    "SmRuntimeError",
    "Source",
    "Stream",
    "StreamError",
    "Streaming",
    "StreamingResponse",
    "Supply",
    "SyncIO",
    "Timeouts",
    "TruncatedStream",
    "UnknownEvent",
    "Upload",
    "ValidationError",
    "Waiting",
    "WriteFile",
    "run",
    "run_async",
    "sign",
    "verify",
]

# What only streams and servers need.
_SUBMODULES = {
    "_parser": ("PayloadPart", "ResponseEnded", "ResponseEvent", "ResponseParser", "ResponseStarted", "UnknownEvent"),
    "_stream": ("Stream",),
    "signing": ("verify",),
}

__getattr__, __dir__ = lazy_attributes(__name__, globals(), _SUBMODULES)
