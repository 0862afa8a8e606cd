"""Subjects of this library. Only its public names are used, and only in this file."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from counting import Files, Frames
from measuring import (
    TASK_COUNT,
    AsyncCall,
    AsyncSubject,
    Crowd,
    LongestBlock,
    Members,
    MemoryGrowth,
    Missing,
    Subject,
)
from server import ANSWER_BODY, ANSWER_HEADERS, EVENT_COUNT
from work import (
    CREDENTIAL_MEMBERS,
    REGION,
    SERVICE,
    SERVICE_URL,
    SIGNING_TIME,
    TINY_EVENTS_ENDPOINT,
    botocore_parameters,
    fresh_members,
    large_answer_members,
    large_members,
)

import smruntime_core as sm
from smruntime_core.eventstream import EventStreamDecoder
from smruntime_core.streaming import NEED_DATA
from smruntime_transports import boto

OUR_PACKAGES = ("smruntime_core", "smruntime_transports")
CREDENTIALS = sm.Credentials(*CREDENTIAL_MEMBERS)
SCOPE = sm.Scope(REGION, SERVICE)
CANNED_RESPONSE = sm.Response(200, ANSWER_HEADERS, ANSWER_BODY)


def make_client(url: str, transport: str = "sockets", **options: object) -> Any:
    """Return a client of a transport."""
    module = import_module(f"smruntime_transports.{transport}")
    client_class = getattr(module, "Client", None) or module.AsyncClient
    return client_class(region=REGION, endpoint_url=url, credentials=CREDENTIALS, **options)


def signed_request(url: str, call_members: Members) -> sm.Request:
    """Return the signed request of a call."""
    request = sm.InvokeEndpoint(**call_members).request(url)
    return request.replace(
        headers=request.headers + sm.sign(request, CREDENTIALS, SCOPE, now=SIGNING_TIME).headers
    )


def sign(prepare: Callable[[], Members] = fresh_members) -> Subject:
    """Sign requests that are ready."""
    return Subject(
        lambda request: sm.sign(request, CREDENTIALS, SCOPE, now=SIGNING_TIME),
        lambda: sm.InvokeEndpoint(**prepare()).request(SERVICE_URL),
    )


def without_io(prepare: Callable[[], Members] = fresh_members) -> Subject:
    """Build and check an operation, sign its request, parse its answer."""
    url = sm.Config(region=REGION).url  # a client checks its URL once

    def call(call_members: Members) -> object:
        operation = sm.InvokeEndpoint(**call_members)
        request = operation.request(url)
        request.replace(
            headers=request.headers + sm.sign(request, CREDENTIALS, SCOPE, now=SIGNING_TIME).headers
        )
        return operation.parse(CANNED_RESPONSE)

    return Subject(call, prepare)


def invoke(url: str, transport: str = "sockets", **options: object) -> Callable[[Members], object]:
    """Return one call as applications write it."""
    our_client = make_client(url, transport, **options)
    return lambda call_members: our_client.invoke_endpoint(**call_members).body


def call(url: str, prepare: Callable[[], Members] = fresh_members, **options: Any) -> Subject:
    """Call with a client that has options."""
    return Subject(invoke(url, **options), prepare)


def boto_call(url: str) -> Subject:
    """Call with the client that is shaped like boto3's, its body read to the end."""
    boto_client = boto.client("sagemaker-runtime", **botocore_settings(url))
    return Subject(
        lambda call_members: boto_client.invoke_endpoint(**call_members)["Body"].read(),
        botocore_parameters,
    )


@asynccontextmanager
async def connect_boto(url: str) -> AsyncIterator[AsyncCall]:
    """Open the async client that is shaped like aiobotocore's; yield one call."""
    session = boto.aio.get_session()
    async with session.create_client("sagemaker-runtime", **botocore_settings(url)) as client:

        async def call(call_members: Members) -> object:
            answer = await client.invoke_endpoint(**call_members)
            async with answer["Body"] as body:
                return await body.read()

        yield call


def aio_boto_call(url: str) -> AsyncSubject:
    """Call on asyncio with the client that is shaped like aiobotocore's."""
    return AsyncSubject(lambda: connect_boto(url), botocore_parameters)


def botocore_settings(url: str) -> dict[str, Any]:
    """Return the arguments of a client of boto3, without retries."""
    key_id, secret_key, session_token = CREDENTIAL_MEMBERS
    return {
        "region_name": REGION,
        "endpoint_url": url,
        "aws_access_key_id": key_id,
        "aws_secret_access_key": secret_key,
        "aws_session_token": session_token,
        "config": SimpleNamespace(retries={"total_max_attempts": 1}),
    }


class Counter:
    """An observer that counts notices by their type."""

    def __init__(self) -> None:
        self.counts: dict[type[object], int] = {}

    def __call__(self, notice: object) -> None:
        kind = type(notice)
        self.counts[kind] = self.counts.get(kind, 0) + 1


def traced_call(url: str) -> Subject | Missing:
    """Call with spans and metrics that are recorded and exported to nothing."""
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError:
        return Missing("opentelemetry-sdk is not installed")
    from smruntime_transports.telemetry import OpenTelemetry

    observe = OpenTelemetry(tracer_provider=TracerProvider(), meter_provider=MeterProvider())
    return call(url, observe=observe)


def tls_call(url: str, bundle: str) -> Subject:
    """Call through TLS."""
    return Subject(invoke(url, tls=ssl.create_default_context(cafile=bundle)))


@asynccontextmanager
async def connect(url: str, transport: str) -> AsyncIterator[AsyncCall]:
    """Open an async client; yield one call as applications write it."""
    async with make_client(url, transport) as our_client:
        yield lambda call_members: our_client.invoke_endpoint(**call_members)


def asyncio_call(url: str, prepare: Callable[[], Members] = fresh_members) -> AsyncSubject:
    """Call on asyncio."""
    return AsyncSubject(lambda: connect(url, "asyncio"), prepare)


def trio_call(url: str, prepare: Callable[[], Members] = fresh_members) -> AsyncSubject:
    """Call on trio."""
    return AsyncSubject(lambda: connect(url, "trio"), prepare, import_module("trio").run)


def crowd(url: str, task_count: int = TASK_COUNT) -> Crowd:
    """Call from many asyncio tasks at once."""
    return Crowd(lambda: connect(url, "asyncio"), task_count=task_count)


def tiny_events(url: str) -> LongestBlock:
    """Read JSON records of 3 bytes from one part of 24 MB, as long as there is time."""

    async def read_records(seconds: float) -> None:
        deadline = perf_counter() + seconds
        call_members = fresh_members() | {"endpoint_name": TINY_EVENTS_ENDPOINT}
        async with (
            make_client(url, "asyncio") as our_client,
            our_client.invoke_endpoint_with_response_stream(**call_members) as stream,
        ):
            async for _ in stream.json():
                if perf_counter() > deadline:
                    break

    return LongestBlock(read_records)


def upload(url: str) -> Subject:
    """Send long bodies."""
    return Subject(invoke(url), large_members)


def download(url: str) -> Subject:
    """Receive long bodies."""
    return Subject(invoke(url), large_answer_members)


def upload_memory(url: str) -> MemoryGrowth:
    """Send a long body, and look at memory."""
    return _memory(url, large_members)


def download_memory(url: str) -> MemoryGrowth:
    """Receive a long body, and look at memory."""
    return _memory(url, large_answer_members)


def _memory(url: str, prepare: Callable[[], Members]) -> MemoryGrowth:
    call = invoke(url)
    call(fresh_members())
    return MemoryGrowth(call, prepare)


def decode(stream_bytes: bytes) -> Subject:
    """Decode an event stream that is in memory."""

    def call(received: bytes) -> None:
        decoder = EventStreamDecoder()
        event_count = 0
        for start in range(0, len(received), 1 << 16):
            decoder.receive_data(received[start : start + (1 << 16)])
            while decoder.next_event() is not NEED_DATA:
                event_count += 1
        assert event_count == EVENT_COUNT

    return Subject(call, lambda: stream_bytes)


def stream(url: str) -> Subject:
    """Receive an event stream."""
    our_client = make_client(url)

    def call(call_members: Members) -> None:
        with our_client.invoke_endpoint_with_response_stream(**call_members) as parts:
            event_count = sum(1 for _ in parts.bytes())
        assert event_count == EVENT_COUNT

    return Subject(call)


def frames(url: str) -> Frames:
    """Count the Python frames that one call enters."""
    return Frames(invoke(url), fresh_members)


def files(url: str) -> Files:
    """Count the files of this library that one call enters."""
    return Files(invoke(url), fresh_members, OUR_PACKAGES)
