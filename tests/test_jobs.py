"""Waiting for asynchronous invocations: the flow by hand, and a job on each colour."""

from __future__ import annotations

import pytest
import trio

import smruntime_core as sm
from smruntime_core.conversation._async_jobs import LONGEST_WAIT, wait_for_result
from smruntime_core.conversation._deadline import Deadline
from smruntime_core.effects import Fetch, Sleep
from smruntime_transports import Settings, sockets
from smruntime_transports import trio as on_trio

from .servers import scripted

OUT, BAD = "s3://b/out", "s3://b/bad"
ACCEPTED = sm.InvokeEndpointAsyncOutput(
    inference_id="i-1", output_location=OUT, failure_location=BAD
)
ANSWER = (
    b"HTTP/1.1 202 Accepted\r\nX-Amzn-SageMaker-OutputLocation: s3://b/out\r\nX-Amzn-SageMaker-FailureLocation: s3://b/bad\r\n"
    b'Content-Length: 22\r\n\r\n{"InferenceId": "i-1"}'
)
FAILED = b'Received server error (500) from primary with message "out of memory". See https://logs in account 1 for more.'


class Hand:
    """Both readings of a clock, moved by hand."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def test_looks_at_both_places_less_and_less_often_until_the_deadline() -> None:
    clock = Hand()
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
    assert looked == [OUT, BAD] * (len(waits) + 1)


def test_a_failure_object_is_a_model_error() -> None:
    flow = wait_for_result(ACCEPTED, Deadline(Hand(), None))
    assert flow.send(None) == Fetch(OUT)
    assert flow.send(None) == Fetch(BAD)
    with pytest.raises(sm.ModelError) as caught:
        flow.send(FAILED)
    assert (caught.value.original_status_code, caught.value.original_message) == (
        500,
        "out of memory",
    )
    assert caught.value.body == FAILED


def test_no_location_is_an_answer_that_nobody_can_use() -> None:
    with pytest.raises(sm.ResponseError):
        wait_for_result(sm.InvokeEndpointAsyncOutput(), Deadline(Hand(), None)).send(None)


def test_a_job_that_blocks() -> None:
    store = iter([None, None, b"done"])
    seen: list[str] = []

    def fetch(location: str) -> bytes | None:
        seen.append(location)
        return next(store)

    with scripted(ANSWER) as server, sockets.Client(**settings(server.url)) as client:
        job = client.invoke_endpoint_async(
            endpoint_name="slow", body=b"x", invocation_timeout_seconds=60
        )
        assert (job.inference_id, job.output_location, job.failure_location) == ("i-1", OUT, BAD)
        assert job.metadata.status == 202
        assert job.wait(fetch=fetch) == b"done"
    assert seen == [OUT, BAD, OUT]
    assert b"X-Amzn-SageMaker-InvocationTimeoutSeconds: 60" in server.requests[0]
    assert server.requests[0].startswith(b"POST /endpoints/slow/async-invocations HTTP/1.1\r\n")


def test_a_job_that_is_awaited() -> None:
    async def fetch(location: str) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return FAILED if location == BAD else None

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


def settings(url: str) -> Settings:
    return {
        "region": "us-east-1",
        "endpoint_url": url,
        "credentials": sm.Credentials("AKID", "secret"),
    }
