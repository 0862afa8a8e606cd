"""Asynchronous invocations: waiting by hand, and jobs of sync and async clients."""

from __future__ import annotations

import asyncio
import json
import pickle
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

import smruntime_core as sm
from smruntime_core.conversation._async_jobs import LONGEST_WAIT, is_done, wait_for_result
from smruntime_core.conversation._deadline import Deadline
from smruntime_core.effects import Fetch, Flow, Sleep
from smruntime_core.testing import FrozenClock
from smruntime_transports import Settings, sockets
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import trio as on_trio

from .servers import Peer, acting, closed_port, scripted

OUT, FAILURE = "s3://b/out", "s3://b/bad"
ACCEPTED = sm.InvokeEndpointAsyncOutput(
    inference_id="i-1", output_location=OUT, failure_location=FAILURE
)
ANSWER = (
    b"HTTP/1.1 202 Accepted\r\nX-Amzn-SageMaker-OutputLocation: s3://b/out\r\n"
    b"X-Amzn-SageMaker-FailureLocation: s3://b/bad\r\n"
    b'Content-Length: 22\r\n\r\n{"InferenceId": "i-1"}'
)
FAILED = (
    b'Received server error (500) from primary with message "out of memory". '
    b"See https://logs in account 1 for more."
)
ABSENT = b"HTTP/1.1 404 x\r\nContent-Length: 37\r\n\r\n<Error><Code>NoSuchKey</Code></Error> "
DONE = b"HTTP/1.1 200 x\r\nContent-Length: 4\r\n\r\ndone"


def settings(url: str) -> Settings:
    return {
        "region": "us-east-1",
        "endpoint_url": url,
        "credentials": sm.Credentials("AKID", "secret"),
    }


def s3_settings(url: str) -> Settings:
    """Return settings of a client whose S3 is the server at `url`."""
    return {**settings(url), "s3_endpoint_url": url}


def test_both_locations_are_looked_at_less_and_less_often_until_the_deadline() -> None:
    clock = FrozenClock(0.0)
    flow = wait_for_result(ACCEPTED, Deadline(clock, 60.0))
    waits: list[float] = []
    looked: list[str] = []

    def wait() -> None:
        effect = flow.send(None)
        while True:
            if isinstance(effect, Sleep):
                waits.append(effect.seconds)
                clock.now += effect.seconds
            else:
                assert isinstance(effect, Fetch)
                looked.append(effect.location)
            effect = flow.send(None)

    with pytest.raises(sm.DispatchFailure) as caught:
        wait()
    assert (caught.value.kind, caught.value.delivery) == ("timeout", "answered")
    assert sum(waits) == pytest.approx(60.0)
    assert waits[:3] == [0.5, 0.75, 1.125]
    assert max(waits) == LONGEST_WAIT
    assert looked == [OUT, FAILURE] * (len(waits) + 1)


def test_failure_object_is_a_model_error() -> None:
    flow = wait_for_result(ACCEPTED, Deadline(FrozenClock(), None))
    assert flow.send(None) == Fetch(OUT)
    assert flow.send(None) == Fetch(FAILURE)
    with pytest.raises(sm.ModelError) as caught:
        flow.send(FAILED)
    assert caught.value.original_status_code == 500
    assert caught.value.original_message == "out of memory"
    assert caught.value.body == FAILED


def test_failure_object_of_any_size_makes_a_bounded_error() -> None:
    flow = wait_for_result(ACCEPTED, Deadline(FrozenClock(), None))
    flow.send(None)
    flow.send(None)
    with pytest.raises(sm.ModelError) as caught:
        flow.send(b"x" * 3_000_000)
    assert len(caught.value.message_raw) == 64 * 1024
    assert len(caught.value.body) == 1024 * 1024
    assert caught.value.truncated


def test_output_without_a_location_is_a_response_error() -> None:
    with pytest.raises(sm.ResponseError, match="named no location"):
        wait_for_result(sm.InvokeEndpointAsyncOutput(), Deadline(FrozenClock(), None)).send(None)


def failing(failure: sm.DispatchFailure) -> Any:
    """Return a `look` whose request fails."""

    def look(location: str, deadline: Deadline) -> Flow[Any]:
        yield Sleep(0.0)
        raise failure

    return look


@pytest.mark.parametrize("kind", ["refused", "reset", "tls"])
def test_failure_to_read_the_answer_says_that_the_invocation_was_answered(kind: Any) -> None:
    failure = sm.DispatchFailure("no (route)", kind=kind, phase="connect", delivery="not_sent")
    failure.hint = "check the proxy"
    for flow in (
        wait_for_result(ACCEPTED, Deadline(FrozenClock(), 60.0), failing(failure)),
        is_done(ACCEPTED, Deadline(FrozenClock(), 60.0), failing(failure)),
    ):
        flow.send(None)
        with pytest.raises(sm.DispatchFailure) as caught:
            flow.send(None)
        assert (caught.value.kind, caught.value.delivery) == (kind, "answered")
        assert "no (route)" in str(caught.value)
        assert "not sent" not in str(caught.value)
        assert "check the proxy" in str(caught.value)


def test_job_of_a_sync_client_is_waited_for_with_fetch() -> None:
    store = iter([None, None, b"done"])
    seen: list[str] = []

    def fetch(location: str) -> bytes | None:
        seen.append(location)
        return next(store)

    with scripted(ANSWER) as server, sockets.Client(**settings(server.url)) as client:
        job = client.invoke_endpoint_async(
            endpoint_name="slow", body=b"x", invocation_timeout_seconds=60
        )
        assert job.inference_id == "i-1"
        assert (job.output_location, job.failure_location) == (OUT, FAILURE)
        assert job.metadata.status == 202
        assert job.wait(fetch=fetch) == b"done"
    assert seen == [OUT, FAILURE, OUT]
    assert b"X-Amzn-SageMaker-InvocationTimeoutSeconds: 60" in server.requests[0]
    assert server.requests[0].startswith(b"POST /endpoints/slow/async-invocations HTTP/1.1\r\n")


def test_job_of_an_async_client_is_waited_for_with_fetch() -> None:
    async def fetch(location: str) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return FAILED if location == FAILURE else None

    async def main(url: str) -> None:
        async with on_trio.AsyncClient(**settings(url)) as client:
            job = await client.invoke_endpoint_async(
                endpoint_name="slow", input_location="s3://b/in.csv"
            )
            with pytest.raises(sm.ModelError, match="out of memory"):
                await job.wait(fetch=fetch, timeout=5)

    with scripted(ANSWER) as server:
        trio.run(main, server.url)
    assert b"X-Amzn-SageMaker-InputLocation: s3://b/in.csv" in server.requests[0]


def test_timeout_of_the_default_reader_says_answered() -> None:
    """The last look has 0 s left, but the invocation is accepted and must not be repeated."""
    with (
        scripted(ANSWER, *[ABSENT] * 40) as server,
        sockets.Client(**s3_settings(server.url)) as client,
    ):
        job = client.invoke_endpoint_async(endpoint_name="slow", body=b"x")
        with pytest.raises(sm.DispatchFailure, match="there yet") as caught:
            job.wait(timeout=0.7)
    assert (caught.value.kind, caught.value.delivery) == ("timeout", "answered")
    assert caught.value.metadata.status == 202


@pytest.mark.parametrize("timeout", [0.2, 0.0])
def test_timeout_while_s3_is_silent_says_answered(timeout: float) -> None:
    def accept_then_keep_silent(peer: Peer) -> None:
        while request := peer.read():
            if request.startswith(b"POST"):
                peer.send(ANSWER)
            else:
                peer.idle()

    with (
        acting(accept_then_keep_silent) as server,
        sockets.Client(**s3_settings(server.url)) as client,
    ):
        job = client.invoke_endpoint_async(endpoint_name="slow", body=b"x")
        with pytest.raises(sm.DispatchFailure, match="there yet") as caught:
            job.wait(timeout=timeout)
    assert (caught.value.kind, caught.value.delivery) == ("timeout", "answered")


def test_unreachable_s3_says_answered() -> None:
    with closed_port() as s3, scripted(ANSWER) as server:
        given: Settings = {**settings(server.url), "s3_endpoint_url": s3}
        with sockets.Client(**given) as client:
            job = client.invoke_endpoint_async(endpoint_name="slow", body=b"x")
            with pytest.raises(sm.DispatchFailure, match="cannot be read") as caught:
                job.done()
    assert (caught.value.kind, caught.value.delivery) == ("refused", "answered")


@pytest.mark.parametrize("named", ["output", "failure"])
def test_location_on_another_origin_is_not_fetched(named: str) -> None:
    secret = b"HTTP/1.1 200 x\r\nContent-Length: 6\r\n\r\nsecret"
    with (
        scripted(secret) as internal,
        scripted(ABSENT) as server,
        sockets.Client(**settings(server.url)) as client,
    ):
        hostile = f"{internal.url}/latest/meta-data/iam/security-credentials/role"
        own = f"{server.url}/async/1"
        job = client.job(hostile) if named == "output" else client.job(own, hostile)
        with pytest.raises(sm.ConstructionError, match="endpoint's own origin") as caught:
            job.wait(timeout=5)
        assert "secret" not in str(caught.value)
        assert internal.requests == []


# ── stored and pickled jobs ──


def test_job_is_made_of_stored_locations() -> None:
    with scripted(ANSWER, ABSENT, ABSENT, DONE, DONE) as server:
        with sockets.Client(**s3_settings(server.url)) as client:
            job = client.invoke_endpoint_async(endpoint_name="slow", body=b"x")
            stored = json.dumps([job.output_location, job.failure_location])
        with sockets.Client(**s3_settings(server.url)) as client:
            again = client.job(*json.loads(stored), inference_id="i-1")
            assert again.output == ACCEPTED
            assert not again.done()
            assert again.done()
            assert again.wait() == b"done"
    assert [request.split(b" ")[1] for request in server.requests[1:]] == [
        b"/b/out",
        b"/b/bad",
        b"/b/out",
        b"/b/out",
    ]


@pytest.mark.parametrize("adapter", ["asyncio", "trio"])
def test_async_job_is_made_of_stored_locations(adapter: str) -> None:
    async def main(client: Any) -> None:
        async with client:
            job = client.job(OUT)
            assert not await job.done()
            assert await job.done()
            assert await job.wait(timeout=5) == b"done"

    with scripted(ABSENT, DONE, DONE) as server:
        if adapter == "trio":
            trio.run(main, on_trio.AsyncClient(**s3_settings(server.url)))
        else:
            asyncio.run(main(on_asyncio.AsyncClient(**s3_settings(server.url))))


def test_done_uses_fetch_if_it_is_given() -> None:
    async def main(client: on_asyncio.AsyncClient) -> list[bool]:
        async def fetch(location: str) -> bytes | None:
            return b"x" if location == FAILURE else None

        async def nothing(location: str) -> None: ...

        job = client.job(OUT, FAILURE)
        return [await job.done(fetch=fetch), await job.done(fetch=nothing)]

    job = sockets.Client(**settings("http://127.0.0.1:9")).job(OUT, FAILURE)
    assert job.done(fetch=lambda location: b"" if location == FAILURE else None)
    assert not job.done(fetch=lambda _: None)
    client = on_asyncio.AsyncClient(**settings("http://127.0.0.1:9"))
    assert asyncio.run(main(client)) == [True, False]


def test_job_is_pickled_without_its_client() -> None:
    with scripted(ANSWER, DONE) as server, sockets.Client(**s3_settings(server.url)) as client:
        job = client.invoke_endpoint_async(endpoint_name="slow", body=b"x")
        restored = pickle.loads(pickle.dumps(job))
        assert (type(restored), restored.output) == (type(job), ACCEPTED)
        with pytest.raises(sm.ConstructionError, match=r"client\.job\(job\.output_location"):
            restored.wait()
        with pytest.raises(sm.ConstructionError, match="restored from a pickle"):
            restored.done()
        again = client.job(restored.output_location, restored.failure_location)
        assert again.wait(timeout=5) == b"done"


@pytest.mark.parametrize(
    ("output_location", "failure_location", "member"),
    [
        (None, None, "output_location"),
        (5, None, "output_location"),
        ("bucket/key", None, "output_location"),
        (OUT, "/tmp/x", "failure_location"),  # noqa: S108 - a path to refuse
    ],
)
def test_stored_location_that_is_no_url_is_refused(
    output_location: Any, failure_location: Any, member: str
) -> None:
    client = sockets.Client(**settings("http://127.0.0.1:9"))
    with pytest.raises(sm.ConstructionError) as caught:
        client.job(output_location, failure_location)
    assert caught.value.member == member


# ── large inputs ──

STORED = b"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n"


def test_large_input_is_uploaded_and_invoked() -> None:
    with scripted(STORED, ANSWER) as server, sockets.Client(**s3_settings(server.url)) as client:
        location = client.upload_input(
            "s3://bucket/in.csv", b"1,2\n" * 100_000, content_type="text/csv"
        )
        client.invoke_endpoint_async(endpoint_name="slow", input_location=location)
    put, post = server.requests
    assert put.startswith(b"PUT /bucket/in.csv HTTP/1.1\r\n")
    assert put.endswith(b"\r\n\r\n" + b"1,2\n" * 100_000)
    assert b"content-type: text/csv" in put
    assert b"AWS4-HMAC-SHA256 Credential=AKID/" in put
    assert b"X-Amzn-SageMaker-InputLocation: s3://bucket/in.csv" in post


def test_large_input_may_be_an_iterator_of_an_async_client() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(0)
            yield b"%d\n" % number

    async def main(url: str) -> str:
        async with on_asyncio.AsyncClient(**s3_settings(url)) as client:
            return await client.upload_input("s3://bucket/in.csv", pieces())

    with scripted(STORED) as server:
        assert asyncio.run(main(server.url)) == "s3://bucket/in.csv"
    assert server.requests[0].endswith(b"\r\n\r\n0\n1\n2\n")


def test_upload_is_limited_by_the_timeout_of_the_client() -> None:
    def keep_silent(peer: Peer) -> None:
        peer.read()
        peer.idle()

    with acting(keep_silent) as server, sockets.Client(**s3_settings(server.url)) as client:
        began = time.monotonic()
        with pytest.raises(sm.DispatchFailure):
            client.with_options(timeout=0.3).upload_input("s3://bucket/in.csv", b"1")
        assert time.monotonic() - began < 3


def test_upload_outside_s3_is_refused() -> None:
    client = sockets.Client(**settings("http://127.0.0.1:9"))
    for location in ("https://files.example/in.csv", "http://127.0.0.1:9/in.csv"):
        with pytest.raises(sm.ConstructionError, match="S3"):
            client.upload_input(location, b"1")


def test_result_of_a_job_is_an_output_with_the_type_of_the_object() -> None:
    stored = (
        b'HTTP/1.1 200 x\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    )
    with (
        scripted(ANSWER, stored, stored) as server,
        sockets.Client(**s3_settings(server.url)) as client,
    ):
        job = client.invoke_endpoint_async("slow", input_location="s3://bucket/in")
        output = job.result()
        assert output.json() == {"a": 1}
        assert output.content_type == "application/json"
        assert output.metadata == job.metadata
        assert job.wait() == b'{"a": 1}'


def test_result_that_the_caller_fetches_has_no_content_type() -> None:
    with scripted(ANSWER) as server, sockets.Client(**settings(server.url)) as client:
        job = client.invoke_endpoint_async("slow", input_location="s3://bucket/in")
    output = job.result(fetch=lambda location: b"[1]")
    assert (output.content_type, output.json()) == (None, [1])


def test_result_of_an_async_job_is_an_output() -> None:
    async def main(url: str) -> sm.InvokeEndpointOutput:
        async with on_asyncio.AsyncClient(**s3_settings(url)) as client:
            job = await client.invoke_endpoint_async("slow", input_location="s3://bucket/in")
            return await job.result()

    with scripted(ANSWER, DONE) as server:
        assert asyncio.run(main(server.url)).text() == "done"
