"""The notices of a call over every transport: their order, and that they hold no secrets."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import Any

import pytest

import smruntime_core as sm
from smruntime_core import service
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
from smruntime_core.protocol._bindings import Output
from smruntime_core.streaming import PayloadPart
from smruntime_core.testing import FrozenClock, script
from smruntime_transports import sockets

from .callers import CREDENTIALS, IRIS, STREAMED, Performer, Step
from .servers import OK, Peer, acting, scripted

BUSY = (
    b"HTTP/1.1 503 x\r\nx-amzn-errortype: ServiceUnavailable\r\nx-amzn-RequestId: r-0\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)
EAGER = sm.RetryPolicy(base_delay=0.0)
DETAIL = sm.InvokeEndpoint(
    endpoint_name="iris",
    body=b"the body",
    custom_attributes="the attributes",
    inference_id="the-id",
)


def kinds(notices: list[Notice]) -> list[type[Notice]]:
    return [type(notice) for notice in notices]


def one(notices: list[Notice], kind: type[Any], number: int = 0) -> Any:
    return [notice for notice in notices if type(notice) is kind][number]


def streamed(*parts: bytes) -> bytes:
    head = service.begin(
        sm.InvokeEndpointWithResponseStreamOutput(content_type="text/plain"), request_id="q"
    )
    body = b"".join(service.event(PayloadPart(part)) for part in parts)
    fields = [f"{name}: {value}" for name, value in head.headers]
    return (
        "\r\n".join(["HTTP/1.1 200 OK", *fields, f"Content-Length: {len(body)}", "", ""]).encode()
        + body
    )


def test_notices_of_a_call_that_succeeds(perform: Performer) -> None:
    notices: list[Notice] = []
    with scripted(OK) as server:
        perform(server.url, observe=notices.append)
    assert kinds(notices) == [RequestBuilt, AttemptStarted, FirstByte, AttemptEnded, CallEnded]
    assert {notice.operation for notice in notices} == {"InvokeEndpoint"}
    assert len({notice.invocation for notice in notices}) == 1
    assert f"amz-sdk-invocation-id: {notices[0].invocation}".encode() in server.requests[0]
    built, started, first, attempt, call = (vars(notice) for notice in notices)
    assert (built["method"], built["path"], built["size"]) == (
        "POST",
        "/endpoints/iris/invocations",
        len(IRIS.body),
    )
    assert (built["endpoint_name"], built["region"]) == ("iris", "us-east-1")
    assert built["host"] == server.url.removeprefix("http://")
    assert (started["number"], started["max_attempts"]) == (1, 3)
    assert (attempt["number"], attempt["outcome"], attempt["status"], attempt["request_id"]) == (
        1,
        "ok",
        200,
        "r-1",
    )
    assert (call["outcome"], call["attempts"]) == ("ok", 1)
    assert 0 <= first["seconds"] <= attempt["seconds"] <= call["seconds"]


def test_notices_of_a_call_that_is_retried(perform: Performer) -> None:
    notices: list[Notice] = []
    with scripted(BUSY, OK) as server:
        perform(server.url, observe=notices.append, retries=EAGER)
    attempt: list[type[Notice]] = [AttemptStarted, FirstByte, AttemptEnded]
    assert kinds(notices) == [RequestBuilt, *attempt, Waiting, *attempt, CallEnded]
    assert [one(notices, AttemptStarted, n).number for n in (0, 1)] == [1, 2]
    assert [one(notices, AttemptEnded, n).outcome for n in (0, 1)] == ["ServiceUnavailable", "ok"]
    assert one(notices, AttemptEnded).request_id == "r-0"
    assert (one(notices, Waiting).reason, one(notices, Waiting).seconds) == (
        "ServiceUnavailable",
        0.0,
    )
    assert one(notices, CallEnded).attempts == 2


def test_notices_of_a_call_that_fails(perform: Performer) -> None:
    notices: list[Notice] = []
    with scripted(
        b"HTTP/1.1 400 x\r\nx-amzn-errortype: ValidationError\r\nContent-Length: 2\r\n\r\n{}"
    ) as server:
        perform(server.url, observe=notices.append)
    assert kinds(notices) == [RequestBuilt, AttemptStarted, FirstByte, AttemptEnded, CallEnded]
    assert (
        one(notices, AttemptEnded).outcome == one(notices, CallEnded).outcome == "ValidationError"
    )


def test_call_that_ends_with_any_other_error_has_its_notices() -> None:
    notices: list[Notice] = []
    runtime = sm.Runtime(
        sm.Config(region="eu-west-1"),
        clock=FrozenClock(),
        random=lambda: 0.5,
        observe=notices.append,
    )
    shorter = sm.ConstructionError("body", "as many bytes as at first", "it has become shorter")
    flow = script(runtime.call(DETAIL)).replies(sm.Credentials("AKID", "secret")).replies(shorter)
    assert flow.raises(sm.ConstructionError) is shorter
    assert kinds(notices) == [RequestBuilt, AttemptStarted, AttemptEnded, CallEnded]
    assert one(notices, CallEnded).outcome == "ConstructionError"


def test_notices_of_a_call_without_a_response(perform: Performer) -> None:
    """There is no first byte and no status."""
    notices: list[Notice] = []
    with scripted(5.0) as server:
        perform(server.url, observe=notices.append, timeouts=sm.Timeouts(response=0.2))
    assert kinds(notices) == [RequestBuilt, AttemptStarted, AttemptEnded, CallEnded]
    ended = one(notices, AttemptEnded)
    assert (ended.outcome, ended.status, ended.request_id) == ("timeout", None, None)
    assert ended.seconds >= 0.19


def test_replacing_a_closed_connection_is_no_wait(perform: Performer) -> None:
    notices: list[Notice] = []

    def act(peer: Peer) -> None:
        if peer.read():
            peer.send(OK)
        if peer.number == 2:
            peer.idle()
        peer.read()

    with acting(act) as stage:
        perform(
            stage.url,
            Step(),
            Step(),
            observe=notices.append,
            retries=sm.RetryPolicy(max_attempts=1),
        )
    second = notices[5:]
    assert kinds(second) == [
        RequestBuilt,
        AttemptStarted,
        AttemptEnded,
        AttemptStarted,
        FirstByte,
        AttemptEnded,
        CallEnded,
    ]
    assert [one(second, AttemptEnded, n).outcome for n in (0, 1)] == ["closed", "ok"]
    assert [one(second, AttemptStarted, n).max_attempts for n in (0, 1)] == [1, 2]


def test_notices_of_a_stream(perform: Performer) -> None:
    """The call ends when the head arrives; each piece follows, and the end of the stream."""
    notices: list[Notice] = []
    answer = streamed(b"a" * 100_000, b"b" * 100_000)
    with scripted(answer) as server:
        ((first, second),) = perform(server.url, Step(STREAMED), observe=notices.append)
    assert (len(first), len(second)) == (100_000, 100_000)
    assert kinds(notices)[:5] == [RequestBuilt, AttemptStarted, FirstByte, AttemptEnded, CallEnded]
    pieces = [notice for notice in notices[5:-1] if isinstance(notice, PieceReceived)]
    assert len(pieces) == len(notices) - 6
    end = notices[-1]
    assert isinstance(end, StreamEnded)
    assert (end.outcome, end.events, end.size) == ("ok", 2, 200_000)
    assert end.seconds >= one(notices, CallEnded).seconds
    assert sum(piece.size for piece in pieces) == len(answer.partition(b"\r\n\r\n")[2])
    assert {notice.operation for notice in notices} == {"InvokeEndpointWithResponseStream"}
    assert {piece.invocation for piece in pieces} == {notices[0].invocation}


@pytest.mark.parametrize(
    ("wire", "outcome"),
    [
        (streamed(b"a", b"b")[:-5], "truncated"),
        (streamed(b"a", b"b") + b"", "closed"),
        (streamed(b"a", b"\xff"), "StreamError"),
    ],
)
def test_end_of_a_stream_says_how_it_ended(wire: bytes, outcome: str) -> None:
    notices: list[Notice] = []
    with (
        scripted(wire) as server,
        sockets.Client(
            region="us-east-1",
            endpoint_url=server.url,
            credentials=CREDENTIALS,
            observe=notices.append,
        ) as client,
        client.stream(STREAMED) as stream,
        suppress(sm.SmRuntimeError),
    ):
        for _ in stream.text():
            if outcome == "closed":
                break
    ends = [notice for notice in notices if isinstance(notice, StreamEnded)]
    assert [(end.outcome, end.size) for end in ends] == [(outcome, 1 + (outcome == "StreamError"))]


def test_first_byte_is_reported_when_it_arrives(perform: Performer) -> None:
    """The last byte waits for the notice, which so tells a slow model from a slow network."""
    heard = threading.Event()
    in_time: list[bool] = []

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(OK[:-1])
        in_time.append(heard.wait(10))
        peer.send(OK[-1:])
        peer.idle()

    notices: list[Notice] = []

    def observe(notice: Notice) -> None:
        notices.append(notice)
        if isinstance(notice, FirstByte):
            heard.set()

    with acting(act) as stage:
        perform(stage.url, observe=observe)
    assert in_time == [True]
    assert kinds(notices) == [RequestBuilt, AttemptStarted, FirstByte, AttemptEnded, CallEnded]


def test_notices_hold_nothing_of_caller_or_model(perform: Performer) -> None:
    """They hold numbers, names and ids of the operation, the endpoint and the service."""
    notices: list[Notice] = []
    answer = OK.replace(
        b"Content-Type", b"X-Amzn-SageMaker-Custom-Attributes: their attributes\r\nContent-Type"
    )
    with scripted(BUSY, answer) as server:
        perform(
            server.url,
            Step(DETAIL, {"extra_headers": {"x-a": "more"}}),
            observe=notices.append,
            retries=EAGER,
        )
    for notice in notices:
        for name, value in vars(notice).items():
            assert isinstance(value, int | float | None) or re.fullmatch(r"[\w/.:-]+", value), (
                name,
                value,
            )
    told = repr(
        [notice.replace(invocation="random") for notice in notices]
    )  # its hexadecimal digits may spell anything
    for secret in (
        "the body",
        "attributes",
        "the-id",
        "AKIDEXAMPLE",
        "a-session-token",
        "more",
        "text/csv",
        "abc",
    ):
        assert secret not in told, secret


def test_error_of_an_observer_is_raised_unchanged(perform: Performer) -> None:
    class Bug(Exception):
        pass

    def observe(notice: Notice) -> None:
        raise Bug

    with scripted(OK) as server, pytest.raises(Bug):
        perform(server.url, observe=observe)


class Ping(sm.Operation[Output]):
    output = Output
    errors = ()
    path = "/ping"


def test_operation_without_an_endpoint_name_is_reported() -> None:
    notices: list[Any] = []
    config, clock = sm.Config(region="eu-west-1"), FrozenClock()
    runtime = sm.Runtime(config, clock=clock, random=lambda: 0.5, observe=notices.append)
    conversation = script(runtime.call(Ping())).replies(sm.Credentials("AKID", "secret"))
    conversation.replies(sm.Response(200))
    assert (notices[0].path, notices[0].endpoint_name) == ("/ping", "")
