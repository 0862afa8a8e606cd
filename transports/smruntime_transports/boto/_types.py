"""The dictionaries that go in and come out, with AWS's names, as type checkers see them.

Their keys and types are those of `mypy_boto3_sagemaker_runtime`, so that functions annotated with
its dictionaries accept ours. `Body` has this package's type, and the values of a mutable dictionary
must have the same type, not a similar one: an answer as a whole is not assignable to that package's
`InvokeEndpointOutputTypeDef`, nor one of a stream.

The order of the members of an operation is that of AWS's model: error messages list them so.
"""

from __future__ import annotations

from typing import Generic, NotRequired, Protocol, Required, TypeAlias, TypedDict, TypeVar

BodyT = TypeVar("BodyT")


class ReadableBody(Protocol):
    """A file-like body of a request."""

    def read(self, size: int = ..., /) -> bytes | str: ...


BlobInput: TypeAlias = str | bytes | bytearray | ReadableBody


class InvokeEndpointInput(TypedDict):
    """The members of `invoke_endpoint`."""

    EndpointName: str
    Body: BlobInput
    ContentType: NotRequired[str]
    Accept: NotRequired[str]
    CustomAttributes: NotRequired[str]
    TargetModel: NotRequired[str]
    TargetVariant: NotRequired[str]
    TargetContainerHostname: NotRequired[str]
    InferenceId: NotRequired[str]
    EnableExplanations: NotRequired[str]
    InferenceComponentName: NotRequired[str]
    SessionId: NotRequired[str]
    PrefixAwareId: NotRequired[str]


class InvokeEndpointAsyncInput(TypedDict):
    """The members of `invoke_endpoint_async`."""

    EndpointName: str
    ContentType: NotRequired[str]
    Accept: NotRequired[str]
    CustomAttributes: NotRequired[str]
    InferenceId: NotRequired[str]
    InputLocation: NotRequired[str]
    S3OutputPathExtension: NotRequired[str]
    Filename: NotRequired[str]
    RequestTTLSeconds: NotRequired[int]
    InvocationTimeoutSeconds: NotRequired[int]
    Body: NotRequired[BlobInput]


class InvokeEndpointWithResponseStreamInput(TypedDict):
    """The members of `invoke_endpoint_with_response_stream`."""

    EndpointName: str
    Body: BlobInput
    ContentType: NotRequired[str]
    Accept: NotRequired[str]
    CustomAttributes: NotRequired[str]
    TargetVariant: NotRequired[str]
    TargetContainerHostname: NotRequired[str]
    InferenceId: NotRequired[str]
    InferenceComponentName: NotRequired[str]
    SessionId: NotRequired[str]
    PrefixAwareId: NotRequired[str]


class ResponseMetadata(TypedDict):
    """What is known of the HTTP response; `RequestId` is missing if the server sent none."""

    RequestId: str
    HTTPStatusCode: int
    HTTPHeaders: dict[str, str]
    RetryAttempts: int
    HostId: NotRequired[str]


class InvokeEndpointOutput(TypedDict, Generic[BodyT]):
    """The answer of `invoke_endpoint`; a member that the server did not send is missing."""

    Body: BodyT
    ContentType: str
    InvokedProductionVariant: str
    CustomAttributes: str
    NewSessionId: str
    ClosedSessionId: str
    ResponseMetadata: ResponseMetadata


class InvokeEndpointAsyncOutput(TypedDict):
    """The answer of `invoke_endpoint_async`; a member that the server did not send is missing."""

    InferenceId: str
    OutputLocation: str
    FailureLocation: str
    ResponseMetadata: ResponseMetadata


class InvokeEndpointWithResponseStreamOutput(TypedDict, Generic[BodyT]):
    """The head of a streamed answer, and the stream as `Body`."""

    Body: BodyT
    ContentType: str
    InvokedProductionVariant: str
    CustomAttributes: str
    ResponseMetadata: ResponseMetadata


class PayloadPart(TypedDict):
    """Some bytes of a streamed answer."""

    Bytes: NotRequired[bytes]


class ModelStreamErrorEvent(TypedDict):
    """An error of the model; it is raised and never yielded."""

    Message: NotRequired[str]
    ErrorCode: NotRequired[str]


class InternalStreamFailureEvent(TypedDict):
    """An error of the service; it is raised and never yielded."""

    Message: NotRequired[str]


class ResponseStreamEvent(TypedDict):
    """One event of a streamed answer."""

    PayloadPart: NotRequired[PayloadPart]
    ModelStreamError: NotRequired[ModelStreamErrorEvent]
    InternalStreamFailure: NotRequired[InternalStreamFailureEvent]


class ErrorDetails(TypedDict):
    """The code and message of an error."""

    Code: str
    Message: str


class ErrorMetadata(TypedDict, total=False):
    """What is known of the HTTP response that was an error."""

    RequestId: str
    HTTPStatusCode: int
    HTTPHeaders: dict[str, str]
    RetryAttempts: int
    MaxAttemptsReached: bool


class ErrorResponse(TypedDict, total=False):
    """The attribute `response` of a `ClientError`; which members it has depends on the error."""

    Error: Required[ErrorDetails]
    ResponseMetadata: ErrorMetadata
    Message: str
    OriginalStatusCode: int
    OriginalMessage: str
    LogStreamArn: str
    ErrorCode: str
