"""What an unlucky or hostile service says when it says no, on real sockets, over every transport.

Whatever the bytes: an error of ours with the best code there is, bounded in memory and time, fit to be printed.
"""

from __future__ import annotations

import gzip
import itertools
import json
import pickle
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from smruntime_core import (
    InternalDependencyException,
    InternalFailure,
    InvokeEndpointOutput,
    ModelError,
    ModelNotReadyException,
    RetryPolicy,
    ServiceError,
    ServiceUnavailable,
    ValidationError,
)
from smruntime_core._model import MAX_ERROR_BODY
from smruntime_core._notices import Notice, Waiting

from .callers import CALLERS, IRIS, PERFORMERS, STREAMED, STREAMERS, Caller, Performer, Step, Streamer
from .servers import OK, Peer, acting, scripted


@pytest.fixture(params=CALLERS)
def call(request: pytest.FixtureRequest) -> Caller:
    return CALLERS[request.param]


@pytest.fixture(params=STREAMERS)
def stream(request: pytest.FixtureRequest) -> Streamer:
    return STREAMERS[request.param]


@pytest.fixture(params=PERFORMERS)
def perform(request: pytest.FixtureRequest) -> Performer:
    return PERFORMERS[request.param]


def refusal(body: bytes = b'{"Message":"no"}', kind: str | None = None, status: int = 400, *fields: str) -> bytes:
    named = () if kind is None else (f"x-amzn-ErrorType: {kind}",)
    lines = [f"HTTP/1.1 {status} x", "x-amzn-RequestId: r-1", *named, *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def errors(call: Caller, answers: list[bytes]) -> list[ServiceError]:
    """What `answers` come to, all by one kept connection."""
    with scripted(*answers) as server:
        outcomes = call(server.url, *[IRIS] * len(answers))
        assert server.connections == 1
        assert len(server.requests) == len(answers)
    assert all(isinstance(outcome, ServiceError) for outcome in outcomes), outcomes
    found = [outcome for outcome in outcomes if isinstance(outcome, ServiceError)]
    for error in found:
        assert str(error).isprintable()
        assert str(error).encode()
        assert error.metadata.request_id == "r-1"
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    return found


MODELLED: dict[str, tuple[type[ServiceError], int]] = {
    "ValidationError": (ValidationError, 400),
    "ModelError": (ModelError, 424),
    "ModelNotReadyException": (ModelNotReadyException, 429),
    "InternalFailure": (InternalFailure, 500),
    "ServiceUnavailable": (ServiceUnavailable, 503),
    "InternalDependencyException": (InternalDependencyException, 530),
}


def test_modelled_errors_are_six_types(call: Caller) -> None:
    body = b'{"Message":"no","OriginalStatusCode":500,"OriginalMessage":"boom","LogStreamArn":"arn:x"}'
    found = errors(call, [refusal(body, name, status) for name, (_, status) in MODELLED.items()])
    for error, (name, (kind, status)) in zip(found, MODELLED.items(), strict=True):
        assert type(error) is kind
        assert (error.code, error.status, error.message, error.body) == (name, status, "no", body)
    model = found[1]
    assert isinstance(model, ModelError)
    assert (model.original_status_code, model.original_message, model.log_stream_arn) == (500, "boom", "arn:x")


def test_every_form_of_the_error_type(call: Caller) -> None:
    """A namespace before `#`, a URL after `:`, blanks; what is empty then gives way to the body, and that to the status."""
    forms = {
        "ValidationError": "ValidationError",
        "ValidationError:http://internal.amazon.com/coral/com.amazon.coral.service/": "ValidationError",
        "com.amazonaws.sagemaker#ValidationError": "ValidationError",
        "com.amazonaws.sagemaker#ValidationError:http://a/b#c": "ValidationError",
        " \tValidationError \t": "ValidationError",
        "ValidationError : x": "ValidationError",
        "": "ModelError",
        ":": "ModelError",
        "#": "ModelError",
        "a#:b": "ModelError",
        "Novel.Error-1": "Novel.Error-1",
        "validationerror": "validationerror",
    }
    found = errors(call, [refusal(b'{"__type":"x#ModelError"}', kind) for kind in forms])
    assert [error.code for error in found] == list(forms.values())
    assert type(found[0]) is type(found[4]) is ValidationError
    assert {type(found[10]), type(found[11])} == {ServiceError}


def test_the_code_stands_in_the_body_only(call: Caller) -> None:
    found = errors(call, [refusal(b'{"%s":"ns#ValidationError:u"}' % key) for key in (b"__type", b"code", b"Code")])
    assert [type(error) for error in found] == [ValidationError] * 3


def test_a_code_that_is_no_text(call: Caller) -> None:
    values = ["7", "null", "[1]", "{}", "true", '""', '":"']
    bodies = [f'{{"__type":{value},"code":{value},"message":{value}}}'.encode() for value in values]
    assert [error.code for error in errors(call, [refusal(body, status=418) for body in bodies])] == ["418"] * len(values)


ODD_BODIES = {
    "list": b'["Message"]',
    "string": b'"Message"',
    "number": b"42",
    "deeply nested": b'{"a":' + b"[" * 100_000,
    "deeply nested and whole": b"[" * 100_000 + b"]" * 100_000,
    "no number": b'{"OriginalStatusCode":NaN}',
    "many digits": b'{"OriginalStatusCode":%s}' % (b"9" * 10_000),
    "not UTF-8": b'{"Message":"\xff\xfe\xc3"}',
    "compressed": gzip.compress(b'{"Message":"no"}'),
    "byte order mark": b'\xef\xbb\xbf{"Message":"no"}',
    "UTF-16": '{"Message":1}'.encode("utf-16"),
    "XML": b"<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>",
    "HTML": b"<html><body>503 Service Unavailable</body></html>",
    "NUL": b"\0" * 100,
    "empty": b"",
}


def test_a_body_that_is_no_object_of_json(call: Caller) -> None:
    """The header names the error, the body is kept as it came."""
    found = errors(call, [refusal(body, "ModelError", 424) for body in ODD_BODIES.values()])
    for error, (name, body) in zip(found, ODD_BODIES.items(), strict=True):
        assert isinstance(error, ModelError), name
        assert (error.code, error.status, error.body, error.original_status_code) == ("ModelError", 424, body, None), name


def test_such_a_body_without_a_name_goes_by_its_status_and_is_retried_by_it(call: Caller) -> None:
    found = errors(call, [refusal(body, status=403) for body in ODD_BODIES.values()])
    assert {error.code for error in found} == {"403"}
    with scripted(refusal(b"42", status=500), refusal(b"<html>", status=502), OK) as server:
        (outcome,) = call(server.url, attempts=3)
    assert isinstance(outcome, InvokeEndpointOutput)
    assert [attempt.outcome for attempt in outcome.metadata.attempts] == ["500", "502", "ok"]


def test_a_cut_error_is_still_that_error(call: Caller) -> None:
    whole = refusal(b'{"Message":"the instance count"}', "ValidationError", 400, "Connection: close")
    chunked = whole.replace(b"Content-Length: 32\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n20\r\n")
    for answer in (whole[:-3], whole[:-32], chunked, chunked[:-9], chunked + b"\r\n"):
        with scripted(answer) as server:
            (outcome,) = call(server.url, attempts=3)
            assert len(server.requests) == 1
        assert isinstance(outcome, ValidationError), outcome
        assert outcome.truncated


def endless(piece: bytes) -> Iterator[bytes]:
    return itertools.repeat(piece)


HUGE = {
    "200 MB": (b"Content-Length: 200000000", b"x" * 65536),
    "without end, in chunks": (b"Transfer-Encoding: chunked", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    "without end, until the connection is closed": (b"X: y", b"x" * 65536),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_error_is_read_to_a_megabyte(call: Caller, stream: Streamer, name: str) -> None:
    field, piece = HUGE[name]

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 400 x\r\nx-amzn-ErrorType: ValidationError\r\n" + field + b"\r\n\r\n")
        while True:
            peer.send(piece)

    for do in (lambda url: call(url)[0], lambda url: stream(url)[0].error):
        tracemalloc.start()
        with acting(act) as stage:
            outcome = do(stage.url)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert isinstance(outcome, ValidationError), outcome
        assert outcome.truncated
        assert len(outcome.body) == MAX_ERROR_BODY
        assert stage.sent < 24 * MAX_ERROR_BODY, "what the kernel holds besides"
        assert peak < 8 * MAX_ERROR_BODY


def test_messages_are_printable_whatever_they_hold(call: Caller) -> None:
    """No line of a log can be forged, and no terminal or encoder tripped; the raw text is kept beside."""
    messages = ["a\r\nERROR forged", "\x1b[2J\x1b]0;t\x07", "\ud800 and \udfff", "\0\x7f\x85\u2028\u202e", "naïve — ok"]
    found = errors(call, [refusal(json.dumps({"message": message}).encode()) for message in messages])
    assert [error.message_raw for error in found] == messages
    assert [error.message for error in found] == [
        r"a\r\nERROR forged",
        r"\x1b[2J\x1b]0;t\x07",
        r"\ud800 and \udfff",
        r"\x00\x7f\x85\u2028\u202e",
        "naïve — ok",
    ]


def test_so_are_codes_and_request_ids(call: Caller) -> None:
    answer = refusal(b'{"__type":"Bad\\u001b[1m"}').replace(b"r-1", b"\xff\xfe\x85\xad")
    with scripted(answer) as server:
        (outcome,) = call(server.url)
    assert isinstance(outcome, ServiceError)
    assert str(outcome).isprintable()
    assert r"Bad\x1b[1m" in str(outcome)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_errors(call: Caller, stream: Streamer, status: int) -> None:
    with scripted(OK) as elsewhere:
        answer = refusal(b"", None, status, f"Location: {elsewhere.url}/evil")
        with scripted(answer, answer) as server:
            (outcome,), (told,) = call(server.url, attempts=3), stream(server.url, attempts=3)
            assert len(server.requests) == 2
        assert elsewhere.connections == 0
    for error in (outcome, told.error):
        assert isinstance(error, ServiceError)
        assert (error.code, error.status) == (str(status), status)


# ── when to come again, and what time it is ──


class Enough(Exception):
    """Raised by an observer, whose errors are its own, to end a call where it would have slept."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def no_waiting(notice: Notice) -> None:
    if isinstance(notice, Waiting):
        raise Enough(notice.seconds)


@pytest.mark.parametrize("field", ["Retry-After: 86400", "x-amz-retry-after: 86400000", "Retry-After: 999999999999"])
def test_a_server_may_ask_for_five_seconds_at_most(perform: Performer, field: str) -> None:
    with scripted(refusal(b"{}", "ServiceUnavailable", 503, field), OK) as server:
        with pytest.raises(Enough) as enough:
            perform(server.url, observe=no_waiting, retries=RetryPolicy(base_delay=0.25))
        assert 5.0 <= enough.value.seconds <= 5.25


def test_what_a_server_asks_for_is_waited(call: Caller) -> None:
    busy = refusal(b"{}", "ServiceUnavailable", 503, "x-amz-retry-after: 150")
    with scripted(busy, OK) as server:
        begun = time.monotonic()
        (outcome,) = call(server.url, attempts=2)
        assert time.monotonic() - begun >= 0.149
    assert isinstance(outcome, InvokeEndpointOutput)
    assert [attempt.waited for attempt in outcome.metadata.attempts] == [0.0, 0.15]


@pytest.mark.parametrize(
    "field", ["Retry-After: soon", "Retry-After: -1", "x-amz-retry-after: 1e9", "Retry-After: 9999999999999", "Retry-After:"]
)
def test_what_is_no_number_is_not_waited(call: Caller, field: str) -> None:
    with scripted(refusal(b"{}", "ServiceUnavailable", 503, field), OK) as server:
        (outcome,) = call(server.url, attempts=2)
    assert isinstance(outcome, InvokeEndpointOutput)
    assert outcome.metadata.attempts[1].waited <= 0.01


def test_no_waiting_past_the_timeout(perform: Performer) -> None:
    """The answer that is there is worth more than a timeout later."""
    with scripted(refusal(b"{}", "ServiceUnavailable", 503, "Retry-After: 60"), OK) as server:
        begun = time.monotonic()
        (outcome,) = perform(server.url, Step(options={"timeout": 4.0}))
        assert time.monotonic() - begun < 3.0
        assert len(server.requests) == 1
    assert isinstance(outcome, ServiceUnavailable)


@pytest.mark.parametrize("off", [600, -600])
def test_a_clock_ten_minutes_off_is_corrected_once_for_all_calls(perform: Performer, off: int) -> None:
    def act(peer: Peer) -> None:
        while request := peer.read():
            now = time.time() + off
            signed = time.strptime(request.partition(b"x-amz-date: ")[2][:16].decode(), "%Y%m%dT%H%M%SZ")
            if abs(now - (time.mktime(signed) - time.timezone)) < 300:
                peer.send(OK)
            else:
                date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now))
                peer.send(refusal(b"{}", "RequestTimeTooSkewed", 403, f"Date: {date}"))

    with acting(act) as stage:
        first, second, streamed = perform(
            stage.url, Step(), Step(options={"timeout": 30}), Step(STREAMED), retries=RetryPolicy(max_attempts=1)
        )
        assert len(stage.requests) == 4
        assert stage.connections == 1
    assert [attempt.outcome for attempt in first.metadata.attempts] == ["RequestTimeTooSkewed", "ok"]
    assert [attempt.outcome for attempt in second.metadata.attempts] == ["ok"]
    assert type(streamed).__name__ == "StreamError", "a 200 that is no stream, so the signature was taken"


def test_a_storm_of_503_gets_35_retries_from_a_client() -> None:
    """500 tokens at 14 each; then every call is one request, until something succeeds."""
    answers: list[Any] = [refusal(b"{}", "ServiceUnavailable", 503)] * 200
    for perform in PERFORMERS.values():
        with scripted(*answers) as server:
            outcomes = perform(server.url, *[Step()] * 40, retries=RetryPolicy(base_delay=0.0))
            assert len(server.requests) == 40 + 35
        attempts = [len(outcome.metadata.attempts) for outcome in outcomes]
        assert attempts == [3] * 17 + [2] + [1] * 22


def test_a_storm_of_throttling_gets_100_retries_from_a_client() -> None:
    """They cost 5."""
    answers: list[Any] = [refusal(b"{}", "ThrottlingException", 400)] * 200
    for perform in PERFORMERS.values():
        with scripted(*answers) as server:
            perform(server.url, *[Step()] * 60, retries=RetryPolicy(throttling_delay=0.0))
            assert len(server.requests) == 60 + 100
