"""The operations of SageMaker over containers that know nothing of operations.

    InvokeEndpoint                      the parts of the reply, joined
    InvokeEndpointWithResponseStream    an event for each part, as the container makes it
    InvokeEndpointAsync                 the parts joined later, by a worker (`_async_jobs`)

In all three, a container that fails before its first part is answered with `ModelError`. One that
fails later ends a stream with `ModelStreamError`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Final, NamedTuple, TypeAlias, cast

from smruntime_core import (
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStreamOutput,
    ModelError,
    Operation,
    Output,
    Response,
    ResponseError,
    ServiceError,
    ValidationError,
    service,
)

from ..models._call import Call
from ..models._container import ContainerReply, ContainerTimeout, Model, Refusal
from ..models._function import make_function_model
from . import _openai_path
from ._async_jobs import AsyncJobs, ObjectStore
from ._faults import (
    WIRE_FAULTS,
    Delay,
    HtmlPage,
    RandomDelay,
    Reply,
    Scripts,
    Step,
    WireFault,
    parse_fault,
    without_fault,
)
from ._recorded_calls import RecordedCalls
from ._recorder import Recorder
from ._replay import Replay
from ._routing import DEFAULT_VARIANT, HostedEndpoint, Route, SingleModel
from ._stream_behavior import (
    Sleep,
    StreamBehavior,
    StreamedResponse,
    encode_stream,
    parse_attributes,
)

ACCOUNT_ID: Final = "000000000000"
MAX_RESPONSE_SIZE: Final = 64 * 1024 * 1024  # bytes that a container may return in one piece


class FaultyResponse(NamedTuple):
    """A response, and what happens to it on its way."""

    response: Response | StreamedResponse
    fault: WireFault


HostedResponse: TypeAlias = "Response | StreamedResponse | FaultyResponse"


def _refuse_model(call: Call) -> ContainerReply:
    raise Refusal(500, f"{call.endpoint_name} is replayed and has no model")


_REPLAYED_ROUTE: Final = Route(_refuse_model, DEFAULT_VARIANT, 0)


class ModelHost:
    """The endpoints of one region by name, with the number of sessions their containers opened.

    Outputs of asynchronous invocations are stored below `url`. `stream_behavior` applies to streams
    unless a call sets its own; `sleep` waits for its delays.
    """

    def __init__(
        self,
        endpoints: Mapping[str, HostedEndpoint],
        *,
        region: str,
        url: str,
        stream_behavior: StreamBehavior,
        sleep: Sleep,
        replay: Replay | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.store: ObjectStore = ObjectStore()
        self.calls: RecordedCalls = RecordedCalls()
        self.scripts: Scripts = Scripts()
        self.sessions_opened: int = 0
        self._replay = replay
        self._recorder = recorder
        self._first_endpoints = endpoints
        self._endpoints = dict(endpoints)
        self._region = region
        self._stream_behavior = stream_behavior
        self._sleep = sleep
        self._sessions_lock = threading.Lock()
        self._async_jobs = AsyncJobs(self._invoke_within, self.store, url)

    @property
    def endpoint_names(self) -> list[str]:
        """The names of the endpoints, in order."""
        replayed_names = self._replay.endpoint_names if self._replay else ()
        return sorted({*self._endpoints, *replayed_names})

    def add_endpoint(self, endpoint_name: str, endpoint: HostedEndpoint) -> None:
        """Add an endpoint, or replace the one of that name."""
        self._endpoints[endpoint_name] = endpoint

    def reset(self) -> None:
        """Forget calls, steps, objects, and endpoints that were added."""
        self.calls.clear()
        self.scripts.clear()
        self.store.clear()
        self._endpoints = dict(self._first_endpoints)
        if self._replay is not None:
            self._replay.reset()

    def add_steps(self, endpoint_name: str, steps: tuple[object, ...]) -> None:
        """Append steps to the script of an endpoint; raises `ValueError` if there is none."""
        if endpoint_name not in self.endpoint_names:
            known = ", ".join(self.endpoint_names)
            raise ValueError(f"there is no endpoint {endpoint_name!r}; there are {known}")
        self.scripts.add(endpoint_name, steps)

    def _model_seconds(self, call: InvokeEndpoint) -> float:
        return self._find_endpoint(call.endpoint_name).model_seconds

    def clock_seconds(self, endpoint_name: str) -> float:
        """Return how far the clock of an endpoint is ahead, 0 if there is no such endpoint."""
        endpoint = self._endpoints.get(endpoint_name)
        return 0.0 if endpoint is None else endpoint.clock_seconds

    def close(self) -> None:
        """End the workers of asynchronous invocations."""
        self._async_jobs.close()

    def close_recording(self) -> None:
        """Close the recording, if there is one: after the last response has been sent."""
        if self._recorder is not None:
            self._recorder.close()

    def respond(self, operation: Operation[Output], *, request_id: str) -> HostedResponse:
        """Return the response to `operation`; raises the `ServiceError` to answer with."""
        if not isinstance(operation, service.OPERATIONS):
            message = f"The local endpoint does not support {type(operation).__name__}."
            raise ServiceError(message, code="UnknownOperationException", status=404)
        if self._recorder is not None:
            return self._recorder.respond(operation)
        members = vars(operation)
        replay = self._find_replay(members["endpoint_name"])
        if replay is not None and members["endpoint_name"] not in replay.endpoint_names:
            return replay.respond(operation)  # which raises the error with the nearest exchange
        custom_attributes = members.get("custom_attributes") if replay is None else None
        step = self._take_step(members["endpoint_name"], custom_attributes)
        if isinstance(step, HtmlPage):
            return step.response()
        model = make_function_model(step.answer) if isinstance(step, Reply) else None
        if replay is not None and model is None:
            self._record_call(operation, type(operation).__name__, _REPLAYED_ROUTE)
            response = replay.respond(operation)
        else:
            response = self._respond(operation, request_id, model)
        return FaultyResponse(response, step) if isinstance(step, WIRE_FAULTS) else response

    def relay(self, call: InvokeEndpoint, *, streamed: bool, request_id: str) -> HostedResponse:
        """Return the container's own response to `call`, without SageMaker's headers.

        Raises the `ServiceError` to answer with.
        """
        if self._recorder is not None or self._find_replay(call.endpoint_name) is not None:
            message = "The OpenAI path is neither recorded nor replayed."
            raise ServiceError(message, code="NotImplemented", status=501)
        step = self._take_step(call.endpoint_name, None)
        if isinstance(step, HtmlPage):
            return step.response()
        model = make_function_model(step.answer) if isinstance(step, Reply) else None
        response = self._relay(call, streamed, request_id, model)
        return FaultyResponse(response, step) if isinstance(step, WIRE_FAULTS) else response

    def _take_step(self, endpoint_name: str, custom_attributes: str | None) -> Step | None:
        """Return what is to happen to the next call of an endpoint, after a delay if it is one.

        Raises a `ServiceError` if that is the step.
        """
        self._find_endpoint(endpoint_name)
        step = self.scripts.take(endpoint_name) or parse_fault(custom_attributes)
        if isinstance(step, ServiceError):
            raise step
        if isinstance(step, Delay | RandomDelay):
            self._sleep(step.seconds)
        return step

    def _respond(
        self, operation: Operation[Output], request_id: str, model: Model | None
    ) -> Response | StreamedResponse:
        if isinstance(operation, InvokeEndpointWithResponseStream):
            return self._stream(operation, request_id, model)
        if isinstance(operation, InvokeEndpointAsync):
            invoke = partial(self._invoke_within, model=model)
            output = self._async_jobs.submit(operation, invoke)
            return service.answer(output, request_id=request_id)
        call = cast("InvokeEndpoint", operation)
        return service.answer(self._invoke(call, model), request_id=request_id)

    def _relay(
        self, call: InvokeEndpoint, streamed: bool, request_id: str, model: Model | None
    ) -> Response | StreamedResponse:
        operation_name = f"InvokeEndpoint{'WithResponseStream' * streamed}"
        container_reply = self._call_container(call, operation_name, model)
        content_type = container_reply.content_type or "application/octet-stream"
        header_fields = (("x-amzn-RequestId", request_id), ("Content-Type", content_type))
        response_head = Response(200, header_fields)
        if not streamed:
            return response_head.replace(body=self._join_parts(container_reply, call))
        parts = self._iterate_parts(container_reply, call)
        nonempty_parts = (part for part in parts if part)
        return StreamedResponse(response_head, _openai_path.append_error_event(nonempty_parts))

    def _invoke(self, call: InvokeEndpoint, model: Model | None) -> InvokeEndpointOutput:
        container_reply = self._call_container(call, model=model)
        whole_body = self._join_parts(container_reply, call, self._model_seconds(call))
        members: dict[str, object] = {"body": whole_body}
        members |= _output_headers(InvokeEndpointOutput, container_reply)
        return service.make_unchecked(InvokeEndpointOutput, members)

    def _invoke_within(
        self, call: InvokeEndpoint, seconds: float, model: Model | None = None
    ) -> bytes:
        container_reply = self._call_container(call, "InvokeEndpointAsync", model)
        return self._join_parts(container_reply, call, seconds)

    def _stream(
        self, operation: InvokeEndpointWithResponseStream, request_id: str, model: Model | None
    ) -> StreamedResponse:
        custom_attributes = operation.custom_attributes
        if parse_fault(custom_attributes) is not None:
            custom_attributes = without_fault(custom_attributes)
        behavior = parse_attributes(custom_attributes, self._stream_behavior)
        # All members of the streamed operation are members of InvokeEndpoint.
        container_call = service.make_unchecked(InvokeEndpoint, vars(operation))
        operation_name = type(operation).__name__
        container_reply = self._call_container(container_call, operation_name, model)
        parts = self._iterate_parts(container_reply, container_call)
        output_type = InvokeEndpointWithResponseStreamOutput
        members = _output_headers(output_type, container_reply)
        output = service.make_unchecked(output_type, members)
        response_head = service.begin(output, request_id=request_id)
        return StreamedResponse(response_head, encode_stream(parts, behavior, self._sleep))

    def _find_replay(self, endpoint_name: str) -> Replay | None:
        """Return the recording that answers for an endpoint; None if a model does."""
        return None if endpoint_name in self._endpoints else self._replay

    def _record_call(self, call: Operation[Output], operation_name: str, route: Route) -> Call:
        """Return `call` as a model receives it, and keep it for `Endpoint.calls`."""
        members: dict[str, object] = {**vars(call)}
        members |= {"body": bytes(vars(call).get("body") or b""), "operation": operation_name}
        members |= {"variant": route.variant, "worker": route.worker}
        received_call = service.make_unchecked(Call, members)
        self.calls.record(received_call)
        return received_call

    def _find_endpoint(self, endpoint_name: str) -> HostedEndpoint:
        endpoint = self._endpoints.get(endpoint_name)
        if endpoint is None and self._replay and endpoint_name in self._replay.endpoint_names:
            return SingleModel(_REPLAYED_ROUTE.model)
        if endpoint is None:
            raise ValidationError(f"Endpoint {endpoint_name} of account {ACCOUNT_ID} not found.")
        return endpoint

    def _call_container(
        self,
        call: InvokeEndpoint,
        operation_name: str = "InvokeEndpoint",
        model: Model | None = None,
    ) -> ContainerReply:
        """Return the reply of the endpoint's model, or of `model` instead."""
        endpoint = self._find_endpoint(call.endpoint_name)
        route = endpoint.find(call)
        received_call = self._record_call(call, operation_name, route)
        with self._model_errors(call.endpoint_name):
            container_reply = (model or route.model)(received_call)
            if endpoint.capture is not None:
                container_reply = endpoint.capture.watch(received_call, container_reply)
        container_reply = container_reply._replace(invoked_production_variant=route.variant)
        if container_reply.new_session_id:
            with self._sessions_lock:
                self.sessions_opened += 1
        return container_reply

    def _join_parts(
        self, container_reply: ContainerReply, call: InvokeEndpoint, seconds: float = math.inf
    ) -> bytes:
        """Return the whole body; raises `ModelError` if it is too large or takes too long."""
        deadline, whole_body = time.monotonic() + seconds, bytearray()
        with self._model_errors(call.endpoint_name):
            for part in container_reply.parts:
                whole_body += part
                if len(whole_body) > MAX_RESPONSE_SIZE:
                    message = f"The container's response has more than {MAX_RESPONSE_SIZE} bytes."
                    raise Refusal(0, message)
                if time.monotonic() > deadline:
                    raise ContainerTimeout(seconds, "the response was not complete after")
        return bytes(whole_body)

    def _iterate_parts(
        self, container_reply: ContainerReply, call: InvokeEndpoint
    ) -> Iterator[bytes]:
        """Return the parts; the first is made now, because a container may fail before it."""
        parts = self._generate_parts(container_reply, call)
        first_part = next(parts, b"")
        return chain((first_part,), parts)

    def _generate_parts(
        self, container_reply: ContainerReply, call: InvokeEndpoint
    ) -> Iterator[bytes]:
        with self._model_errors(call.endpoint_name):
            yield from container_reply.parts

    @contextmanager
    def _model_errors(self, endpoint_name: str) -> Generator[None]:
        """Raise failures of a container as `ModelError`; a `ServiceError` passes unchanged."""
        try:
            yield
        except ServiceError:
            raise
        except Refusal as failure:
            raise self._make_model_error(
                endpoint_name, failure.status, failure.message
            ) from failure
        except (ValueError, ResponseError) as failure:
            raise self._make_model_error(endpoint_name, 400, str(failure)) from failure
        except Exception as failure:
            message = f"{type(failure).__name__}: {failure}"
            raise self._make_model_error(endpoint_name, 500, message) from failure

    def _make_model_error(self, endpoint_name: str, status: int, message: str) -> ModelError:
        side = "client" if 400 <= status < 500 else "server"
        model_error = ModelError(
            f'Received {side} error ({status}) from primary with message "{message}".'
        )
        model_error.original_status_code = status
        model_error.original_message = message
        log_group = f"/aws/sagemaker/Endpoints/{endpoint_name}"
        model_error.log_stream_arn = (
            f"arn:aws:logs:{self._region}:{ACCOUNT_ID}:log-group:{log_group}"
        )
        return model_error


def _output_headers(
    output_type: type[Output], container_reply: ContainerReply
) -> dict[str, object]:
    """Return the members of an output that travel as headers and have a value."""
    member_values: dict[str, object] = container_reply._asdict()
    names = service.header_names(output_type)
    return {name: member_values[name] for name in names if member_values[name] is not None}
