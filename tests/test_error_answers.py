"""Errors where a stream was requested, and further errors of the service outside the contract."""

from __future__ import annotations

import pickle
import time
import tracemalloc

import pytest

from smruntime_core import ServiceError, ValidationError
from smruntime_core.values._dates import format_http_date, parse_timestamp
from smruntime_core.values._http import MAX_ERROR_BODY

from .callers import CALLERS, STREAMED, STREAMERS, Performer, Step, Streamer
from .servers import OK, Peer, acting, scripted


@pytest.fixture(params=STREAMERS)
def stream(request: pytest.FixtureRequest) -> Streamer:
    return STREAMERS[request.param]


HUGE = {
    "200 MB": (b"Content-Length: 200000000", b"x" * 65536),
    "without end, in chunks": (
        b"Transfer-Encoding: chunked",
        b"10000\r\n" + b"x" * 65536 + b"\r\n",
    ),
    "without end, until the connection is closed": (b"X: y", b"x" * 65536),
}


@pytest.mark.parametrize("name", HUGE)
def test_error_body_is_read_to_one_mebibyte(stream: Streamer, name: str) -> None:
    field, piece = HUGE[name]

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 400 x\r\nx-amzn-ErrorType: ValidationError\r\n" + field + b"\r\n\r\n")
        while True:
            peer.send(piece)

    with acting(act) as stage:
        tracemalloc.start()
        (outcome,) = stream(stage.url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert isinstance(outcome.error, ValidationError), outcome.error
    assert outcome.error.truncated
    assert len(outcome.error.body) == MAX_ERROR_BODY
    assert stage.sent < 24 * MAX_ERROR_BODY, "more was sent than the kernel's buffers hold"
    assert peak < 8 * MAX_ERROR_BODY


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_errors(stream: Streamer, status: int) -> None:
    with scripted(OK) as elsewhere:
        answer = (
            f"HTTP/1.1 {status} x\r\nLocation: {elsewhere.url}/evil\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        with scripted(answer) as server:
            (outcome,) = stream(server.url, attempts=3)
            assert len(server.requests) == 1
        assert elsewhere.connections == 0
    assert isinstance(outcome.error, ServiceError)
    assert (outcome.error.code, outcome.error.status) == (str(status), status)


@pytest.mark.parametrize("off", [600, -600])
def test_clock_correction_applies_to_every_later_call(perform: Performer, off: int) -> None:
    """Also to calls with other options, and to streamed calls."""

    def act(peer: Peer) -> None:
        while request := peer.read():
            now = time.time() + off
            signed = parse_timestamp(request.partition(b"x-amz-date: ")[2][:16].decode())
            if signed is not None and abs(now - signed) < 300:
                peer.send(OK)
            else:
                lines = [
                    "HTTP/1.1 403 x",
                    "x-amzn-ErrorType: RequestTimeTooSkewed",
                    f"Date: {format_http_date(now)}",
                    "Content-Length: 2",
                    "",
                    "{}",
                ]
                peer.send("\r\n".join(lines).encode())

    with acting(act) as stage:
        first, second, streamed = perform(
            stage.url, Step(), Step(options={"timeout": 30}), Step(STREAMED)
        )
        assert len(stage.requests) == 4
        assert stage.connections == 1
    assert [attempt.outcome for attempt in first.metadata.attempts] == [
        "RequestTimeTooSkewed",
        "ok",
    ]
    assert [attempt.outcome for attempt in second.metadata.attempts] == ["ok"]
    assert type(streamed).__name__ == "StreamError", (
        "the streamed call was not signed with the corrected clock"
    )


@pytest.mark.parametrize(
    "body", [b'{"message":"a\\r\\n\\u001b[2J \\ud800"}', b'{"__type":"Bad\\u001b[1m"}', b"\xff\xfe"]
)
def test_error_can_be_pickled(body: bytes) -> None:
    answer = (
        b"HTTP/1.1 400 x\r\nx-amzn-RequestId: r\xff\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    )
    with scripted(answer) as server:
        (error,) = CALLERS["sockets"](server.url)
    assert isinstance(error, ServiceError)
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.body, copied.message_raw) == (str(error), body, error.message_raw)
    assert str(error).encode()
