"""Operations on one side, containers on the other: what SageMaker itself does between them.

    InvokeEndpoint                      the parts of the reply joined
    InvokeEndpointWithResponseStream    an event for each part, as it is made
    InvokeEndpointAsync                 the parts joined later, by a worker (`_jobs`)

A container that fails before its first part is answered with `ModelError`, in all three. One that fails later can only end a
stream, with `ModelStreamError`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple, TypeAlias

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
    ServiceError,
    ValidationError,
    service,
)

from . import _openai
from ._jobs import Jobs, Store
from ._limits import MAX_BODY
from ._streaming import Manner, Sleep, asked, frames
from .models._container import Model, Refusal, Reply, TimedOut

ACCOUNT = "000000000000"
VARIANT = "AllTraffic"


class StreamedResponse(NamedTuple):
    """An answer whose head is known, and whose body comes chunk by chunk."""

    head: Response
    chunks: Generator[bytes]


Answer: TypeAlias = "Response | StreamedResponse"


class Host:
    """The endpoints of one region by name, and how many sessions their containers have opened.

    `url` is where stored answers will be found, `manner` how streams come unless a call says otherwise, `sleep` how they wait.
    """

    def __init__(
        self, models: Mapping[str, Model], *, region: str, url: str, manner: Manner, sleep: Sleep
    ) -> None:
        self.store = Store()
        self.sessions_opened = 0
        self._models = models
        self._region = region
        self._manner = manner
        self._sleep = sleep
        self._lock = threading.Lock()
        self._jobs = Jobs(self._done, self.store, url)

    def close(self) -> None:
        """End the workers."""
        self._jobs.close()

    def answer(self, operation: Operation[Output], *, request_id: str) -> Answer:
        """What the service says to `operation`; raises the `ServiceError` that it says otherwise."""
        if isinstance(operation, InvokeEndpointWithResponseStream):
            return self._stream(operation, request_id)
        if isinstance(operation, InvokeEndpointAsync):
            self._model(operation.endpoint_name)
            return service.answer(self._jobs.submit(operation), request_id=request_id)
        if isinstance(operation, InvokeEndpoint):
            return service.answer(self._invoke(operation), request_id=request_id)
        raise ServiceError("not offered here", code="UnknownOperationException", status=404)

    def relay(self, call: InvokeEndpoint, *, streamed: bool, request_id: str) -> Answer:
        """What the container itself says to `call`; raises the `ServiceError` that it says otherwise."""
        reply = self._asked(call)
        head = Response(
            200,
            (
                ("x-amzn-RequestId", request_id),
                ("Content-Type", reply.content_type or "application/octet-stream"),
            ),
        )
        if not streamed:
            return head.replace(body=self._joined(reply, call))
        parts = self._blamed(reply, call)
        first = next(parts, b"")  # before the head: a container may fail here
        return StreamedResponse(
            head, _openai.ending_well(part for part in chain((first,), parts) if part)
        )

    def _invoke(self, call: InvokeEndpoint) -> InvokeEndpointOutput:
        reply = self._asked(call)
        return service.make_unchecked(
            InvokeEndpointOutput,
            {"body": self._joined(reply, call), **_said(InvokeEndpointOutput, reply)},
        )

    def _done(self, call: InvokeEndpoint, seconds: float) -> bytes:
        return self._joined(self._asked(call), call, seconds)

    def _stream(
        self, operation: InvokeEndpointWithResponseStream, request_id: str
    ) -> StreamedResponse:
        manner = asked(operation.custom_attributes, self._manner)
        call = service.make_unchecked(
            InvokeEndpoint, vars(operation)
        )  # its members are among those of InvokeEndpoint
        reply = self._asked(call)
        parts = self._blamed(reply, call)
        first = next(parts, b"")  # before the head: a container may fail here
        kind = InvokeEndpointWithResponseStreamOutput
        head = service.begin(
            service.make_unchecked(kind, _said(kind, reply)), request_id=request_id
        )
        return StreamedResponse(head, frames(chain((first,), parts), manner, self._sleep))

    def _model(self, name: str) -> Model:
        model = self._models.get(name)
        if model is None:
            raise ValidationError(f"Endpoint {name} of account {ACCOUNT} not found.")
        return model

    def _asked(self, call: InvokeEndpoint) -> Reply:
        with self._blaming(call.endpoint_name):
            reply = self._model(call.endpoint_name)(call)
        if reply.new_session_id:
            with self._lock:
                self.sessions_opened += 1
        return reply

    def _joined(self, reply: Reply, call: InvokeEndpoint, seconds: float = math.inf) -> bytes:
        """The whole body, if it comes in time."""
        deadline, body = time.monotonic() + seconds, bytearray()
        with self._blaming(call.endpoint_name):
            for part in reply.parts:
                body += part
                if len(body) > MAX_BODY:
                    raise Refusal(0, f"The container's answer has more than {MAX_BODY} bytes.")
                if time.monotonic() > deadline:
                    raise TimedOut(seconds)
        return bytes(body)

    def _blamed(self, reply: Reply, call: InvokeEndpoint) -> Iterator[bytes]:
        with self._blaming(call.endpoint_name):
            yield from reply.parts

    @contextmanager
    def _blaming(self, endpoint_name: str) -> Generator[None]:
        """Make what a container raises the error that the service says."""
        try:
            yield
        except ServiceError:
            raise
        except Refusal as fault:
            raise self._model_error(endpoint_name, fault.status, fault.message) from fault
        except ValueError as fault:
            raise self._model_error(endpoint_name, 400, str(fault)) from fault
        except Exception as fault:  # a container that fails does not take the service down
            raise self._model_error(
                endpoint_name, 500, f"{type(fault).__name__}: {fault}"
            ) from fault

    def _model_error(self, endpoint_name: str, status: int, message: str) -> ModelError:
        side = "client" if 400 <= status < 500 else "server"
        error = ModelError(
            f'Received {side} error ({status}) from primary with message "{message}".'
        )
        error.original_status_code = status
        error.original_message = message
        error.log_stream_arn = f"arn:aws:logs:{self._region}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{endpoint_name}"
        return error


def _said(kind: type[Output], reply: Reply) -> dict[str, object]:
    """The members of an output that travel as headers, as far as there are any."""
    values: dict[str, object] = {**reply._asdict(), "invoked_production_variant": VARIANT}
    return {name: values[name] for name in service.header_names(kind) if values[name] is not None}
