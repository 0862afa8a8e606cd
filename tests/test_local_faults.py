"""Faults on request: by a script of steps, or by a call's custom attributes, on real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import smruntime_core as sm
import smruntime_local
from smruntime_local import (
    Cut,
    Delay,
    Drip,
    HtmlPage,
    RandomDelay,
    Reply,
    Reset,
    SlowHead,
    StaleConnection,
    UnusedStepsError,
    throttle,
)
from smruntime_transports.sockets import Client

NO_RETRY = sm.RetryPolicy(max_attempts=1)


def read_stream(client: Client, members: Any) -> None:
    with client.invoke_endpoint_with_response_stream("echo", **members) as stream:
        stream.read()


OPERATIONS: dict[str, Callable[[Client, Any], object]] = {
    "invoke": lambda client, members: client.invoke_endpoint("echo", **members),
    "async": lambda client, members: client.invoke_endpoint_async("echo", **members),
    "stream": read_stream,
}


@pytest.fixture
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve(models={"churn": lambda call: {"score": 1}}) as running:
        yield running


@pytest.fixture
def client(endpoint: smruntime_local.Endpoint) -> Iterator[Client]:
    with Client(
        region=endpoint.region,
        endpoint_url=endpoint.url,
        credentials=endpoint.credentials,
        retries=sm.RetryPolicy(base_delay=0.0),
    ) as made:
        yield made


def test_throttled_calls_are_retried_until_they_succeed(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    endpoint.script("churn", *throttle(2))
    output = client.invoke_endpoint("churn", body=b"")
    assert output.json() == {"score": 1}
    outcomes = [attempt.outcome for attempt in output.metadata.attempts]
    assert outcomes == ["ThrottlingException", "ThrottlingException", "ok"]


def test_steps_are_used_in_order_one_for_each_call(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    endpoint.script("churn", {"score": 2}, "three", Reply(None), sm.ModelError("no"))
    answers = [client.invoke_endpoint("churn", body=b"").text() for _ in range(3)]
    assert answers == ['{"score": 2}', "three", "null"]
    with pytest.raises(sm.ModelError, match="no"):
        client.invoke_endpoint("churn", body=b"")
    assert client.invoke_endpoint("churn", body=b"").json() == {"score": 1}


def test_steps_apply_to_streams_and_asynchronous_calls(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    endpoint.script("churn", ["streamed"], "stored", *throttle(1))
    with client.invoke_endpoint_with_response_stream("churn", body=b"") as stream:
        assert stream.read().json() == ["streamed"]
    assert client.invoke_endpoint_async("churn", body=b"").result(timeout=10).body == b"stored"
    with pytest.raises(sm.ServiceError, match="Rate exceeded"):
        client.with_options(retries=NO_RETRY).invoke_endpoint_async("churn", body=b"")


@pytest.mark.parametrize("step", [Delay(0.3), RandomDelay(0.3, 0.4, seed=1), SlowHead(0.3)])
def test_answer_is_delayed(
    endpoint: smruntime_local.Endpoint, client: Client, step: object
) -> None:
    endpoint.script("churn", step)
    begun = time.monotonic()
    assert client.invoke_endpoint("churn", body=b"").json() == {"score": 1}
    assert 0.3 <= time.monotonic() - begun < 5


def test_random_delay_is_the_same_for_the_same_seed() -> None:
    assert RandomDelay(0, 1, seed=3).seconds == RandomDelay(0, 1, seed=3).seconds
    assert len({RandomDelay(0, 1, seed=seed).seconds for seed in range(20)}) == 20


def test_answer_comes_byte_by_byte(endpoint: smruntime_local.Endpoint, client: Client) -> None:
    endpoint.script("churn", Drip(0.001))
    begun = time.monotonic()
    assert client.invoke_endpoint("churn", body=b"").json() == {"score": 1}
    assert time.monotonic() - begun > 0.1


@pytest.mark.parametrize(
    ("step", "kinds"),
    [
        (Reset(), {"reset"}),
        (Cut(0), {"closed"}),
        (Cut(30), {"truncated"}),
        (Cut(170), {"truncated"}),
    ],
)
def test_connection_ends_before_the_answer_is_complete(
    endpoint: smruntime_local.Endpoint, client: Client, step: object, kinds: set[str]
) -> None:
    endpoint.script("churn", step)
    with pytest.raises(sm.SmRuntimeError) as caught:
        client.with_options(retries=NO_RETRY).invoke_endpoint("churn", body=bytes(8))
    kind = getattr(caught.value, "kind", "truncated")
    assert kind in kinds | {"reset"}
    assert client.invoke_endpoint("churn", body=b"").json() == {"score": 1}


def test_stale_connection_is_replaced_without_a_second_run(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    endpoint.script("churn", StaleConnection())
    for _ in range(3):
        assert client.invoke_endpoint("churn", body=b"").json() == {"score": 1}
    assert len(endpoint.calls) == 3


def test_page_of_html_is_an_error_that_shows_it(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    endpoint.script("churn", HtmlPage(502))
    with pytest.raises(sm.ServiceError) as caught:
        client.with_options(retries=NO_RETRY).invoke_endpoint("churn", body=b"")
    assert caught.value.status == 502
    assert b"<html>" in caught.value.body


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("fault=throttle", "ThrottlingException"),
        ("fault=unavailable", "ServiceUnavailable"),
        ("fault=internal", "InternalFailure"),
        ("a=b; fault=html:503", "503"),
        ("fault=reset", "reset"),
        ("fault=cut:20", "truncated"),
    ],
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_call_asks_for_a_fault(client: Client, fault: str, error: str, operation: str) -> None:
    once = client.with_options(retries=NO_RETRY)
    members: Any = {"body": b"x", "custom_attributes": fault}
    with pytest.raises(sm.SmRuntimeError) as caught:
        OPERATIONS[operation](once, members)
    failure: Any = caught.value
    assert error in {str(getattr(failure, name, "")) for name in ("code", "status", "kind")}


@pytest.mark.parametrize(
    "fault", ["fault=fire", "fault=delay:900", "fault=html:200", "fault=cut:x"]
)
def test_wrong_fault_is_refused_with_the_known_ones(client: Client, fault: str) -> None:
    with pytest.raises(sm.ValidationError, match="custom_attributes: fault="):
        client.invoke_endpoint("echo", body=b"", custom_attributes=fault)


def test_refused_fault_is_shown_as_it_was_written(client: Client) -> None:
    with pytest.raises(sm.ValidationError, match="custom_attributes: fault=delay:x: could not"):
        client.invoke_endpoint("churn", body=b"1", custom_attributes="a=b; fault=delay:x")


def test_unused_steps_are_an_error_when_the_endpoint_closes() -> None:
    endpoint = smruntime_local.serve()
    endpoint.script("echo", Delay(1), HtmlPage(502))
    with pytest.raises(UnusedStepsError, match=r"echo: Delay\(seconds=1\), HtmlPage"):
        endpoint.close()
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", int(endpoint.url.rpartition(":")[2])), 1.0)
    endpoint.close()


def test_exception_of_the_block_is_not_replaced_by_unused_steps() -> None:
    def fail_in_block() -> None:
        with smruntime_local.serve() as endpoint:
            endpoint.script("echo", Delay(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_block()


def test_script_of_an_endpoint_that_does_not_exist_is_refused(
    endpoint: smruntime_local.Endpoint,
) -> None:
    with pytest.raises(ValueError, match=r"there is no endpoint 'chrun'; there are .*churn"):
        endpoint.script("chrun", Delay(1))


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Delay, (-1,)),
        (Delay, (61,)),
        (Drip, ("x",)),
        (Cut, (-1,)),
        (Cut, (1.5,)),
        (HtmlPage, (200,)),
        (RandomDelay, (0, 99)),
        (SlowHead, (None,)),
    ],
)
def test_invalid_step_is_refused_when_it_is_made(kind: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        kind(*arguments)
