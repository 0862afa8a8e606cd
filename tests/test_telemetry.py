"""Spans and metrics of calls, as OpenTelemetry's own in-memory exporter and reader see them."""

from __future__ import annotations

import ast
import asyncio
import io
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import smruntime_core as sm
from smruntime_core.effects import GetCredentials, Sleep
from smruntime_core.notices import RequestBuilt
from smruntime_core.testing import FrozenClock
from smruntime_transports import AsyncClient, sockets, telemetry
from smruntime_transports.telemetry import OpenTelemetry

from .callers import CREDENTIALS, IRIS, STREAMED, Performer, Step
from .servers import OK, Peer, acting, scripted
from .test_notices import BUSY, EAGER, streamed

CALL = "SageMaker Runtime.InvokeEndpoint"
INVALID = b"HTTP/1.1 400 x\r\nx-amzn-errortype: ValidationError\r\nContent-Length: 2\r\n\r\n{}"
STREAM = "SageMaker Runtime.InvokeEndpointWithResponseStream"


class Exported(NamedTuple):
    """An observer, and what it exported."""

    observe: OpenTelemetry
    spans: InMemorySpanExporter
    metrics: InMemoryMetricReader
    tracers: TracerProvider

    def call(self) -> ReadableSpan:
        """Return the span of the only call, after a check that all spans have ended."""
        (call,) = [span for span in self.ended() if span.name in (CALL, STREAM)]
        return call

    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.ended() if span.name == "POST"]

    def ended(self) -> tuple[ReadableSpan, ...]:
        assert not self.observe._open_calls
        return self.spans.get_finished_spans()

    def points(self, name: str) -> list[Any]:
        """Return the data points of the metric `name`."""
        data = self.metrics.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def exported() -> Iterator[Exported]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    observe = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)
    yield Exported(observe, exporter, reader, tracers)
    tracers.shutdown()
    meters.shutdown()


def client_for(url: str, exported: Exported, **settings: Any) -> sockets.Client:
    return sockets.Client(
        region="us-east-1",
        endpoint_url=url,
        credentials=CREDENTIALS,
        observe=exported.observe,
        **settings,
    )


def test_call_is_a_span_with_one_for_each_attempt(perform: Performer, exported: Exported) -> None:
    with scripted(BUSY, OK) as server:
        perform(server.url, observe=exported.observe, retries=EAGER)
    call, (first, second) = exported.call(), exported.attempts()
    assert call.attributes is not None
    assert first.attributes is not None
    assert second.attributes is not None
    assert (call.name, call.kind, call.status.status_code) == (
        CALL,
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    address, _, port = server.url.removeprefix("http://").partition(":")
    assert dict(call.attributes) == {
        "rpc.system.name": "aws-api",
        "rpc.method": "SageMaker Runtime/InvokeEndpoint",
        "server.address": address,
        "server.port": int(port),
        "cloud.region": "us-east-1",
        "smruntime.endpoint_name": "iris",
        "http.request.body.size": len(IRIS.body),
        "aws.request_id": "r-1",
        "smruntime.attempts": 2,
    }
    assert [event.name for event in call.events] == ["waiting"]
    assert first.parent == second.parent == call.get_span_context()
    assert first.attributes["error.type"] == "ServiceUnavailable"
    assert (first.status.status_code, second.status.status_code) == (
        StatusCode.ERROR,
        StatusCode.UNSET,
    )
    assert (first.attributes["http.response.status_code"], first.attributes["aws.request_id"]) == (
        503,
        "r-0",
    )
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert second.attributes["url.path"] == "/endpoints/iris/invocations"
    (point,) = exported.points("rpc.client.call.duration")
    assert (point.count, point.attributes) == (
        1,
        {
            "rpc.system.name": "aws-api",
            "rpc.method": "SageMaker Runtime/InvokeEndpoint",
            "server.address": address,
            "server.port": int(port),
        },
    )


def test_call_has_the_callers_span_as_parent(perform: Performer, exported: Exported) -> None:
    """On every transport: also where the call runs as a task of an event loop."""
    with (
        scripted(OK) as server,
        exported.tracers.get_tracer("test").start_as_current_span("caller") as caller,
    ):
        perform(server.url, observe=exported.observe)
        assert trace.get_current_span() is caller
    assert exported.call().parent == caller.get_span_context()


def test_failed_call_has_its_error(perform: Performer, exported: Exported) -> None:
    with scripted(5.0) as server:
        perform(server.url, observe=exported.observe, timeouts=sm.Timeouts(response=0.1))
    call = exported.call()
    assert call.attributes is not None
    assert (call.attributes["error.type"], call.status.status_code) == ("timeout", StatusCode.ERROR)
    (point,) = exported.points("rpc.client.call.duration")
    assert point.attributes["error.type"] == "timeout"


def test_call_without_credentials_ends_its_span(exported: Exported) -> None:
    class Broken:
        def credentials(self, effect: GetCredentials) -> sm.Credentials:
            raise sm.CredentialsError("there are none")

    runtime = sm.Runtime(
        sm.Config(region="eu-west-1"),
        clock=FrozenClock(),
        random=lambda: 0.5,
        observe=exported.observe,
    )
    with suppress(sm.CredentialsError):
        sm.run(runtime.call(IRIS), Broken())
    call = exported.call()
    assert call.attributes is not None
    assert call.attributes["error.type"] == "CredentialsError"
    assert exported.attempts() == []


def test_stream_ends_its_span_when_it_was_read(perform: Performer, exported: Exported) -> None:
    with scripted(streamed(b"a" * 100, b"b" * 100)) as server:
        perform(server.url, Step(STREAMED), observe=exported.observe)
    call = exported.call()
    attributes = call.attributes
    assert attributes is not None
    assert (attributes["smruntime.stream.outcome"], attributes["smruntime.stream.size"]) == (
        "ok",
        200,
    )
    seconds = attributes["gen_ai.response.time_to_first_chunk"]
    (point,) = exported.points("gen_ai.client.operation.time_to_first_chunk")
    assert (point.count, point.sum) == (1, seconds)
    assert point.attributes["gen_ai.request.model"] == "story"
    (duration,) = exported.points("rpc.client.call.duration")
    assert 0 < point.sum < duration.sum


@pytest.mark.parametrize(
    ("answer", "outcome", "error"),
    [
        (streamed(b"a", b"b"), "closed", None),
        (streamed(b"a", b"b")[:-5], "truncated", "truncated"),
        (streamed(b"a", b"\xff"), "StreamError", "StreamError"),
    ],
)
def test_stream_that_ends_early_ends_its_span(
    answer: bytes, outcome: str, error: str | None, exported: Exported
) -> None:
    with (
        scripted(answer) as server,
        client_for(server.url, exported) as client,
        client.stream(STREAMED) as stream,
        suppress(sm.SmRuntimeError),
    ):
        for _ in stream.text():
            if outcome == "closed":
                break
    attributes = exported.call().attributes
    assert attributes is not None
    assert (attributes["smruntime.stream.outcome"], attributes.get("error.type")) == (
        outcome,
        error,
    )


def never_answer(peer: Peer) -> None:
    """Read the request, and for a stream send all but the end of the answer."""
    request = peer.read()
    if b"-response-stream" in request:
        peer.send(streamed(b"a", b"b")[:-20])
    peer.idle()


async def call_forever(url: str, exported: Exported, began: threading.Event) -> None:
    async with AsyncClient(
        region="us-east-1", endpoint_url=url, credentials=CREDENTIALS, observe=exported.observe
    ) as client:
        began.set()
        await client.call(IRIS)


async def read_forever(url: str, exported: Exported, began: threading.Event) -> None:
    async with (
        AsyncClient(
            region="us-east-1", endpoint_url=url, credentials=CREDENTIALS, observe=exported.observe
        ) as client,
        client.stream(STREAMED) as stream,
    ):
        async for _ in stream.text():
            began.set()


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("work", "error"), [(call_forever, "cancelled"), (read_forever, None)], ids=["call", "stream"]
)
def test_cancellation_ends_all_spans(
    loop: str, work: Any, error: str | None, exported: Exported
) -> None:
    began = threading.Event()

    async def on_asyncio(url: str) -> None:
        task = asyncio.ensure_future(work(url, exported, began))
        while not began.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def on_trio(url: str) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, url, exported, began)
            while not began.is_set():
                await trio.sleep(0.01)
            await trio.sleep(0.05)
            nursery.cancel_scope.cancel()

    with acting(never_answer) as stage:
        if loop == "asyncio":
            asyncio.run(on_asyncio(stage.url))
        else:
            trio.run(on_trio, stage.url)
    attributes = exported.call().attributes
    assert attributes is not None
    assert attributes.get("error.type") == error
    assert len(exported.attempts()) == 1


def perform_whole(client: sockets.Client, operation: Any) -> None:
    if operation is IRIS:
        client.call(operation)
        return
    with client.stream(operation) as stream:
        list(stream.text())


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
@pytest.mark.parametrize("operation", [IRIS, STREAMED], ids=["call", "stream"])
def test_interrupt_ends_all_spans(operation: Any, exported: Exported) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with acting(never_answer) as stage, client_for(stage.url, exported) as client:
            signal.setitimer(signal.ITIMER_REAL, 0.15)
            with pytest.raises(Interrupted):
                perform_whole(client, operation)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    exported.call()
    assert len(exported.attempts()) == 1


def test_flow_that_is_given_up_after_any_effect_ends_its_spans(exported: Exported) -> None:
    effects_of_two_attempts = 5  # credentials, send, sleep, credentials, send
    replies = [CREDENTIALS, sm.Response(503), None, CREDENTIALS, sm.Response(200)]
    runtime = sm.Runtime(
        sm.Config(region="eu-west-1"),
        clock=FrozenClock(),
        random=lambda: 0.5,
        observe=exported.observe,
    )
    for steps in range(effects_of_two_attempts):
        exported.spans.clear()
        flow = runtime.call(IRIS)
        effect = flow.send(None)
        for reply in replies[:steps]:
            effect = flow.send(reply)
        assert isinstance(effect, Sleep) == (steps == 2)
        flow.close()
        attributes = exported.call().attributes
        assert attributes is not None
        assert attributes["error.type"] == "cancelled"
        assert (
            len(exported.attempts()) == attributes["smruntime.attempts"] == (0, 1, 1, 1, 2)[steps]
        )


def test_abandoned_streams_are_bounded(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "MAX_OPEN_CALLS", 3)
    for number in range(10):
        exported.observe(
            RequestBuilt("InvokeEndpoint", str(number), "POST", "/", 0, "iris", "r", "[::1]:80")
        )
    assert len(exported.observe._open_calls) == 3
    spans = exported.spans.get_finished_spans()
    assert len(spans) == 7
    assert spans[0].attributes is not None
    assert (spans[0].attributes["error.type"], spans[0].attributes["server.address"]) == (
        "abandoned",
        "::1",
    )


def test_spans_hold_nothing_of_caller_or_model(perform: Performer, exported: Exported) -> None:
    secret = sm.InvokeEndpoint(
        endpoint_name="iris", body=b"the body", custom_attributes="the attributes"
    )
    with scripted(BUSY, OK) as server:
        step = Step(secret, {"extra_headers": {"x-a": "more"}})
        perform(server.url, step, observe=exported.observe, retries=EAGER)
    spans = exported.ended()
    text = repr([(span.name, dict(span.attributes or {})) for span in spans])
    text += repr([dict(event.attributes or {}) for span in spans for event in span.events])
    for word in ("the body", "the attributes", "more", "AKIDEXAMPLE", "wJalr", "a-session", "abc"):
        assert word not in text


def published_names() -> tuple[set[str], set[str]]:
    """Return the names in the package of semantic conventions: all, and the deprecated ones."""
    spec = find_spec("opentelemetry.semconv")
    assert spec is not None
    assert spec.submodule_search_locations
    names: set[str] = set()
    deprecated: set[str] = set()
    for file in Path(spec.submodule_search_locations[0]).rglob("*.py"):
        if file.parent.name not in ("attributes", "metrics"):
            continue
        statements = ast.parse(file.read_text("utf-8")).body
        for statement, following in pairwise(statements):
            value = getattr(statement, "value", None)
            if not (isinstance(statement, ast.AnnAssign) and isinstance(value, ast.Constant)):
                continue
            names.add(str(value.value))
            remark = getattr(getattr(following, "value", None), "value", "")
            # "Moved": the names for generative AI now have a repository of their own
            if re.match(r"\s*Deprecated: (?!Moved)", str(remark)):
                deprecated.add(str(value.value))
    return names, deprecated


def test_names_are_those_of_the_semantic_conventions(
    perform: Performer, exported: Exported
) -> None:
    with scripted(BUSY, OK, streamed(b"a"), INVALID) as server:
        steps = (Step(), Step(STREAMED), Step())
        perform(server.url, *steps, observe=exported.observe, retries=EAGER)
    used = {name for span in exported.ended() for name in span.attributes or ()}
    data = exported.metrics.get_metrics_data()
    assert data is not None
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        used |= {
            metric.name,
            *(name for p in metric.data.data_points for name in p.attributes or ()),
        }
    ours = {name for name in used if name.startswith("smruntime.")}
    names, deprecated = published_names()
    assert {"rpc.system", "rpc.service"} <= deprecated
    assert used - ours <= names - deprecated
    assert {
        "rpc.system.name",
        "rpc.method",
        "error.type",
        "rpc.client.call.duration",
        "aws.request_id",
        "http.request.resend_count",
        "gen_ai.client.operation.time_to_first_chunk",
    } <= used


@pytest.mark.parametrize(
    ("settings", "member"),
    [
        ({"tracer_provider": 1}, "tracer_provider"),
        ({"meter_provider": "otlp"}, "meter_provider"),
        ({"gen_ai_operation": ""}, "gen_ai_operation"),
    ],
)
def test_bad_setting_is_refused(settings: Any, member: str) -> None:
    with pytest.raises(sm.ConstructionError) as caught:
        OpenTelemetry(**settings)
    assert caught.value.member == member


def test_it_is_pickled_without_providers(exported: Exported) -> None:
    restored = pickle.loads(pickle.dumps(OpenTelemetry(gen_ai_operation="chat")))
    assert repr(restored) == "<OpenTelemetry gen_ai_operation='chat'>"
    with pytest.raises(TypeError, match="leave it out"):
        pickle.dump(exported.observe, io.BytesIO())


def test_missing_package_names_the_extra() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import smruntime_transports.telemetry"
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "pip install 'smruntime-core[otel]'" in completed.stderr


def test_threads_share_one_observer(exported: Exported) -> None:
    with scripted(*[OK] * 40) as server, client_for(server.url, exported) as client:
        threads = [
            threading.Thread(target=lambda: [client.call(IRIS) for _ in range(5)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    spans = exported.ended()
    calls = {span.context.span_id for span in spans if span.name == CALL and span.context}
    parents = [span.parent.span_id for span in spans if span.name == "POST" and span.parent]
    assert len(calls) == 40
    assert sorted(parents) == sorted(calls)
