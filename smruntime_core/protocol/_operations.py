"""The operations of SageMaker Runtime, and the binding table: each line below is a member, its type, its place on the wire
and its rule. Source: the API reference of `InvokeEndpoint` and botocore's model of `sagemaker-runtime` (2017-05-13).

The names are those of the Rust client's builder. Body sizes have no hard limit here: the documented one (6,291,456 bytes)
has been raised before, and only the service knows today's.
"""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar, cast

from ..errors import (
    ConstructionError,
    InternalDependencyException,
    InternalFailure,
    InternalStreamFailure,
    ModelError,
    ModelNotReadyException,
    ModelStreamError,
    ServiceError,
    ServiceUnavailable,
    ValidationError,
)
from ..metadata import Attempt
from ..values._bodies import STREAMED, Body, Given
from ..values._messages import Request, Response
from ..values._rules import FILENAME, LOCATION, NAME, NEW_SESSION_ID, OUTPUT_PATH, SESSION_ID, Blob, WholeNumber, header_text, name
from ..values._url import Endpoint
from . import _decoding as _decode
from . import _encoding as _encode
from ._bindings import Output, RequestRecord, document, header, label, payload, stream

OutputT_co = TypeVar("OutputT_co", bound=Output, covariant=True)

NEW_SESSION = "NEW_SESSION"

TEXT = header_text(1024)
SHORT_TEXT = header_text(64)


class Operation(RequestRecord, Generic[OutputT_co]):
    """Something to ask of the service: a frozen record, checked when it is made, that knows its own request and answer."""

    success: ClassVar[int] = 200
    output: ClassVar[type[Output]]
    errors: ClassVar[tuple[type[ServiceError], ...]]

    @property
    def send_once(self) -> bool:
        """Whether a second request would do harm, whatever the answer to the first."""
        return False

    def request(self, endpoint: str) -> Request:
        """The unsigned request. `endpoint` is scheme, host and perhaps port and path: `"https://host"`.

        Raises `ConstructionError` if `endpoint` is no such URL.
        """
        return _encode.request(self, endpoint if type(endpoint) is Endpoint else _encode.endpoint("endpoint", endpoint))

    def parse(self, response: Response, *, attempts: tuple[Attempt, ...] = ()) -> OutputT_co:
        """The output that `response` says; raises the `ServiceError` that it says otherwise.

        Whatever bytes the response holds, nothing else is raised. `attempts` goes into the metadata.
        """
        if 200 <= response.status < 300:
            return cast("OutputT_co", _decode.output(self.output, response, attempts))
        raise _decode.error(self.errors, response, attempts)


class Streaming(Operation[OutputT_co]):
    """An operation whose answer is an event stream; `stream_errors` may end it."""

    stream_errors: ClassVar[tuple[type[ServiceError], ...]]

    def parse(self, response: Response, *, attempts: tuple[Attempt, ...] = ()) -> OutputT_co:
        """The output of a stream that has been received whole, all its parts joined in `body`.

        Raises what `Operation.parse` raises, the error that ended the stream, or `StreamError`.
        """
        from ._response_parser import whole  # frames and all: only streams pay for it

        return cast("OutputT_co", whole(self, response, attempts))


class InvokeEndpointOutput(Output):
    """What the model answered: `body` as it sent it, and what SageMaker says of it."""

    body: bytes = payload("Body")
    content_type: str | None = header("Content-Type", TEXT, default=None)
    invoked_production_variant: str | None = header("x-Amzn-Invoked-Production-Variant", TEXT, default=None)
    custom_attributes: str | None = header("X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True)
    new_session_id: str | None = header("X-Amzn-SageMaker-New-Session-Id", NEW_SESSION_ID, default=None)
    closed_session_id: str | None = header("X-Amzn-SageMaker-Closed-Session-Id", name(256), default=None)


class InvokeEndpoint(Operation[InvokeEndpointOutput]):
    """Ask a model for an inference and wait for all of it.

    `endpoint_name` and `body` are required; `body` goes to the container byte for byte and is not copied, so do not change a
    bytearray while a call is on its way. It may be a binary file too, which is sent from where it stands, or an iterator of
    bytes (asynchronous ones for asynchronous clients only), which is collected first. `session_id` may be `"NEW_SESSION"`.
    Raises `ConstructionError` naming the member.

    >>> InvokeEndpoint(endpoint_name="churn", body=b"1,2,3", content_type="text/csv")
    InvokeEndpoint(endpoint_name='churn', body=<5 bytes>, content_type='text/csv')
    """

    path = "/endpoints/{EndpointName}/invocations"
    output = InvokeEndpointOutput
    errors = (
        InternalDependencyException,
        InternalFailure,
        ModelError,
        ModelNotReadyException,
        ServiceUnavailable,
        ValidationError,
    )

    endpoint_name: str = label("EndpointName", NAME)
    body: Given = payload("Body", STREAMED)
    content_type: str | None = header("Content-Type", TEXT, default=None)
    accept: str | None = header("Accept", TEXT, default=None)
    custom_attributes: str | None = header("X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True)
    target_model: str | None = header("X-Amzn-SageMaker-Target-Model", TEXT, default=None)
    target_variant: str | None = header("X-Amzn-SageMaker-Target-Variant", NAME, default=None)
    target_container_hostname: str | None = header("X-Amzn-SageMaker-Target-Container-Hostname", NAME, default=None)
    inference_id: str | None = header("X-Amzn-SageMaker-Inference-Id", SHORT_TEXT, default=None)
    enable_explanations: str | None = header("X-Amzn-SageMaker-Enable-Explanations", SHORT_TEXT, default=None)
    inference_component_name: str | None = header("X-Amzn-SageMaker-Inference-Component", NAME, default=None)
    session_id: str | None = header("X-Amzn-SageMaker-Session-Id", SESSION_ID, default=None)
    prefix_aware_id: str | None = header("X-Amzn-SageMaker-Prefix-Aware-Id", SHORT_TEXT, default=None)

    @property
    def send_once(self) -> bool:
        """A second request would open a second session, which stays open."""
        return self.session_id == NEW_SESSION


class InvokeEndpointWithResponseStreamOutput(Output):
    """What precedes a streamed answer; `body` is empty, unless the stream was received whole before it was parsed."""

    body: bytes = stream("Body", default=b"")
    content_type: str | None = header("X-Amzn-SageMaker-Content-Type", TEXT, default=None)
    invoked_production_variant: str | None = header("x-Amzn-Invoked-Production-Variant", TEXT, default=None)
    custom_attributes: str | None = header("X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True)


class InvokeEndpointWithResponseStream(Streaming[InvokeEndpointWithResponseStreamOutput]):
    """Ask a model for an inference and take the answer part by part while it is made.

    The members are those of `InvokeEndpoint` but for `target_model` and `enable_explanations`; a session is opened with
    `InvokeEndpoint`. Raises `ConstructionError` naming the member.
    """

    path = "/endpoints/{EndpointName}/invocations-response-stream"
    output: ClassVar[type[Output]] = InvokeEndpointWithResponseStreamOutput
    errors: ClassVar[tuple[type[ServiceError], ...]] = (
        InternalFailure,
        ModelError,
        ServiceUnavailable,
        ValidationError,
        ModelStreamError,
        InternalStreamFailure,
    )
    stream_errors: ClassVar[tuple[type[ServiceError], ...]] = (ModelStreamError, InternalStreamFailure)

    endpoint_name: str = label("EndpointName", NAME)
    body: Given = payload("Body", STREAMED)
    content_type: str | None = header("Content-Type", TEXT, default=None)
    accept: str | None = header("X-Amzn-SageMaker-Accept", TEXT, default=None)
    custom_attributes: str | None = header("X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True)
    target_variant: str | None = header("X-Amzn-SageMaker-Target-Variant", NAME, default=None)
    target_container_hostname: str | None = header("X-Amzn-SageMaker-Target-Container-Hostname", NAME, default=None)
    inference_id: str | None = header("X-Amzn-SageMaker-Inference-Id", SHORT_TEXT, default=None)
    inference_component_name: str | None = header("X-Amzn-SageMaker-Inference-Component", NAME, default=None)
    session_id: str | None = header("X-Amzn-SageMaker-Session-Id", name(256), default=None)
    prefix_aware_id: str | None = header("X-Amzn-SageMaker-Prefix-Aware-Id", SHORT_TEXT, default=None)


class InvokeEndpointAsyncOutput(Output):
    """Where the answer, or the failure, of an accepted invocation will be."""

    inference_id: str | None = document("InferenceId", TEXT, default=None)
    output_location: str | None = header("X-Amzn-SageMaker-OutputLocation", TEXT, default=None)
    failure_location: str | None = header("X-Amzn-SageMaker-FailureLocation", TEXT, default=None)


class InvokeEndpointAsync(Operation[InvokeEndpointAsyncOutput]):
    """Have an inference made later; its input is `body` (at most 128,000 bytes) or stands at `input_location`, one of them.

    `request_ttl_seconds` is how long it may wait (the service's default: 21600), `invocation_timeout_seconds` how long the model
    may take (900). `s3_output_path_extension` and `filename` say where under the endpoint's S3 path the answer goes. Raises
    `ConstructionError` naming the member.
    """

    path = "/endpoints/{EndpointName}/async-invocations"
    success = 202
    output = InvokeEndpointAsyncOutput
    errors = (InternalFailure, ServiceUnavailable, ValidationError)

    endpoint_name: str = label("EndpointName", NAME)
    body: Body | None = payload("Body", Blob(128_000), default=None)
    content_type: str | None = header("X-Amzn-SageMaker-Content-Type", TEXT, default=None)
    accept: str | None = header("X-Amzn-SageMaker-Accept", TEXT, default=None)
    custom_attributes: str | None = header("X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True)
    inference_id: str | None = header("X-Amzn-SageMaker-Inference-Id", SHORT_TEXT, default=None)
    input_location: str | None = header("X-Amzn-SageMaker-InputLocation", LOCATION, default=None)
    s3_output_path_extension: str | None = header("X-Amzn-SageMaker-S3OutputPathExtension", OUTPUT_PATH, default=None)
    filename: str | None = header("X-Amzn-SageMaker-Filename", FILENAME, default=None)
    request_ttl_seconds: int | None = header("X-Amzn-SageMaker-RequestTTLSeconds", WholeNumber(60, 21_600), default=None)
    invocation_timeout_seconds: int | None = header("X-Amzn-SageMaker-InvocationTimeoutSeconds", WholeNumber(1, 3_600), default=None)

    def check_members(self) -> None:
        if (self.body is None) == (self.input_location is None):
            both = "both are given" if self.body is not None else "neither is given"
            raise ConstructionError("body", "given, or input_location, and not the other", both)
