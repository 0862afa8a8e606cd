"""The operations of SageMaker Runtime, and the binding table: each line below is a member, its type, its place on the wire
and its rule. Source: the API reference of `InvokeEndpoint` and botocore's model of `sagemaker-runtime` (2017-05-13).

The names are those of the Rust client's builder. Body sizes have no hard limit here: the documented one (6,291,456 bytes)
has been raised before, and only the service knows today's.
"""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar, cast

from . import _decode, _encode
from ._bindings import Bound, Output, header, label, payload
from ._errors import (
    InternalDependencyException,
    InternalFailure,
    ModelError,
    ModelNotReadyException,
    ServiceError,
    ServiceUnavailable,
    ValidationError,
)
from ._metadata import Attempt
from ._model import Body, Request, Response
from ._rules import NEW_SESSION_ID, SESSION_ID, header_text, name

OutputT_co = TypeVar("OutputT_co", bound=Output, covariant=True)

TEXT = header_text(1024)
SHORT_TEXT = header_text(64)
NAME = name(63)


class Operation(Bound, Generic[OutputT_co]):
    """Something to ask of the service: a frozen record, checked when it is made, that knows its own request and answer."""

    method: ClassVar[str] = "POST"
    path: ClassVar[str]
    success: ClassVar[int] = 200
    output: ClassVar[type[Output]]
    errors: ClassVar[tuple[type[ServiceError], ...]]

    def request(self, endpoint: str) -> Request:
        """The unsigned request. `endpoint` is scheme, host and perhaps port and path: `"https://host"`.

        Raises `ConstructionError` if `endpoint` is no such URL.
        """
        return _encode.request(self, self.method, self.path, endpoint)

    def parse(self, response: Response, *, attempts: tuple[Attempt, ...] = ()) -> OutputT_co:
        """The output that `response` says; raises the `ServiceError` that it says otherwise.

        Whatever bytes the response holds, nothing else is raised. `attempts` goes into the metadata.
        """
        if 200 <= response.status < 300:
            return cast("OutputT_co", _decode.output(self.output, response, attempts))
        raise _decode.error(self.errors, response, attempts)


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
    bytearray while a call is on its way. `session_id` may be `"NEW_SESSION"`. Raises `ConstructionError` naming the member.

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
    body: Body = payload("Body")
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
