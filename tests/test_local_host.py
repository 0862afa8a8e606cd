"""What the service returns for a container, without a socket: errors and headers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from smruntime_core import (
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointAsyncOutput,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    ModelError,
    ModelStreamError,
    Operation,
    Output,
    Response,
    ServiceUnavailable,
)
from smruntime_local.hosting import _model_host
from smruntime_local.hosting._model_host import ModelHost
from smruntime_local.hosting._routing import SingleModel
from smruntime_local.hosting._stream_behavior import StreamBehavior, StreamedResponse
from smruntime_local.models._container import ContainerReply, ContainerTimeout, Refusal

CALL = InvokeEndpoint(endpoint_name="m", body=b"")
STREAMED = InvokeEndpointWithResponseStream(endpoint_name="m", body=b"")
TEXT = ContainerReply("text/plain", ())
ASYNC_CALL = InvokeEndpointAsync(endpoint_name="m", body=b"1", invocation_timeout_seconds=1)


def respond(host: ModelHost, operation: Operation[Output]) -> Output:
    """Return the output as a client parses it; raise the error of the response."""
    answer = host.respond(operation, request_id="r")
    if isinstance(answer, StreamedResponse):
        return operation.parse(answer.head.replace(body=b"".join(answer.chunks)))
    assert isinstance(answer, Response)
    return operation.parse(answer)


def host_of(parts: Callable[[], Iterator[bytes]], reply: ContainerReply = TEXT) -> ModelHost:
    def model(call: InvokeEndpoint) -> ContainerReply:
        return reply._replace(parts=parts())

    return ModelHost(
        {"m": SingleModel(model)},
        region="eu-west-1",
        url="http://here",
        stream_behavior=StreamBehavior(),
        sleep=lambda _: None,
    )


def host_that_raises(fault: Exception, *before: bytes) -> ModelHost:
    def parts() -> Iterator[bytes]:
        yield from before
        raise fault

    return host_of(parts)


@pytest.mark.parametrize(
    ("fault", "status", "message", "side"),
    [
        (ValueError("a"), 400, "a", "client"),
        (ZeroDivisionError("b"), 500, "ZeroDivisionError: b", "server"),
        (Refusal(418, "c"), 418, "c", "client"),
        (Refusal(302, "d"), 302, "d", "server"),
        (
            ContainerTimeout(60),
            0,
            "Your invocation timed out: the container said nothing for 60 seconds.",
            "server",
        ),
    ],
)
@pytest.mark.parametrize("operation", [CALL, STREAMED])
def test_failure_of_a_container_is_a_model_error(
    operation: Operation[Output], fault: Exception, status: int, message: str, side: str
) -> None:
    with pytest.raises(ModelError) as caught:
        respond(host_that_raises(fault), operation)
    assert (
        caught.value.status,
        caught.value.original_status_code,
        caught.value.original_message,
    ) == (424, status, message)
    assert (
        caught.value.message
        == f'Received {side} error ({status}) from primary with message "{message}".'
    )
    assert (
        caught.value.log_stream_arn
        == "arn:aws:logs:eu-west-1:000000000000:log-group:/aws/sagemaker/Endpoints/m"
    )


def test_response_that_takes_too_long_in_all_is_reported_as_such() -> None:
    host = host_of(lambda: iter([b"a", b"b"]))
    reply = host._call_container(CALL)
    with pytest.raises(ModelError, match="the response was not complete after -1 seconds"):
        host._join_parts(reply, CALL, -1.0)


def test_model_has_60_seconds_for_all_of_its_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """As SageMaker allows; a container that drips would hold a thread for hours."""
    now = 0.0

    def drip() -> Iterator[bytes]:
        nonlocal now
        while True:
            now += 59.0
            yield b"x"

    monkeypatch.setattr(time, "monotonic", lambda: now)
    with pytest.raises(ModelError, match="the response was not complete after 60 seconds"):
        respond(host_of(drip), CALL)
    assert now == 118.0


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ContainerTimeout(60), "ModelInvocationTimeExceeded"),
        (Refusal(0, "gone"), "StreamBroken"),
        (KeyError("x"), "StreamBroken"),
    ],
)
def test_failure_after_the_first_part_ends_the_stream_with_an_error(
    fault: Exception, code: str
) -> None:
    with pytest.raises(ModelStreamError, match="Received server error") as caught:
        respond(host_that_raises(fault, b"a", b"b"), STREAMED)
    assert caught.value.error_code == code
    with pytest.raises(ModelError):
        respond(host_that_raises(fault, b"a", b"b"), CALL)


def test_service_error_of_a_container_passes_unchanged() -> None:
    for operation in (CALL, STREAMED):
        with pytest.raises(ServiceUnavailable, match="later"):
            respond(host_that_raises(ServiceUnavailable("later")), operation)


def test_headers_of_a_container_become_members_of_the_output() -> None:
    name = "s; Expires=2026-01-31T23:59:59Z"
    host = host_of(lambda: iter([b"a", b"", b"b"]), ContainerReply(None, (), "c=d", name, "t"))
    assert respond(host, CALL) == InvokeEndpointOutput(
        body=b"ab",
        invoked_production_variant="AllTraffic",
        custom_attributes="c=d",
        new_session_id=name,
        closed_session_id="t",
    )
    assert host.sessions_opened == 1


def test_response_of_a_container_is_limited_in_size_and_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_model_host, "MAX_RESPONSE_SIZE", 2)
    with pytest.raises(ModelError, match="more than 2 bytes"):
        respond(host_of(lambda: iter([b"a"] * 3)), CALL)

    def slow() -> Iterator[bytes]:
        yield b"a"
        time.sleep(1.05)
        yield b"b"

    host = host_of(slow)
    accepted = respond(host, ASYNC_CALL)
    assert isinstance(accepted, InvokeEndpointAsyncOutput)
    deadline, failure = time.monotonic() + 5, None
    while failure is None and time.monotonic() < deadline:
        time.sleep(0.01)
        failure = host.store.get(accepted.failure_location or "")
    host.close()
    assert b"timed out" in (failure or b"")
