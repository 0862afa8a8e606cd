"""Functions of the user's as models of the local endpoint, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_csv, as_json
from smruntime_local import Call
from smruntime_local.hosting._recorded_calls import RecordedCalls
from smruntime_local.models._function import make_function_model
from smruntime_local.models._time_limit import limit_time
from smruntime_transports.sockets import Client


def score(call: Call) -> object:
    numbers: Any = call.json()
    return {"score": sum(numbers)}


async def score_later(call: Call) -> object:
    await asyncio.sleep(0.01)
    return score(call)


def count_up(call: Call) -> Iterator[object]:
    for number in range(3):
        yield {"number": number}


async def speak(call: Call) -> AsyncIterator[str]:
    for word in ("one ", "two ", "—"):
        await asyncio.sleep(0)
        yield word


def break_off(call: Call) -> Iterator[bytes]:
    yield b"one"
    raise RuntimeError("out of memory")


def refuse(call: Call) -> object:
    raise sm.ServiceError("Rate exceeded", code="ThrottlingException", status=400)


def divide(call: Call) -> object:
    return 1 // len(call.body)


def name_member(call: Call) -> object:
    return [call.operation, call.endpoint_name, call.inference_id, call.accept, call.text()]


def complete_output(call: Call) -> sm.InvokeEndpointOutput:
    return sm.InvokeEndpointOutput(body=b"1,2", content_type="text/csv", custom_attributes="a=b")


def echo_bytes(call: Call) -> object:
    return bytes(call.body)


class Counter:
    """A model may be any callable."""

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0

    def __call__(self, call: Call) -> object:
        with self._lock:
            self._count += 1
            return self._count


MODELS: dict[str, Any] = {
    "score": score,
    "score-later": score_later,
    "count-up": count_up,
    "speak": speak,
    "break-off": break_off,
    "refuse": refuse,
    "divide": divide,
    "name-member": name_member,
    "complete-output": complete_output,
    "echo-bytes": echo_bytes,
    "counter": Counter(),
    "text": lambda call: "naïve",
    "nothing": lambda call: iter(()),
    "object": lambda call: object(),
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve(models=MODELS) as running:
        yield running


@pytest.fixture
def client(endpoint: smruntime_local.Endpoint) -> Iterator[Client]:
    with Client(
        region=endpoint.region,
        endpoint_url=endpoint.url,
        credentials=endpoint.credentials,
        retries=sm.RetryPolicy(max_attempts=1),
    ) as made:
        yield made


@pytest.mark.parametrize("name", ["score", "score-later"])
def test_function_is_called_with_the_body_and_its_result_becomes_json(
    client: Client, name: str
) -> None:
    output = client.invoke_endpoint(name, **as_json([1, 2, 3]))
    assert (output.json(), output.content_type) == ({"score": 6}, "application/json")


def test_function_sees_every_member(client: Client) -> None:
    output = client.invoke_endpoint(
        "name-member", body=b"x", inference_id="i-1", accept="application/json"
    )
    assert output.json() == ["InvokeEndpoint", "name-member", "i-1", "application/json", "x"]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_body_of_an_output_record_may_be_any_kind_of_bytes(kind: Any) -> None:
    output = sm.InvokeEndpointOutput(body=kind(b"1,2"))
    with (
        smruntime_local.serve(models={"model": lambda call: output}) as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
    ):
        assert client.invoke_endpoint("model", body=b"").body == b"1,2"


def test_thread_of_a_reply_that_is_never_read_ends() -> None:
    threads_before = set(threading.enumerate())
    limited_model = limit_time(make_function_model(count_up), 5.0)
    limited_model(Call(endpoint_name="e", body=b""))  # and its reply is dropped
    for thread in set(threading.enumerate()) - threads_before:
        thread.join(5.0)
        assert not thread.is_alive()


def test_bytes_text_and_output_records_are_returned_as_they_are(client: Client) -> None:
    output = client.invoke_endpoint("echo-bytes", body=b"\0\xff", accept="image/png")
    assert (output.body, output.content_type) == (b"\0\xff", "image/png")
    output = client.invoke_endpoint("text", body=b"")
    assert (output.text(), output.content_type) == ("naïve", "text/plain; charset=utf-8")
    output = client.invoke_endpoint("complete-output", body=b"")
    assert (output.csv(), output.custom_attributes) == ([["1", "2"]], "a=b")


@pytest.mark.parametrize(
    ("name", "parts", "content_type"),
    [
        (
            "count-up",
            [b'{"number": 0}\n', b'{"number": 1}\n', b'{"number": 2}\n'],
            "application/jsonlines",
        ),
        ("speak", [b"one ", b"two ", "—".encode()], "text/plain; charset=utf-8"),
    ],
)
def test_generator_is_a_stream(
    client: Client, name: str, parts: list[bytes], content_type: str
) -> None:
    with client.invoke_endpoint_with_response_stream(name, body=b"") as stream:
        assert list(stream.bytes()) == parts
        assert stream.content_type == content_type
    assert client.invoke_endpoint(name, body=b"").body == b"".join(parts)


def test_generator_that_yields_nothing_is_an_empty_answer(client: Client) -> None:
    assert client.invoke_endpoint("nothing", body=b"").body == b""


def test_generator_that_breaks_off_ends_the_stream_with_a_model_error(client: Client) -> None:
    received: list[bytes] = []
    breaking = pytest.raises(sm.ModelStreamError, match="out of memory")
    with client.invoke_endpoint_with_response_stream("break-off", body=b"") as stream, breaking:
        received.extend(stream.bytes())
    assert received == [b"one"]


def test_service_error_of_a_function_is_the_answer(client: Client) -> None:
    with pytest.raises(sm.ServiceError, match="Rate exceeded") as caught:
        client.invoke_endpoint("refuse", body=b"")
    assert (caught.value.code, caught.value.status) == ("ThrottlingException", 400)


@pytest.mark.parametrize(
    ("name", "body", "status", "message"),
    [
        ("divide", b"", 500, "ZeroDivisionError"),
        ("score", b"{", 400, "not JSON"),
        ("object", b"", 400, "JSON values"),
    ],
)
def test_failure_of_a_function_is_a_model_error(
    client: Client, name: str, body: bytes, status: int, message: str
) -> None:
    with pytest.raises(sm.ModelError, match=message) as caught:
        client.invoke_endpoint(name, body=body)
    assert caught.value.original_status_code == status


def test_asynchronous_invocation_calls_the_function(client: Client) -> None:
    job = client.invoke_endpoint_async("name-member", body=b"later")
    answer: Any = job.result(timeout=10).json()
    assert answer[0] == "InvokeEndpointAsync"


def test_calls_are_recorded_as_the_containers_received_them() -> None:
    with smruntime_local.serve(models={"score": score}) as endpoint:
        with Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client:
            client.invoke_endpoint("score", **as_json([1]), inference_id="i-1")
            with client.invoke_endpoint_with_response_stream("echo", **as_csv([[2]])) as stream:
                stream.read()
        first, second = endpoint.calls
    assert (first.operation, first.inference_id, first.json()) == ("InvokeEndpoint", "i-1", [1])
    assert second.operation == "InvokeEndpointWithResponseStream"
    assert (second.endpoint_name, second.csv()) == ("echo", [["2"]])


def test_recorded_calls_are_bounded_in_number_and_size() -> None:
    recorded = RecordedCalls(max_calls=3, max_bytes=10)
    for number in range(5):
        recorded.record(Call("e", body=b"%d" % number))
    assert [call.body for call in recorded.snapshot()] == [b"2", b"3", b"4"]
    recorded.record(Call("e", body=bytes(8)))
    assert [len(call.body) for call in recorded.snapshot()] == [1, 1, 8]
    recorded.record(Call("e", body=bytes(100)))
    assert [len(call.body) for call in recorded.snapshot()] == [100]


@pytest.mark.parametrize("name", ["", "a/b", "under_score"])
def test_invalid_name_of_a_model_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="endpoint_name"):
        smruntime_local.serve(models={name: score})


def test_model_that_is_no_function_is_refused() -> None:
    no_function: Any = 3
    with pytest.raises(ValueError, match=r"churn must be a function of a call, .* not int"):
        smruntime_local.serve(models={"churn": no_function})


def test_model_replaces_a_built_in_one_of_its_name() -> None:
    with (
        smruntime_local.serve(models={"iris": lambda call: "mine"}) as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
    ):
        assert client.invoke_endpoint("iris", body=b"").text() == "mine"
