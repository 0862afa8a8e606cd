"""A client shaped like boto3's, for code that will not change.

    from smruntime_transports import boto

    client = boto.client("sagemaker-runtime", region_name="eu-west-1")
    answer = client.invoke_endpoint(EndpointName="iris", Body=b"5.1,3.5,1.4,0.2")
    answer["Body"].read()

The arguments, dictionaries and exceptions are boto3's; botocore is used for its exceptions where it
is importable, and never required. `docs/from-boto3.md` lists the differences. `aio` is the same for
async code, shaped like aiobotocore.

    _session      `client` and `Session`            _failures     errors of the core to exceptions
    _client       the sync client                   exceptions    botocore's, or stand-ins for them
    aio           the async client                  _standins     those stand-ins
    _calls        what both clients share           _body         `StreamingBody`
    _config       arguments to settings             _event_stream the body of a streamed answer
    _parameters   AWS's names to operations         _types        the dictionaries
    _answers      outputs to dictionaries           _client_exceptions  `client.exceptions`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._body import StreamingBody
from ._calls import ClientMeta
from ._client import SageMakerRuntimeClient
from ._event_stream import EventStream
from ._session import Session, client
from ._types import (
    ErrorResponse,
    InvokeEndpointAsyncInput,
    InvokeEndpointAsyncOutput,
    InvokeEndpointInput,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStreamInput,
    InvokeEndpointWithResponseStreamOutput,
    ResponseMetadata,
    ResponseStreamEvent,
)

if TYPE_CHECKING:  # imported at first use: `exceptions` imports botocore
    from . import aio as aio
    from . import exceptions as exceptions

__all__ = [
    "ClientMeta",
    "ErrorResponse",
    "EventStream",
    "InvokeEndpointAsyncInput",
    "InvokeEndpointAsyncOutput",
    "InvokeEndpointInput",
    "InvokeEndpointOutput",
    "InvokeEndpointWithResponseStreamInput",
    "InvokeEndpointWithResponseStreamOutput",
    "ResponseMetadata",
    "ResponseStreamEvent",
    "SageMakerRuntimeClient",
    "Session",
    "StreamingBody",
    "client",
]


if not TYPE_CHECKING:  # a type checker would take any name for one of the package

    def __getattr__(name: str) -> object:
        if name in ("aio", "exceptions"):
            from importlib import import_module

            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "aio", "exceptions"])
