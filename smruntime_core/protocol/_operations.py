"""The operations of SageMaker Runtime, which are the binding table.

Each line of a class is a member with its type, where it travels and its rule. Source: the API
reference of `InvokeEndpoint` and botocore's model of `sagemaker-runtime` (2017-05-13). The names of
the members are those of the Rust client's builder. The size of a body has no limit here: the
documented one (6,291,456 bytes) has been raised before, and only the service knows the current one.
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
from ..values._bodies import STREAMED, Body, BodyMember
from ..values._http import Request, Response
from ..values._rules import (
    FILENAME,
    LOCATION,
    NAME,
    NEW_SESSION_ID,
    OUTPUT_PATH,
    SESSION_ID,
    Blob,
    WholeNumber,
    header_text,
    resource_name,
)
from . import _decoding, _encoding
from ._bindings import Output, RequestRecord, document, header, label, payload, stream
from ._body_readers import BodyReaders

OutputT_co = TypeVar("OutputT_co", bound=Output, covariant=True)

NEW_SESSION = "NEW_SESSION"

TEXT = header_text(1024)
SHORT_TEXT = header_text(64)


class Operation(RequestRecord, Generic[OutputT_co]):
    """A request to the service as a frozen record, checked when it is made."""

    success: ClassVar[int] = 200
    output: ClassVar[type[Output]]
    errors: ClassVar[tuple[type[ServiceError], ...]]

    @property
    def send_once(self) -> bool:
        """Whether the request must not be sent twice, whatever the answer to the first."""
        return False

    def request(self, endpoint: str) -> Request:
        """Return the unsigned request to `endpoint`, a URL such as `"https://host"`.

        Raises `ConstructionError` if `endpoint` is not scheme, host, and perhaps port and path.
        """
        return _encoding.build_request(self, _encoding.check_endpoint("endpoint", endpoint))

    def parse(self, response: Response, *, attempts: tuple[Attempt, ...] = ()) -> OutputT_co:
        """Return the output in `response`, or raise the `ServiceError` in it.

        Raises `ResponseError` if the body of a success is incomplete, and nothing else, whatever
        the response contains. `attempts` becomes part of the metadata.
        """
        if 200 <= response.status < 300:
            return cast("OutputT_co", _decoding.parse_output(self.output, response, attempts))
        raise _decoding.parse_error(self.errors, response, attempts)


class StreamingOperation(Operation[OutputT_co]):
    """An operation with an event stream as its answer, which `stream_errors` can end."""

    stream_errors: ClassVar[tuple[type[ServiceError], ...]]

    def parse(self, response: Response, *, attempts: tuple[Attempt, ...] = ()) -> OutputT_co:
        """Return the output of a whole stream, its parts joined in `body`.

        Raises like `Operation.parse`, also the error that ended the stream, and `StreamError`.
        """
        from ._response_parser import (
            parse_whole_stream,  # imports the event stream, which only streams need
        )

        return cast("OutputT_co", parse_whole_stream(self, response, attempts))


class InvokeEndpointOutput(BodyReaders, Output):
    """The answer of a model.

    body                         the answer, byte for byte as the container sent it
    content_type                 MIME type of `body`
    invoked_production_variant   the variant that answered
    custom_attributes            text from the container; not shown in reprs
    new_session_id               id and expiry of a session that this call opened ("id; Expires=…")
    closed_session_id            id of a session that this call closed
    metadata                     request id, HTTP status, headers and attempts; ignored by ==
    """

    body: bytes = payload("Body")
    content_type: str | None = header("Content-Type", TEXT, default=None)
    invoked_production_variant: str | None = header(
        "x-Amzn-Invoked-Production-Variant", TEXT, default=None
    )
    custom_attributes: str | None = header(
        "X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True
    )
    new_session_id: str | None = header(
        "X-Amzn-SageMaker-New-Session-Id", NEW_SESSION_ID, default=None
    )
    closed_session_id: str | None = header(
        "X-Amzn-SageMaker-Closed-Session-Id", resource_name(256), default=None
    )


class InvokeEndpoint(Operation[InvokeEndpointOutput]):
    """A request for an inference; the answer comes as a whole.

        endpoint_name              name of the endpoint: 1 to 63 letters, digits and inner hyphens
        body                       input for the model, sent byte for byte: bytes, bytearray,
                                   memoryview, a binary file, or an iterator of bytes (async
                                   iterators for async clients only)
        content_type               MIME type of `body`, such as "application/json"
        accept                     MIME type wanted for the answer
        custom_attributes          text for the container, such as a trace id: 1 to 1024 characters;
                                   not shown in reprs
        target_model               model file on a multi-model endpoint, such as "eu/churn.tar.gz"
        target_variant             production variant to use instead of the weighted choice
        target_container_hostname  container on a multi-container endpoint with direct invocation
        inference_id               your id for this request, 1 to 64 characters; joins captured data
                                   with ground truth
        enable_explanations        JMESPath expression that decides whether Clarify explains the
                                   answer
        inference_component_name   inference component on an endpoint that hosts several
        session_id                 "NEW_SESSION" to open a stateful session, or an open session's id
        prefix_aware_id            requests with the same id, 1 to 64 characters, go to the instance
                                   with their prefix in its cache

    The body is not copied: do not change a bytearray during the call. A file is sent from its
    current position and read again for each attempt; an iterator is collected first. Raises
    `ConstructionError`, which names the member and its rule.

    >>> InvokeEndpoint(endpoint_name="churn", body=b"1,2,3", content_type="text/csv")
    InvokeEndpoint(endpoint_name='churn', body=<5 bytes>, content_type='text/csv')
    """

    path = "/endpoints/{EndpointName}/invocations"
    output: ClassVar[type[Output]] = InvokeEndpointOutput
    errors: ClassVar[tuple[type[ServiceError], ...]] = (
        InternalDependencyException,
        InternalFailure,
        ModelError,
        ModelNotReadyException,
        ServiceUnavailable,
        ValidationError,
    )

    endpoint_name: str = label("EndpointName", NAME, kw_only=False)
    body: BodyMember = payload("Body", STREAMED)
    content_type: str | None = header("Content-Type", TEXT, default=None)
    accept: str | None = header("Accept", TEXT, default=None)
    custom_attributes: str | None = header(
        "X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True
    )
    target_model: str | None = header("X-Amzn-SageMaker-Target-Model", TEXT, default=None)
    target_variant: str | None = header("X-Amzn-SageMaker-Target-Variant", NAME, default=None)
    target_container_hostname: str | None = header(
        "X-Amzn-SageMaker-Target-Container-Hostname", NAME, default=None
    )
    inference_id: str | None = header("X-Amzn-SageMaker-Inference-Id", SHORT_TEXT, default=None)
    enable_explanations: str | None = header(
        "X-Amzn-SageMaker-Enable-Explanations", SHORT_TEXT, default=None
    )
    inference_component_name: str | None = header(
        "X-Amzn-SageMaker-Inference-Component", NAME, default=None
    )
    session_id: str | None = header("X-Amzn-SageMaker-Session-Id", SESSION_ID, default=None)
    prefix_aware_id: str | None = header(
        "X-Amzn-SageMaker-Prefix-Aware-Id", SHORT_TEXT, default=None
    )

    @property
    def send_once(self) -> bool:
        """Whether the request opens a session; a second request would open another."""
        return self.session_id == NEW_SESSION


class InvokeEndpointWithResponseStreamOutput(BodyReaders, Output):
    """The head of a streamed answer.

    body                         empty, unless the stream was received whole before it was parsed
    content_type                 MIME type of all parts together
    invoked_production_variant   the variant that answers
    custom_attributes            text from the container; not shown in reprs
    metadata                     request id, HTTP status, headers and attempts; ignored by ==
    """

    body: bytes = stream("Body", default=b"")
    content_type: str | None = header("X-Amzn-SageMaker-Content-Type", TEXT, default=None)
    invoked_production_variant: str | None = header(
        "x-Amzn-Invoked-Production-Variant", TEXT, default=None
    )
    custom_attributes: str | None = header(
        "X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True
    )


class InvokeEndpointWithResponseStream(StreamingOperation[InvokeEndpointWithResponseStreamOutput]):
    """A request for an inference; the answer arrives part by part as the model produces it.

        endpoint_name              name of the endpoint: 1 to 63 letters, digits and inner hyphens
        body                       input for the model, as for `InvokeEndpoint`
        content_type               MIME type of `body`, such as "application/json"
        accept                     MIME type wanted for the answer
        custom_attributes          text for the container, such as a trace id: 1 to 1024 characters;
                                   not shown in reprs
        target_variant             production variant to use instead of the weighted choice
        target_container_hostname  container on a multi-container endpoint with direct invocation
        inference_id               your id for this request, 1 to 64 characters; joins captured data
                                   with ground truth
        inference_component_name   inference component on an endpoint that hosts several
        session_id                 the id of an open session (open one with `InvokeEndpoint`)
        prefix_aware_id            requests with the same id, 1 to 64 characters, go to the instance
                                   with their prefix in its cache

    The API has no `target_model` and no `enable_explanations` here. Raises `ConstructionError`,
    which names the member and its rule.
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
    stream_errors: ClassVar[tuple[type[ServiceError], ...]] = (
        ModelStreamError,
        InternalStreamFailure,
    )

    endpoint_name: str = label("EndpointName", NAME, kw_only=False)
    body: BodyMember = payload("Body", STREAMED)
    content_type: str | None = header("Content-Type", TEXT, default=None)
    accept: str | None = header("X-Amzn-SageMaker-Accept", TEXT, default=None)
    custom_attributes: str | None = header(
        "X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True
    )
    target_variant: str | None = header("X-Amzn-SageMaker-Target-Variant", NAME, default=None)
    target_container_hostname: str | None = header(
        "X-Amzn-SageMaker-Target-Container-Hostname", NAME, default=None
    )
    inference_id: str | None = header("X-Amzn-SageMaker-Inference-Id", SHORT_TEXT, default=None)
    inference_component_name: str | None = header(
        "X-Amzn-SageMaker-Inference-Component", NAME, default=None
    )
    session_id: str | None = header("X-Amzn-SageMaker-Session-Id", resource_name(256), default=None)
    prefix_aware_id: str | None = header(
        "X-Amzn-SageMaker-Prefix-Aware-Id", SHORT_TEXT, default=None
    )


class InvokeEndpointAsyncOutput(Output):
    """Where the answer or failure of an accepted asynchronous invocation will be stored.

    inference_id       the id that was given, or one made by SageMaker
    output_location    S3 URL at which the answer will appear
    failure_location   S3 URL at which an error will appear instead
    metadata           request id, HTTP status, headers and attempts; ignored by ==
    """

    inference_id: str | None = document("InferenceId", TEXT, default=None)
    output_location: str | None = header("X-Amzn-SageMaker-OutputLocation", TEXT, default=None)
    failure_location: str | None = header("X-Amzn-SageMaker-FailureLocation", TEXT, default=None)


class InvokeEndpointAsync(Operation[InvokeEndpointAsyncOutput]):
    """A request for an inference that is queued; the answer is stored in S3.

        endpoint_name              name of the endpoint: 1 to 63 letters, digits and inner hyphens
        body                       input of at most 128,000 bytes; pass exactly one of `body` and
                                   `input_location`
        input_location             s3:// or https:// URL of the input, at most 1024 characters
        content_type               MIME type of `body`, such as "application/json"
        accept                     MIME type wanted for the answer
        custom_attributes          text for the container, such as a trace id: 1 to 1024 characters;
                                   not shown in reprs
        inference_id               your id for this request, 1 to 64 characters; SageMaker makes one
                                   if it is left out
        s3_output_path_extension   path below the endpoint's S3 output path for the answer: 1 to 512
                                   characters
        filename                   file name of the answer: 1 to 32 characters
        request_ttl_seconds        how long the request may wait in the queue: 60 to 21600 seconds
                                   (service default 21600)
        invocation_timeout_seconds how long the model may take: 1 to 3600 seconds (service default
                                   900)

    Raises `ConstructionError`, which names the member and its rule.
    """

    path = "/endpoints/{EndpointName}/async-invocations"
    success = 202
    output: ClassVar[type[Output]] = InvokeEndpointAsyncOutput
    errors: ClassVar[tuple[type[ServiceError], ...]] = (
        InternalFailure,
        ServiceUnavailable,
        ValidationError,
    )

    endpoint_name: str = label("EndpointName", NAME, kw_only=False)
    body: Body | None = payload("Body", Blob(128_000), default=None)
    content_type: str | None = header("X-Amzn-SageMaker-Content-Type", TEXT, default=None)
    accept: str | None = header("X-Amzn-SageMaker-Accept", TEXT, default=None)
    custom_attributes: str | None = header(
        "X-Amzn-SageMaker-Custom-Attributes", TEXT, default=None, secret=True
    )
    inference_id: str | None = header("X-Amzn-SageMaker-Inference-Id", SHORT_TEXT, default=None)
    input_location: str | None = header("X-Amzn-SageMaker-InputLocation", LOCATION, default=None)
    s3_output_path_extension: str | None = header(
        "X-Amzn-SageMaker-S3OutputPathExtension", OUTPUT_PATH, default=None
    )
    filename: str | None = header("X-Amzn-SageMaker-Filename", FILENAME, default=None)
    request_ttl_seconds: int | None = header(
        "X-Amzn-SageMaker-RequestTTLSeconds", WholeNumber(60, 21_600), default=None
    )
    invocation_timeout_seconds: int | None = header(
        "X-Amzn-SageMaker-InvocationTimeoutSeconds", WholeNumber(1, 3_600), default=None
    )

    def _check_members(self) -> None:
        if (self.body is None) == (self.input_location is None):
            message = "body: pass exactly one of body and input_location"
            raise ConstructionError("body", "given if input_location is not", message=message)
