"""What an unlucky or hostile server does to a connection, on real sockets, over every transport: pools, time, early answers.

Each scenario says what the server does and what is right. Upper bounds on time are wide: they tell an end from no end.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from smruntime_core import (
    DispatchFailure,
    InvokeEndpoint,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStreamOutput,
    PayloadPart,
    RetryPolicy,
    ServiceError,
    Timeouts,
    service,
)

from .callers import CALLERS, IRIS, PERFORMERS, STREAMED, STREAMERS, Caller, Performer, Step
from .servers import OK, Peer, acting

AT_LAST = 8.0  # seconds: a loaded machine is done by then, and what drips for ever is not
BIG = InvokeEndpoint(endpoint_name="e", body=bytes(30_000_000))
OPENING = InvokeEndpoint(endpoint_name="e", body=b"", session_id="NEW_SESSION")


@pytest.fixture(params=CALLERS)
def call(request: pytest.FixtureRequest) -> Caller:
    return CALLERS[request.param]


@pytest.fixture(params=PERFORMERS)
def perform(request: pytest.FixtureRequest) -> Performer:
    return PERFORMERS[request.param]


@contextmanager
def ends() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < AT_LAST, "it went on as long as the server did"


def failed(outcome: object, kind: str, phase: str, delivery: str) -> DispatchFailure:
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == (kind, phase, delivery)
    return outcome


def answered(body: bytes = b"{}", status: str = "200 OK", *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]).encode() + body


# ── a connection that dies without an answer ──


def fin(peer: Peer) -> None:
    """Returning closes; everything was read, so the client gets a FIN."""


ENDS: dict[str, tuple[Callable[[Peer], None], str]] = {"fin": (fin, "closed"), "rst": (Peer.reset, "reset")}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_kept_connection_that_dies_is_replaced_once(call: Caller, end: str, attempts: int) -> None:
    """It was dead before the request came: sending again is free, even for who asked for one attempt."""
    die, kind = ENDS[end]

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(OK)
        if peer.number == 1:
            peer.read()
            die(peer)
        else:
            peer.idle()

    with acting(act) as stage:
        first, second = call(stage.url, IRIS, IRIS, attempts=attempts)
        assert len(stage.requests) == 3
        assert stage.connections == 2
    assert isinstance(first, InvokeEndpointOutput)
    assert isinstance(second, InvokeEndpointOutput), second
    assert [attempt.outcome for attempt in second.metadata.attempts] == [kind, "ok"]
    assert len({bytes_.partition(b"\r\n\r\n")[2] for bytes_ in stage.requests}) == 1


@pytest.mark.parametrize("end", ENDS)
def test_the_replacement_may_die_too_and_that_is_the_end(call: Caller, end: str) -> None:
    die, kind = ENDS[end]

    def act(peer: Peer) -> None:
        peer.read()
        if peer.number == 1:
            peer.send(OK)
            peer.read()
        die(peer)

    with acting(act) as stage:
        _, second = call(stage.url, IRIS, IRIS, attempts=3)
        assert len(stage.requests) == 3
    failure = failed(second, kind, "head", "maybe_sent")
    assert not failure.reused
    assert [attempt.outcome for attempt in failure.metadata.attempts] == [kind, kind]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("operation", [IRIS, OPENING])
def test_a_fresh_connection_that_dies_may_have_run_the_model(call: Caller, end: str, operation: InvokeEndpoint) -> None:
    die, kind = ENDS[end]

    def act(peer: Peer) -> None:
        peer.read()
        die(peer)

    with acting(act) as stage:
        (outcome,) = call(stage.url, operation, attempts=3)
        assert len(stage.requests) == 1
    failure = failed(outcome, kind, "head", "maybe_sent")
    assert not failure.reused
    assert failure.bytes_sent > len(operation.body)
    assert failure.bytes_received == 0
    assert not isinstance(failure, TimeoutError)


# ── time ──


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints"])
def test_interim_answers_for_ever_are_no_answer(call: Caller, status: str) -> None:
    def act(peer: Peer) -> None:
        peer.read()
        peer.drip(itertools.repeat(f"HTTP/1.1 {status}\r\n\r\n".encode(), 16), 0.1)

    with acting(act) as stage, ends():
        (outcome,) = call(stage.url, timeouts=Timeouts(response=0.25), attempts=3)
        assert len(stage.requests) == 1
    failed(outcome, "timeout", "head", "maybe_sent")


def test_a_server_that_never_answers(call: Caller) -> None:
    def act(peer: Peer) -> None:
        peer.read()
        peer.idle()

    with acting(act) as stage, ends():
        (outcome,) = call(stage.url, timeouts=Timeouts(response=0.2), attempts=3)
        assert len(stage.requests) == 1
    failure = failed(outcome, "timeout", "head", "maybe_sent")
    assert isinstance(failure, TimeoutError)
    assert len(failure.metadata.attempts) == 1
    assert failure.metadata.attempts[0].seconds >= 0.19


def test_an_answer_that_comes_too_late_reaches_nobody(perform: Performer) -> None:
    """Neither this caller, who was told that it is a timeout, nor the next, whose answer it is not."""

    def act(peer: Peer) -> None:
        while peer.read():
            if peer.number == 1:
                peer.idle(0.4)
            peer.send(answered(b"%d" % peer.number))

    with acting(act) as stage:
        late, *others = perform(stage.url, Step(options={"timeout": 0.2}), Step(), Step())
    failed(late, "timeout", "head", "maybe_sent")
    assert [other.body for other in others] == [b"2", b"2"]


def test_a_head_that_drips_has_the_time_of_one_head(call: Caller) -> None:
    def act(peer: Peer) -> None:
        peer.read()
        peer.drip((bytes((byte,)) for byte in OK.replace(b"\r\nx-", b"\r\nx-padding: %s\r\nx-" % (b"." * 1000))), 0.05)

    with acting(act) as stage, ends():
        (outcome,) = call(stage.url, timeouts=Timeouts(response=0.3, idle=0.3), attempts=3)
        assert len(stage.requests) == 1
    failed(outcome, "timeout", "head", "maybe_sent")


def drip_body(peer: Peer) -> None:
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    peer.drip(itertools.repeat(b".", 300), 0.05)


@pytest.mark.parametrize("way", ["Timeouts.total", "with_options"])
def test_a_body_that_drips_ends_with_the_call(perform: Performer, way: str) -> None:
    """However fast it seems, nothing outlasts the timeout of the whole call."""
    timeouts = Timeouts(total=0.3, idle=0.3) if way == "Timeouts.total" else Timeouts(idle=0.3)
    with acting(drip_body) as stage, ends():
        (outcome,) = perform(stage.url, Step(options={} if timeouts.total else {"timeout": 0.3}), timeouts=timeouts)
        assert len(stage.requests) == 1
    assert failed(outcome, "timeout", "body", "answered").status == 200


def at_once(ways: list[Callable[..., Any]], url: str) -> list[Any]:
    """All of them at the same time, for what takes seconds."""
    with ThreadPoolExecutor(len(ways)) as pool:
        return list(pool.map(lambda way: way(url), ways))


def test_a_body_has_to_come_at_a_byte_a_second() -> None:
    """Each pause is within `idle`, yet 1.6 s a byte is less than a byte a second beyond one `idle` of grace.

    So it is for an answer, and for the error that comes instead of a stream: the stream itself may come as slowly as the model thinks.
    """

    def act(peer: Peer) -> None:
        status, kind = ("500 x", "InternalFailure") if b"-response-stream" in peer.read() else ("200 OK", "")
        peer.send(f"HTTP/1.1 {status}\r\nx-amzn-errortype: {kind}\r\nContent-Length: 1000000\r\n\r\n".encode())
        peer.drip(itertools.repeat(b".", 8), 1.6)

    ways: list[Callable[..., Any]] = [partial(caller, timeouts=Timeouts(idle=2.0), attempts=3) for caller in CALLERS.values()]
    ways += [partial(streamer, timeouts=Timeouts(idle=2.0)) for streamer in STREAMERS.values()]
    with acting(act) as stage, ends():
        came_to = [outcome for (outcome,) in at_once(ways, stage.url)]
        assert len(stage.requests) == len(ways)
    for outcome in came_to[: len(CALLERS)]:
        assert failed(outcome, "timeout", "body", "answered").status == 200
    for told in came_to[len(CALLERS) :]:
        assert isinstance(told.error, ServiceError), told.error
        assert (told.error.code, told.error.truncated) == ("InternalFailure", True)


def test_half_a_body_then_silence(call: Caller) -> None:
    def act(peer: Peer) -> None:
        peer.read()
        peer.send(OK[:-2])
        peer.idle()

    with acting(act) as stage, ends():
        (outcome,) = call(stage.url, timeouts=Timeouts(idle=0.2), attempts=3)
        assert len(stage.requests) == 1
    failure = failed(outcome, "timeout", "body", "answered")
    assert isinstance(failure, TimeoutError)
    assert failure.status == 200


def test_an_upload_that_nobody_reads(call: Caller) -> None:
    with acting(Peer.idle) as stage, ends():
        (outcome,) = call(stage.url, BIG, timeouts=Timeouts(idle=0.3), attempts=3)
        assert stage.connections == 1
    failure = failed(outcome, "timeout", "send", "maybe_sent")
    assert isinstance(failure, TimeoutError)
    assert 0 < failure.bytes_sent < len(BIG.body)


PARTS = [b"a" * 6_000_000, b"b" * 6_000_000]


def stream_of(parts: list[bytes]) -> bytes:
    head = service.begin(InvokeEndpointWithResponseStreamOutput(content_type="text/plain"), request_id="q")
    body = b"".join(service.event(PayloadPart(part)) for part in parts)
    return answered(body, "200 OK", *(f"{name}: {value}" for name, value in head.headers))


def test_a_slow_reader_is_no_fault_of_the_server() -> None:
    """A longer pause than `idle` between parts too large to wait in the kernel: only the server's silence counts."""

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(stream_of(PARTS))
        peer.idle()

    step = Step(STREAMED, pause=1.2)
    with acting(act) as stage:
        ways: list[Callable[..., Any]] = [lambda url, do=do: do(url, step, timeouts=Timeouts(idle=1.0)) for do in PERFORMERS.values()]
        assert all(parts == PARTS for (parts,) in at_once(ways, stage.url))


def test_limits_are_finite_unless_told_otherwise() -> None:
    assert (Timeouts().connect, Timeouts().response, Timeouts().idle, Timeouts().total) == (3.1, 70.0, 20.0, None)


# ── answers before the request is through ──


def lingering(peer: Peer) -> None:
    peer.connection.shutdown(1)
    while peer.connection.recv(1 << 20):
        pass


EARLY: dict[str, tuple[str, Callable[[Peer], None]]] = {
    "413 and closed, the body unread": ("413 x", fin),
    "413 and closed for sending, the body read": ("413 x", lingering),
    "413 and kept open, the body unread": ("413 x", Peer.idle),
    "403 and closed": ("403 x", fin),
}


@pytest.mark.parametrize("name", EARLY)
def test_an_early_refusal_is_heard(call: Caller, name: str) -> None:
    """Uploading stops, the refusal is what the caller gets, and 30 MB are not sent again."""
    status, then = EARLY[name]

    def act(peer: Peer) -> None:
        peer.read_part(1_000_000)
        peer.send(answered(b'{"Message":"no"}', status))
        then(peer)

    with acting(act) as stage, ends():
        (outcome,) = call(stage.url, BIG, attempts=3)
        assert stage.connections == 1
    assert isinstance(outcome, ServiceError), outcome
    assert (str(outcome.status), outcome.message) == (status[:3], "no")


def test_an_early_success_ends_the_upload_and_the_connection(call: Caller) -> None:
    def act(peer: Peer) -> None:
        peer.read_part(1_000_000)
        peer.send(OK)
        peer.idle()

    with acting(act) as stage, ends():
        outcomes = call(stage.url, BIG, BIG)
        assert stage.connections == 2, "what is left of one request would have been the beginning of the next"
    assert [outcome.body for outcome in outcomes if isinstance(outcome, InvokeEndpointOutput)] == [b"abc", b"abc"]


def test_reset_in_the_middle_of_the_upload(call: Caller) -> None:
    def act(peer: Peer) -> None:
        peer.read_part(1_000_000)
        peer.reset()

    with acting(act) as stage:
        (outcome,) = call(stage.url, BIG, attempts=3)
        assert stage.connections == 1
    failure = failed(outcome, "reset", "send", "maybe_sent")
    assert 1_000_000 <= failure.bytes_sent < len(BIG.body)


def test_continue_and_then_the_end(call: Caller) -> None:
    """On a kept connection as well: bytes of an answer had come, so it was alive when the request did."""

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(OK)
        peer.read()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    with acting(act) as stage, ends():
        _, outcome = call(stage.url, IRIS, IRIS, attempts=3)
        assert len(stage.requests) == 2
    assert failed(outcome, "truncated", "head", "maybe_sent").reused


def test_what_may_run_twice_is_sent_again_if_the_caller_says_so(perform: Performer) -> None:
    def act(peer: Peer) -> None:
        peer.read()
        if peer.number < 3:
            peer.reset()
        else:
            peer.send(OK)

    retries = RetryPolicy(base_delay=0.0)
    with acting(act) as stage:
        (outcome,) = perform(stage.url, Step(options={"idempotent": True}), retries=retries)
        assert len(stage.requests) == 3
    assert isinstance(outcome, InvokeEndpointOutput)
