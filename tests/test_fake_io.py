"""Clients with prepared answers: no server, and pauses that take no time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import trio

import smruntime_core as sm
from smruntime_core.testing import AsyncFakeIO, FakeIO
from smruntime_transports import AsyncClient, Client

LOST = sm.DispatchFailure("gone", kind="reset", phase="head", delivery="maybe_sent")


def client(io: FakeIO) -> Client:
    return Client(io=io, region="eu-west-1")


def test_each_attempt_takes_an_answer_and_is_recorded() -> None:
    io = FakeIO([sm.ServiceUnavailable("busy"), sm.InvokeEndpointOutput(body=b"0.5")])
    output = client(io).invoke_endpoint("churn", body=b"1", content_type="text/csv")
    assert output.body == b"0.5"
    assert [attempt.outcome for attempt in output.metadata.attempts] == ["ServiceUnavailable", "ok"]
    sent = sm.InvokeEndpoint("churn", body=b"1", content_type="text/csv")
    assert io.operations == [sent, sent]
    assert (len(io.pauses), io.answers_left) == (1, 0)


def test_pauses_take_no_time() -> None:
    io = FakeIO([sm.ServiceError(code="ThrottlingException", status=400)] * 9)
    policy = sm.RetryPolicy(max_attempts=9, throttling_delay=1000, max_delay=1000)
    started = time.monotonic()
    with pytest.raises(sm.ServiceError, match="ThrottlingException"):
        client(io).with_options(retries=policy).invoke_endpoint("churn", body=b"")
    assert time.monotonic() - started < 5
    assert len(io.pauses) == 8
    assert sum(io.pauses) > 100


def test_errors_are_raised_as_by_a_transport() -> None:
    io = FakeIO([LOST, sm.ModelError("bad input")])
    with pytest.raises(sm.DispatchFailure, match="gone"):
        client(io).invoke_endpoint("churn", body=b"")
    with pytest.raises(sm.ModelError, match="bad input"):
        client(io).invoke_endpoint("churn", body=b"")
    assert len(io.operations) == 2


def read(io: FakeIO) -> tuple[str, sm.SmRuntimeError | None]:
    """Return the text of a stream, and the error that ends it."""
    text = ""
    with client(io).invoke_endpoint_with_response_stream("story", body=b"") as stream:
        try:
            for part in stream.text():
                text += part
        except sm.SmRuntimeError as error:
            return text, error
    return text, None


def test_streams_end_well_or_with_an_error() -> None:
    broken = sm.ModelStreamError("out of memory")
    io = FakeIO([["Once ", b"upon "], [], ("Once ", broken), ["Once ", LOST]])
    assert read(io) == ("Once upon ", None)
    assert read(io) == ("", None)
    text, error = read(io)
    assert (text, type(error)) == ("Once ", sm.ModelStreamError)
    assert read(io) == ("Once ", LOST)


def test_stream_may_be_left_early_and_refused() -> None:
    io = FakeIO([["a", "b"], sm.ValidationError("no such endpoint")])
    fake_client = client(io)
    with fake_client.invoke_endpoint_with_response_stream("story", body=b"") as stream:
        assert next(iter(stream.text())) == "a"
    with pytest.raises(sm.ValidationError, match="no such endpoint"):
        fake_client.invoke_endpoint_with_response_stream("story", body=b"")


def test_call_without_an_answer_left_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="no answer left for InvokeEndpoint: 0 were given"):
        client(FakeIO([])).invoke_endpoint("churn", body=b"")


def test_answer_of_another_operation_fails_the_test() -> None:
    io = FakeIO([sm.InvokeEndpointAsyncOutput(inference_id="x")])
    with pytest.raises(AssertionError, match="InvokeEndpoint is an InvokeEndpointAsyncOutput"):
        client(io).invoke_endpoint("churn", body=b"")


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([b"0.5"], r"answers\[0\]: found bytes; must be an output"),
        ([{"score": 1}], r"answers\[0\]: found dict"),
        ([ValueError("x")], r"answers\[0\]: found ValueError"),
        ([["a", 1]], r"answers\[0\]\[1\]: found int"),
        ([[sm.ModelStreamError("x"), "a"]], r"answers\[0\]\[0\]: must be the last item"),
    ],
)
def test_answers_of_other_types_are_refused_at_once(answers: Any, message: str) -> None:
    with pytest.raises(sm.ConstructionError, match=message):
        FakeIO(answers)


def test_responses_serve_requests_that_are_no_operation() -> None:
    location = "s3://bucket/answer"
    io = FakeIO(
        [
            sm.InvokeEndpointAsyncOutput(output_location=location),
            sm.Response(200, (("Content-Type", "text/plain"),), b"done"),
        ]
    )
    job = client(io).invoke_endpoint_async("churn", input_location="s3://bucket/question")
    assert job.result().body == b"done"
    assert len(io.operations) == 1


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_async_client_has_the_same_answers(run: Any) -> None:
    io = AsyncFakeIO(
        [sm.ServiceUnavailable(), sm.InvokeEndpointOutput(body=b"1"), ["a", "b"], LOST]
    )

    async def work() -> None:
        async with AsyncClient(io=io, region="eu-west-1") as fake_client:
            assert (await fake_client.invoke_endpoint("churn", body=b"")).body == b"1"
            call = fake_client.invoke_endpoint_with_response_stream("story", body=b"")
            async with call as stream:
                assert [text async for text in stream.text()] == ["a", "b"]
            with pytest.raises(sm.DispatchFailure, match="gone"):
                await fake_client.invoke_endpoint("churn", body=b"")

    run(work) if run is trio.run else run(work())
    assert (len(io.operations), len(io.pauses), io.answers_left) == (4, 1, 0)
