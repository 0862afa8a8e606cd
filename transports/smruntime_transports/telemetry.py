"""Spans and metrics of calls for OpenTelemetry, made from the notices of `observe=`.

    from smruntime_transports import Client
    from smruntime_transports.telemetry import OpenTelemetry

    client = Client(observe=OpenTelemetry())

A call is a span under the caller's current one, and each attempt is a span under that of the call:

    SageMaker Runtime.InvokeEndpoint     CLIENT   rpc.system.name, rpc.method, aws.request_id, …
      ├── POST                           CLIENT   http.response.status_code, error.type
      └── POST                           CLIENT   http.request.resend_count = 1

The span of a streamed call ends when the stream was read or closed. Names are those of the semantic
conventions, and `smruntime.*` where these have none. A span holds names, ids, sizes and times;
never a body, a header's value or a key. No `traceparent` is sent: SageMaker does not pass it on.

Needs the extra `otel`. Source: the semantic conventions for RPC, HTTP, AWS SDKs and generative AI.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from smruntime_core import ConstructionError, __version__
from smruntime_core.notices import (
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    FirstByte,
    Notice,
    PieceReceived,
    RequestBuilt,
    StreamEnded,
    Waiting,
)

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError as error:
    raise ImportError(
        "smruntime_transports.telemetry needs opentelemetry-api: pip install 'smruntime-core[otel]'"
    ) from error

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

__all__ = ["OpenTelemetry"]

SCOPE: Final = "smruntime_transports"
SERVICE: Final = "SageMaker Runtime"
PROVIDER: Final = "aws.sagemaker"
STREAMING_OPERATION: Final = "InvokeEndpointWithResponseStream"
# seconds, from the semantic conventions: RPC durations, and times to the first chunk
DURATION_BUCKETS: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
)
CHUNK_BUCKETS: Final = tuple(0.01 * 2**power for power in range(14))  # 10 ms to 81.92 s
# A stream that is neither read nor closed has no end; when more are open, the oldest is given up.
MAX_OPEN_CALLS: Final = 10_000
GOOD_ENDS: Final = ("ok", "closed")  # a caller may leave a stream early


class OpenTelemetry:
    """An observer that makes spans and metrics: `Client(observe=OpenTelemetry())`.

        tracer_provider        where spans go; by default the provider of the process
        meter_provider         where metrics go; by default the provider of the process
        gen_ai_operation       `gen_ai.operation.name` of streams, such as "chat"

    Metrics: `rpc.client.call.duration` of each call, to the end of its stream if it has one, and
    `gen_ai.client.operation.time_to_first_chunk` of each stream. One object may serve any number of
    clients and threads. It can be pickled with a client if no provider was given.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        gen_ai_operation: str = "invoke_endpoint",
    ) -> None:
        for name, provider, method in (
            ("tracer_provider", tracer_provider, "get_tracer"),
            ("meter_provider", meter_provider, "get_meter"),
        ):
            if provider is not None and not hasattr(provider, method):
                raise ConstructionError(name, f"an object with {method}(), or None")
        if not (isinstance(gen_ai_operation, str) and gen_ai_operation):
            raise ConstructionError("gen_ai_operation", "a name such as 'chat'")
        self._arguments: dict[str, object] = {
            "tracer_provider": tracer_provider,
            "meter_provider": meter_provider,
            "gen_ai_operation": gen_ai_operation,
        }
        self._gen_ai_operation = gen_ai_operation
        self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(SCOPE, __version__, meter_provider)
        self._call_duration = meter.create_histogram(
            "rpc.client.call.duration",
            unit="s",
            description="Duration of calls, streams included",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time from the call to the first bytes of a stream",
            explicit_bucket_boundaries_advisory=CHUNK_BUCKETS,
        )
        self._open_calls: dict[str, _OpenCall] = {}

    def __call__(self, notice: Notice) -> None:
        """Take a notice of a call; never raises for one that it does not know."""
        if isinstance(notice, RequestBuilt):
            self._begin(notice)
            return
        open_call = self._open_calls.get(notice.invocation)
        if open_call is None:  # given up
            return
        if isinstance(notice, AttemptStarted):
            open_call.start_attempt(notice, self._tracer)
        elif isinstance(notice, FirstByte):
            open_call.note_first_byte(notice)
        elif isinstance(notice, AttemptEnded):
            open_call.end_attempt(notice)
        elif isinstance(notice, Waiting):
            open_call.note_pause(notice)
        elif isinstance(notice, PieceReceived):
            self._receive_piece(open_call)
        elif isinstance(notice, CallEnded):
            open_call.end_call(notice)
            if notice.outcome != "ok" or not open_call.is_stream:
                self._end(notice.invocation, notice.outcome, notice.seconds)
        elif isinstance(notice, StreamEnded):
            open_call.end_stream(notice)
            self._end(notice.invocation, notice.outcome, notice.seconds)

    def _begin(self, notice: RequestBuilt) -> None:
        open_call = _OpenCall(notice, self._tracer)
        self._open_calls[notice.invocation] = open_call
        if len(self._open_calls) > MAX_OPEN_CALLS:
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        with suppress(RuntimeError, StopIteration):  # another thread has changed the dict
            given_up = self._open_calls.pop(next(iter(self._open_calls)), None)
            if given_up is not None:
                given_up.end("abandoned")

    def _receive_piece(self, open_call: _OpenCall) -> None:
        seconds = open_call.first_chunk_after()
        if seconds is not None:
            self._first_chunk.record(
                seconds,
                {
                    **open_call.server,
                    "gen_ai.operation.name": self._gen_ai_operation,
                    "gen_ai.provider.name": PROVIDER,
                    "gen_ai.request.model": open_call.endpoint_name,
                },
                open_call.context,
            )

    def _end(self, invocation: str, outcome: str, seconds: float) -> None:
        open_call = self._open_calls.pop(invocation, None)
        if open_call is None:
            return
        error = {} if outcome in GOOD_ENDS else {"error.type": outcome}
        self._call_duration.record(
            seconds, {**open_call.server, **open_call.method, **error}, open_call.context
        )
        open_call.end(outcome)

    def __reduce__(self) -> tuple[object, ...]:
        for name in ("tracer_provider", "meter_provider"):
            if self._arguments[name] is not None:
                message = f"an OpenTelemetry with a {name} cannot be pickled: leave it out"
                raise TypeError(f"{message}, and the restored one finds that of its process")
        return _restore, (self._gen_ai_operation,)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} gen_ai_operation={self._gen_ai_operation!r}>"


def _restore(gen_ai_operation: str) -> OpenTelemetry:
    return OpenTelemetry(gen_ai_operation=gen_ai_operation)


class _OpenCall:
    """The spans of one call in progress, and the attributes that its metrics share."""

    def __init__(self, notice: RequestBuilt, tracer: trace.Tracer) -> None:
        self.is_stream = notice.operation == STREAMING_OPERATION
        self.endpoint_name = notice.endpoint_name
        self.method = {"rpc.system.name": "aws-api", "rpc.method": f"{SERVICE}/{notice.operation}"}
        self.server = _server_attributes(notice.host)
        self._began: float | None = time.perf_counter()  # None once the first chunk has arrived
        self._attempt: Span | None = None
        self._request_attributes: dict[str, AttributeValue] = {
            **self.server,
            "http.request.method": notice.method,
            "url.path": notice.path,
        }
        attributes: dict[str, AttributeValue] = {
            **self.method,
            **self.server,
            "cloud.region": notice.region,
            "smruntime.endpoint_name": notice.endpoint_name,
            "http.request.body.size": notice.size,
        }
        if notice.inference_component_name is not None:
            attributes["smruntime.inference_component_name"] = notice.inference_component_name
        if self.is_stream:
            attributes["gen_ai.request.stream"] = True
        span_name = f"{SERVICE}.{notice.operation}"
        self._call = tracer.start_span(span_name, kind=SpanKind.CLIENT, attributes=attributes)
        self.context = trace.set_span_in_context(self._call)

    def start_attempt(self, notice: AttemptStarted, tracer: trace.Tracer) -> None:
        """Start the span of an attempt."""
        attributes = self._request_attributes
        if notice.number > 1:
            attributes = {**attributes, "http.request.resend_count": notice.number - 1}
        self._attempt = tracer.start_span(
            str(attributes["http.request.method"]),
            self.context,
            kind=SpanKind.CLIENT,
            attributes=attributes,
        )

    def note_first_byte(self, notice: FirstByte) -> None:
        """Add an event to the span of the attempt."""
        if self._attempt is not None:
            self._attempt.add_event("first byte", {"smruntime.seconds": notice.seconds})

    def end_attempt(self, notice: AttemptEnded) -> None:
        """End the span of the attempt, and give the call its request id."""
        if self._attempt is None:
            return
        if notice.status is not None:
            self._attempt.set_attribute("http.response.status_code", notice.status)
        if notice.request_id is not None:
            self._attempt.set_attribute("aws.request_id", notice.request_id)
            self._call.set_attribute("aws.request_id", notice.request_id)
        _end_span(self._attempt, notice.outcome)
        self._attempt = None

    def note_pause(self, notice: Waiting) -> None:
        """Add an event to the span of the call."""
        self._call.add_event(
            "waiting", {"smruntime.seconds": notice.seconds, "smruntime.reason": notice.reason}
        )

    def end_call(self, notice: CallEnded) -> None:
        """Say how many attempts there were."""
        self._call.set_attribute("smruntime.attempts", notice.attempts)

    def first_chunk_after(self) -> float | None:
        """Return the seconds to the first chunk when that has arrived; None for later chunks."""
        began, self._began = self._began, None
        if began is None:
            return None
        seconds = time.perf_counter() - began
        self._call.set_attribute("gen_ai.response.time_to_first_chunk", seconds)
        return seconds

    def end_stream(self, notice: StreamEnded) -> None:
        """Say how the stream ended, and how much of it was read."""
        self._call.set_attribute("smruntime.stream.outcome", notice.outcome)
        self._call.set_attribute("smruntime.stream.events", notice.events)
        self._call.set_attribute("smruntime.stream.size", notice.size)

    def end(self, outcome: str) -> None:
        """End all spans that are open."""
        if self._attempt is not None:
            _end_span(self._attempt, outcome)
        _end_span(self._call, outcome)


def _server_attributes(host: str) -> dict[str, AttributeValue]:
    """Return the address and the port of `host`, which may be an IPv6 address in brackets."""
    address, colon, port = host.rpartition(":")
    if not (colon and port.isascii() and port.isdigit()):
        return {"server.address": host.strip("[]")}
    return {"server.address": address.strip("[]"), "server.port": int(port)}


def _end_span(span: Span, outcome: str) -> None:
    if outcome not in GOOD_ENDS:
        span.set_attribute("error.type", outcome)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
