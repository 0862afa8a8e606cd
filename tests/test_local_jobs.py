"""Asynchronous inference at the local endpoint: outputs and failures at their locations."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

import smruntime_core as sm
import smruntime_local
from smruntime_core import (
    InvokeEndpoint,
    InvokeEndpointAsync,
    ModelError,
    ServiceUnavailable,
    ValidationError,
)
from smruntime_core.signing import S3
from smruntime_local.hosting._async_jobs import AsyncJobs, ObjectStore
from smruntime_transports.sockets import Client


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve() as running:
        yield running


@pytest.fixture
def client(endpoint: smruntime_local.Endpoint) -> Iterator[Client]:
    with Client(
        region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
    ) as running:
        yield running


def get(location: str | None) -> tuple[int, bytes]:
    """Return status and body of an unsigned GET."""
    assert location is not None
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(location, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def test_output_is_returned_to_python_and_by_http(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    job = client.invoke_endpoint_async(
        endpoint_name="echo", body=b"x", content_type="text/plain", inference_id="mine"
    )
    answer = job.wait(timeout=10)
    assert job.wait(fetch=endpoint.fetch, timeout=10) == answer
    assert json.loads(answer) == {
        "endpoint_name": "echo",
        "body": "eA==",
        "content_type": "text/plain",
        "inference_id": "mine",
    }
    assert (job.metadata.status, job.inference_id) == (202, "mine")
    assert get(job.output_location) == (200, answer)
    assert get(job.failure_location)[0] == 404


def test_failure_is_stored_at_the_failure_location(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    job = client.invoke_endpoint_async(endpoint_name="iris", body=b"1")
    with pytest.raises(ModelError) as caught:
        job.wait(fetch=endpoint.fetch, timeout=10)
    assert (caught.value.original_status_code, caught.value.original_message) == (
        400,
        "row 1 must have 4 measurements",
    )
    assert (
        get(job.failure_location)[1] == b"Received client error (400) from primary with message "
        b'"row 1 must have 4 measurements".'
    )
    assert get(job.output_location)[0] == 404


def test_stored_input_and_named_output_are_used(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    endpoint.put("s3://bucket/rows.csv", b"5.1,3.5,1.4,0.2")
    job = client.invoke_endpoint_async(
        endpoint_name="iris",
        input_location="s3://bucket/rows.csv",
        filename="out.csv",
        s3_output_path_extension="a/b",
    )
    assert job.wait(fetch=endpoint.fetch, timeout=10).startswith(b"1.0,")
    assert str(job.output_location).endswith("/a/b/out.csv")
    assert str(job.failure_location).endswith("/a/b/out-error.out")
    nothing = client.invoke_endpoint_async(
        endpoint_name="iris", input_location="s3://bucket/nothing"
    )
    with pytest.raises(ModelError, match="There is no object at s3://bucket/nothing"):
        nothing.wait(fetch=endpoint.fetch, timeout=10)


def test_uploaded_input_is_used(endpoint: smruntime_local.Endpoint) -> None:
    with Client(
        region=endpoint.region,
        endpoint_url=endpoint.url,
        s3_endpoint_url=endpoint.environment["AWS_ENDPOINT_URL_S3"],
        credentials=endpoint.credentials,
    ) as client:
        location = client.upload_input("s3://bucket/folder/ü ?&#.json", iter([b"1", b"2"]))
        assert endpoint.fetch(location) == b"12"
        location = client.upload_input("s3://bucket/question", b"34")
        job = client.invoke_endpoint_async("echo", input_location=location)
        assert json.loads(job.wait(timeout=10))["body"] == "MzQ="
        # an object there is read with a signature
        assert client.job(location).wait(timeout=10) == b"34"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "bucket/missing", "NoSuchKey"),
        ("GET", "bucket", "NotImplemented"),
        ("DELETE", "bucket/question", "NotImplemented"),
        ("PUT", "bucket/question?uploads", "NotImplemented"),
    ],
)
def test_rest_of_s3_is_refused_as_s3_does(
    endpoint: smruntime_local.Endpoint, method: str, path: str, code: str
) -> None:
    unsigned = sm.Request(method, f"{endpoint.url}/s3/{path}")
    assert b"<Code>MissingAuthenticationToken" in exchange(unsigned)
    signature = sm.sign(
        unsigned, endpoint.credentials, sm.Scope(endpoint.region, "s3"), now=time.time(), dialect=S3
    )
    answer = exchange(unsigned.replace(headers=signature.headers))
    assert f"<Error><Code>{code}</Code>".encode() in answer


def exchange(request: sm.Request) -> bytes:
    """Return the body of the answer to a request, whatever its status."""
    url = urlsplit(request.url)
    connection = HTTPConnection(url.netloc, timeout=5)
    try:
        target = f"{url.path}?{url.query}" if url.query else url.path
        connection.request(request.method, target, headers=dict(request.headers))
        return connection.getresponse().read()
    finally:
        connection.close()


def test_missing_endpoint_is_refused_at_once(client: Client) -> None:
    with pytest.raises(ValidationError, match="not found"):
        client.invoke_endpoint_async(endpoint_name="missing", body=b"1")


def test_store_deletes_the_oldest_objects_beyond_its_size() -> None:
    store = ObjectStore(maximum_size=10)
    for name in "abc":
        store.put(name, name.encode() * 4)
    assert [store.get(name) for name in "abc"] == [None, b"bbbb", b"cccc"]
    store.put("b", b"bb")
    store.put("d", b"dddd")
    assert [store.get(name) for name in "bcd"] == [b"bb", b"cccc", b"dddd"]
    store.put("e", b"e" * 11)
    assert [store.get(name) for name in "bcde"] == [None] * 4


CALL = InvokeEndpointAsync(
    endpoint_name="e", body=b"1", request_ttl_seconds=60, invocation_timeout_seconds=7
)


class BlockedModel:
    """A model that answers once it is released."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.released = threading.Event()
        self.timeouts: list[float] = []

    def __call__(self, call: InvokeEndpoint, seconds: float) -> bytes:
        self.timeouts.append(seconds)
        self.started.set()
        assert self.released.wait(5)
        return b"done"


def wait_for_object(store: ObjectStore, location: str | None) -> bytes | None:
    assert location is not None
    deadline = time.monotonic() + 5
    while (found := store.get(location)) is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


def test_call_that_waits_beyond_its_time_to_live_fails() -> None:
    now, store, blocked_model = 0.0, ObjectStore(), BlockedModel()
    jobs = AsyncJobs(blocked_model, store, "http://here", worker_count=1, clock=lambda: now)
    first, second = jobs.submit(CALL), jobs.submit(CALL)
    assert blocked_model.started.wait(5)
    now = 60.0
    blocked_model.released.set()
    assert wait_for_object(store, first.output_location) == b"done"
    assert b"RequestTTLSeconds" in (wait_for_object(store, second.failure_location) or b"")
    assert blocked_model.timeouts == [7]
    jobs.close()


def test_full_queue_refuses_calls_and_closing_drops_waiting_ones() -> None:
    store, blocked_model, before = ObjectStore(), BlockedModel(), set(threading.enumerate())
    jobs = AsyncJobs(blocked_model, store, "http://here", worker_count=1, max_waiting_jobs=1)
    (worker,) = set(threading.enumerate()) - before
    first = jobs.submit(CALL)
    assert blocked_model.started.wait(5)
    jobs.submit(CALL)
    with pytest.raises(ServiceUnavailable, match="Too many"):
        jobs.submit(CALL)
    jobs.close()
    blocked_model.released.set()
    worker.join(5)
    assert not worker.is_alive()
    assert wait_for_object(store, first.output_location) == b"done"
    assert blocked_model.timeouts == [7]


def test_bytes_of_waiting_bodies_are_limited_together() -> None:
    release = threading.Event()

    def blocked_model(call: InvokeEndpoint, seconds: float) -> bytes:
        release.wait(10)
        return b"done"

    store = ObjectStore()
    jobs = AsyncJobs(blocked_model, store, "http://here", worker_count=1, max_waiting_bytes=100)
    large = InvokeEndpointAsync(endpoint_name="e", body=bytes(60))
    accepted, refused = [], 0
    for _ in range(5):
        try:
            accepted.append(jobs.submit(large).output_location or "")
        except ServiceUnavailable:
            refused += 1
    assert refused >= 3, "one runs, one waits, and no third fits"
    release.set()
    deadline = time.monotonic() + 5
    while not all(store.get(location) for location in accepted) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(store.get(location) == b"done" for location in accepted)
    jobs.submit(large)
    jobs.close()
