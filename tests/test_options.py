"""Options of a client over every transport, as the server sees them."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

import smruntime_core as sm
from smruntime_core.conversation._options import RESERVED
from smruntime_core.eventstream import Message, encode
from smruntime_transports import sockets

from .callers import CREDENTIALS, IRIS, STREAMED, Performer, Step
from .servers import OK, Peer, acting, scripted

BUSY = b"HTTP/1.1 503 x\r\nx-amzn-errortype: ServiceUnavailable\r\nContent-Length: 2\r\n\r\n{}"
NO_CAPACITY = b'{"Message":"Inference component ic has no capacity to serve requests"}'
SCALED_TO_ZERO = (
    b"HTTP/1.1 400 x\r\nx-amzn-errortype: ValidationError\r\nContent-Length: %d\r\n\r\n%b"
    % (len(NO_CAPACITY), NO_CAPACITY)
)
EAGER = sm.RetryPolicy(base_delay=0.0, throttling_delay=0.0)


def headers_of(request: bytes) -> dict[str, str]:
    """Return the headers of a request by lower-case name; each must occur once."""
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert len(found) == len(lines)
    return found


def signed_names(request: bytes) -> set[str]:
    found = re.search(r"SignedHeaders=([^,]+),", headers_of(request)["authorization"])
    assert found
    return set(found[1].split(";"))


# ── time and attempts ──


def test_timeout_bounds_the_whole_call_with_its_retries(perform: Performer) -> None:
    """Each attempt is answered in time, but not all of them together."""

    def act(peer: Peer) -> None:
        while peer.read():
            peer.idle(0.25)
            peer.send(BUSY)

    with acting(act) as stage:
        began = time.monotonic()
        (outcome,) = perform(
            stage.url, Step(options={"timeout": 0.6, "retries": EAGER.replace(max_attempts=100)})
        )
        took = time.monotonic() - began
        assert len(stage.requests) <= 3
    assert took < 0.6 + 2.0
    assert isinstance(outcome, TimeoutError | sm.ServiceUnavailable), outcome


def test_timeout_overrides_the_total_of_the_client(perform: Performer) -> None:
    with scripted(0.4, OK) as server:
        (output,) = perform(
            server.url, Step(options={"timeout": 20.0}), timeouts=sm.Timeouts(total=0.2)
        )
        assert output.body == b"abc"
    with scripted(5.0) as server:
        (outcome,) = perform(server.url, Step(), timeouts=sm.Timeouts(total=0.2))
        assert isinstance(outcome, TimeoutError)
    with scripted(0.4, OK) as server:
        (output,) = perform(
            server.url, Step(options={"timeout": None}), timeouts=sm.Timeouts(total=0.2)
        )
        assert output.body == b"abc"


def test_timeout_of_the_client_bounds_each_call(perform: Performer) -> None:
    with scripted(5.0) as server:
        (outcome,) = perform(server.url, Step(), timeout=0.2, timeouts=sm.Timeouts(total=60.0))
    assert isinstance(outcome, TimeoutError)


def test_timeouts_of_a_call_replace_those_of_the_client(perform: Performer) -> None:
    strict, generous = sm.Timeouts(response=0.2), sm.Timeouts(response=20.0)
    with scripted(5.0) as server:
        (outcome,) = perform(server.url, Step(options={"timeouts": strict}), timeouts=generous)
        assert isinstance(outcome, TimeoutError)
        assert outcome.phase == "head"  # type: ignore[attr-defined]
    with scripted(0.4, OK) as server:
        (output,) = perform(server.url, Step(options={"timeouts": generous}), timeouts=strict)
        assert output.body == b"abc"


PART_HEADERS = {":message-type": "event", ":event-type": "PayloadPart"}


def send_parts(peer: Peer, part_count: int, pause: float) -> None:
    """Answer one request with a stream of parts, each after a pause."""
    peer.read()
    peer.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    for number in range(part_count):
        peer.idle(pause)
        frame = encode(Message(PART_HEADERS, b"part %d" % number))
        peer.send(b"%x\r\n%b\r\n" % (len(frame), frame))
    peer.send(b"0\r\n\r\n")


def test_read_limit_of_a_call_does_not_cut_a_stream_that_goes_on(perform: Performer) -> None:
    """The stream takes 1.5 s in all, but no pause in it is as long as the limit."""
    step = Step(STREAMED, {"timeouts": sm.Timeouts(response=0.8, idle=0.8)})
    with acting(lambda peer: send_parts(peer, 6, 0.25)) as stage:
        (parts,) = perform(stage.url, step)
    assert parts == [b"part %d" % number for number in range(6)]
    with acting(lambda peer: send_parts(peer, 1, 5.0)) as stage:
        (outcome,) = perform(stage.url, step)
    assert isinstance(outcome, TimeoutError)


@pytest.mark.parametrize("limits", [{"timeouts": sm.Timeouts(response=0.2)}, {"timeout": 0.2}])
def test_limits_of_a_call_apply_to_s3(limits: Any) -> None:
    """The client's own limits would wait for more than a minute."""
    once = {"retries": sm.RetryPolicy(max_attempts=1), **limits}
    with (
        scripted(*[5.0] * 9) as server,
        sockets.Client(
            region="us-east-1", s3_endpoint_url=server.url, credentials=CREDENTIALS
        ) as client,
    ):
        limited, began = client.with_options(**once), time.monotonic()
        with pytest.raises(TimeoutError):
            limited.upload_input("s3://bucket/key", b"1")
        job = client.with_options(timeouts=sm.Timeouts(response=0.2)).job("s3://bucket/out")
        with pytest.raises(TimeoutError):
            job.done(timeout=60.0)
    assert time.monotonic() - began < 10.0


def test_last_given_of_timeout_and_timeouts_holds() -> None:
    """A client's copies and a runtime's give the same, for every order of the options."""
    limits = sm.Timeouts(idle=3.0, total=9.0)
    expected: list[tuple[list[Any], sm.Timeouts]] = [
        ([{"timeout": 5.0}], sm.Timeouts(total=5.0)),
        ([{"timeouts": limits}], limits),
        ([{"timeouts": limits}, {"timeout": 5.0}], limits.replace(total=5.0)),
        ([{"timeouts": limits}, {"timeout": None}], limits.replace(total=None)),
        ([{"timeout": 5.0}, {"timeouts": limits}], limits),
        ([{"timeout": 5.0, "timeouts": limits}], limits.replace(total=5.0)),
        ([{"timeout": 5.0}, {"max_body": 1}], sm.Timeouts(total=5.0)),
    ]
    for steps, timeouts in expected:
        runtime = sm.Runtime(sm.Config(region="r-1"), clock=time, random=lambda: 0.5)
        client = sockets.Client(region="r-1", credentials=CREDENTIALS)
        for step in steps:
            runtime, client = runtime.with_options(**step), client.with_options(**step)
        assert runtime.options.timeouts == timeouts
        assert client._ready().options.timeouts == timeouts
        assert pickle_free_copy(client)._ready().options.timeouts == timeouts


def pickle_free_copy(client: Any) -> Any:
    """Return the client as a pickle would restore it, credentials included."""
    restored = type(client)(**client._settings)
    return restored.with_options(**client._changes)


def test_unfit_time_limit_is_refused_by_the_name_it_was_given_under() -> None:
    for setting in ({"timeout": 0}, {"timeout": "3"}, {"timeouts": 3}, {"timeouts": None}):
        refused: dict[str, Any] = {**setting}
        with pytest.raises(sm.ConstructionError) as refusal:
            sockets.Client(region="r-1", credentials=CREDENTIALS).with_options(**refused)
        assert refusal.value.member == next(iter(setting))
    for setting in ({"timeout": 0}, {"timeouts": 3}, {"max_body": -1}):
        refused = {**setting}
        with pytest.raises(sm.ConstructionError) as refusal:
            sockets.Client(region="r-1", **refused)
        assert refusal.value.member == next(iter(setting))


def test_number_instead_of_a_retry_policy_is_refused() -> None:
    refused: Any = 0
    with pytest.raises(sm.ConstructionError, match="retries: must be a RetryPolicy"):
        sockets.Client(region="r-1", retries=refused)


def test_retries_option_overrides_the_client(perform: Performer) -> None:
    with scripted(*[BUSY] * 5, OK) as server:
        once, often = perform(
            server.url,
            Step(options={"retries": sm.RetryPolicy(max_attempts=1)}),
            Step(),
            retries=EAGER.replace(max_attempts=9),
        )
    assert isinstance(once, sm.ServiceUnavailable)
    assert len(once.metadata.attempts) == 1
    assert len(often.metadata.attempts) == 5


def test_idempotent_call_is_sent_again_after_a_timeout(perform: Performer) -> None:
    def act(peer: Peer) -> None:
        while peer.read():
            if peer.number > 1:
                peer.send(OK)

    timeouts = sm.Timeouts(response=0.4)
    with acting(act) as stage:
        (twice,) = perform(
            stage.url, Step(options={"idempotent": True}), timeouts=timeouts, retries=EAGER
        )
        assert len(stage.requests) == 2
        assert (
            stage.requests[0].partition(b"\r\n\r\n")[2]
            == stage.requests[1].partition(b"\r\n\r\n")[2]
        )
    assert [attempt.outcome for attempt in twice.metadata.attempts] == ["timeout", "ok"]


def test_idempotent_call_that_opens_a_session_is_sent_once(perform: Performer) -> None:
    opening = sm.InvokeEndpoint(endpoint_name="e", body=b"", session_id="NEW_SESSION")
    with scripted(5.0) as server:
        (outcome,) = perform(
            server.url,
            Step(opening, {"idempotent": True}),
            timeouts=sm.Timeouts(response=0.2),
            retries=EAGER,
        )
        assert len(server.requests) == 1
    assert isinstance(outcome, TimeoutError)


def test_wait_for_capacity_retries_within_its_limit_and_for_free(perform: Performer) -> None:
    """Without the option it does not wait; the waits cost no retries."""
    once = sm.RetryPolicy(max_attempts=1)
    with scripted(SCALED_TO_ZERO, SCALED_TO_ZERO, OK) as server:
        without, waiting = perform(
            server.url, Step(), Step(options={"wait_for_capacity": 0.5}), retries=once
        )
        assert len(server.requests) == 3
    assert isinstance(without, sm.ValidationError)
    assert "wait_for_capacity" in str(without)
    assert [attempt.outcome for attempt in waiting.metadata.attempts] == ["ValidationError", "ok"]
    assert 0 < waiting.metadata.attempts[1].waited <= 0.5


# ── extra headers ──


def test_extra_headers_are_signed_and_sent(perform: Performer) -> None:
    """They are part of every operation, and the local endpoint verifies the signature."""
    import smruntime_local

    extra = {"X-Amzn-SageMaker-Novel": "a  b,c", "tenant": "7"}
    with scripted(OK, OK, OK) as server:
        perform(
            server.url,
            Step(options={"extra_headers": extra}),
            Step(),
            Step(STREAMED, {"extra_headers": extra}),
        )
        first, second, third = server.requests
    for request in (first, third):
        assert (
            headers_of(request).items()
            >= {"x-amzn-sagemaker-novel": "a  b,c", "tenant": "7"}.items()
        )
        assert {"x-amzn-sagemaker-novel", "tenant"} <= signed_names(request)
    assert not headers_of(second).keys() & {"x-amzn-sagemaker-novel", "tenant"}
    with smruntime_local.serve() as endpoint:
        (output,) = perform(
            endpoint.url,
            Step(options={"extra_headers": extra}),
            region=endpoint.region,
            credentials=endpoint.credentials,
        )
    assert isinstance(output, sm.InvokeEndpointOutput), output


REFUSED: dict[str, Any] = {
    **{f"reserved: {name}": {name.title(): "x"} for name in sorted(RESERVED)},
    "repeated": (("X-A", "1"), ("x-a", "2")),
    "not a token": {"x a": "1"},
    "empty name": {"": "1"},
    "a colon in the name": {"x:": "1"},
    "a name that is not ASCII": {"x-é": "1"},
    "a name that is no string": {1: "1"},
    "the end of a line": {"x-a": "1\r\nx-evil: 1"},
    "a folded line": {"x-a": "1\r\n 2"},
    "a NUL": {"x-a": "\0"},
    "a value that is not ASCII": {"x-a": "é"},
    "a lone surrogate": {"x-a": "\ud800"},
    "blanks at the ends": {"x-a": " 1 "},
    "a value that is no string": {"x-a": 1},
    "too long": {"x-a": "1" * 8193},
    "a string": "x-a: 1",
    "triples": [("x-a", "1", "2")],
}


@pytest.mark.parametrize("name", REFUSED)
def test_unfit_extra_header_is_refused(name: str) -> None:
    with (
        sockets.Client(region="us-east-1", credentials=CREDENTIALS) as client,
        pytest.raises(sm.ConstructionError) as refused,
    ):
        client.with_options(extra_headers=REFUSED[name])
    assert refused.value.member.startswith("extra_headers")
    assert "evil" not in str(refused.value)


def test_extra_header_that_a_member_sets_is_refused(perform: Performer) -> None:
    """It would contradict the member, so nothing is sent."""
    with scripted(OK) as server:
        for extra in ({"content-type": "a/b"}, {"X-AMZN-SAGEMAKER-TARGET-MODEL": "m"}):
            (outcome,) = perform(server.url, Step(options={"extra_headers": extra}))
            assert isinstance(outcome, sm.ConstructionError), outcome
            assert outcome.member == "extra_headers"
        assert server.connections == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"timeout": 0},
        {"timeout": -1.0},
        {"timeout": True},
        {"retries": 3},
        {"idempotent": 1},
        {"wait_for_capacity": -1},
        {"wait_for_capacity": None},
    ],
)
def test_option_is_checked_where_it_is_given(changes: dict[str, Any]) -> None:
    with sockets.Client(region="us-east-1", credentials=CREDENTIALS) as client:
        with pytest.raises(sm.ConstructionError) as refused:
            client.with_options(**changes)
        assert refused.value.member in changes
        with pytest.raises(TypeError):
            client.with_options(attempts=3)  # type: ignore[call-arg]  # no option


def test_copies_share_connections_and_options_accumulate(perform: Performer) -> None:
    """The clock correction is shared too: see `test_error_answers`."""
    with scripted(OK, OK, OK) as server:
        perform(
            server.url,
            Step(),
            Step(options={"timeout": 5.0}),
            Step(options={"extra_headers": {"x-a": "b"}}),
        )
        assert server.connections == 1
    with (
        scripted(OK) as server,
        sockets.Client(
            region="us-east-1", credentials=CREDENTIALS, endpoint_url=server.url
        ) as client,
    ):
        copy = client.with_options(extra_headers={"x-a": "b"}).with_options(timeout=9.0)
        copy.call(IRIS)
        assert headers_of(server.requests[0])["x-a"] == "b"
        assert "ttl=" in headers_of(server.requests[0])["amz-sdk-request"]


# ── headers of the attempt, progress and limits ──


def test_invocation_and_attempt_headers_are_sent_unsigned(perform: Performer) -> None:
    with scripted(BUSY, BUSY, OK, OK) as server:
        perform(
            server.url,
            Step(),
            Step(options={"retries": sm.RetryPolicy(max_attempts=1)}),
            retries=EAGER,
        )
        sent = [headers_of(request) for request in server.requests]
        for request in server.requests:
            assert not signed_names(request) & {
                "amz-sdk-invocation-id",
                "amz-sdk-request",
                "user-agent",
            }
            assert {"host", "content-type", "x-amz-date", "x-amz-security-token"} <= signed_names(
                request
            )
    *calls, other = (one["amz-sdk-invocation-id"] for one in sent)
    assert len(set(calls)) == 1, "one id for all attempts at a call"
    assert other != calls[0]
    for identity in (other, calls[0]):
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", identity
        )
    assert [one["amz-sdk-request"] for one in sent] == [
        "attempt=1; max=3",
        "attempt=2; max=3",
        "attempt=3; max=3",
        "attempt=1; max=1",
    ]
    assert {one["user-agent"] for one in sent} == {sent[0]["user-agent"]}
    assert sent[0]["user-agent"].split()[:2] == [f"smruntime-core/{sm.__version__}", "ua/2.1"]


def test_remaining_time_is_sent_as_ttl(perform: Performer) -> None:
    with scripted(OK) as server:
        before = time.time()
        perform(server.url, Step(options={"timeout": 100.0}))
        after = time.time()
        (found,) = re.findall(
            r"^ttl=(\d{8}T\d{6}Z); attempt=1; max=3$",
            headers_of(server.requests[0])["amz-sdk-request"],
        )
    ttl = time.mktime(time.strptime(found, "%Y%m%dT%H%M%SZ")) - time.timezone
    assert before + 99 <= ttl <= after + 101


def test_progress_reports_both_directions(perform: Performer) -> None:
    reports: list[tuple[int, int]] = []
    upload = sm.InvokeEndpoint(endpoint_name="iris", body=bytes(4_000_000))
    with scripted(OK, OK) as server:
        (outcome,) = perform(
            server.url,
            Step(
                operation=upload,
                options={"progress": lambda sent, received: reports.append((sent, received))},
            ),
        )
    assert outcome.body == b"abc"
    assert reports == sorted(reports)
    assert reports[-1][0] == len(server.requests[0]) > 4_000_000
    assert reports[-1][1] == len(OK)
    with pytest.raises(sm.ConstructionError, match="progress"):
        sockets.Client(region="r-1", credentials=CREDENTIALS).with_options(progress=1)  # type: ignore[arg-type]  # no callable


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + bytes(1024) + b"\r\n"
)


def test_response_longer_than_max_body_is_not_received(perform: Performer) -> None:
    limited = Step(options={"max_body": 2})
    for answer in (OK, CHUNKED):
        with scripted(answer, OK) as server:
            (outcome,) = perform(server.url, limited)
        assert isinstance(outcome, sm.DispatchFailure)
        assert (outcome.kind, outcome.delivery, outcome.status) == ("too_large", "answered", 200)
    with scripted(OK, OK) as server:
        too_long, fits = perform(server.url, Step(), Step(options={"max_body": None}), max_body=2)
    assert (too_long.kind, fits.body) == ("too_large", b"abc")
    with scripted(OK, BUSY) as server:
        fits, busy = perform(
            server.url,
            Step(options={"max_body": 3}),
            Step(options={"max_body": 1, "retries": EAGER.replace(max_attempts=1)}),
        )
    assert fits.body == b"abc"
    assert isinstance(busy, sm.ServiceUnavailable), "an error's body has a limit of its own"
