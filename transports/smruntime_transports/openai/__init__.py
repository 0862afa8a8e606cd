"""OpenAI-style SDKs, unmodified, over InvokeEndpoint.

    openai.httpx      SageMakerTransport, AsyncSageMakerTransport for httpx
    openai.httpx2     the same for httpx2

    transport = SageMakerTransport(smruntime_transports.Client(), "my-endpoint")
    OpenAI(http_client=httpx2.Client(transport=transport), base_url="http://sagemaker", api_key="-")

An SDK's request becomes one call of the endpoint, signed, on any container: SageMaker's own
OpenAI-compatible path serves only some. The mapping is pure and public, for transports of other
HTTP libraries:

    RequestMapping.plan      an HTTP request to a `Plan` with an operation, or to an answer
    answer_output            an output to an answer
    answer_error             an error to an answer, or to the name of an exception
    EventUnwrapper           the parts of a stream to server-sent events

_request_mapping   requests: paths, members, models, refusals
_answers           outputs and errors as answers in the format of OpenAI or Anthropic
_events            server-sent events inside the parts of a stream, whole ones only
_failures          failures that an SDK would retry
_calls             a request performed with a client, for both libraries
"""

from __future__ import annotations

from ._answers import Dialect, TransportFailure, answer_error, answer_output
from ._events import EventUnwrapper
from ._request_mapping import (
    CallMembers,
    EndpointName,
    JSONObject,
    ModelOperation,
    OpenSession,
    Plan,
    RequestMapping,
)

__all__ = [
    "CallMembers",
    "Dialect",
    "EndpointName",
    "EventUnwrapper",
    "JSONObject",
    "ModelOperation",
    "OpenSession",
    "Plan",
    "RequestMapping",
    "TransportFailure",
    "answer_error",
    "answer_output",
]
