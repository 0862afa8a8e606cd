"""Functions of the caller: before signing, for retries, for endpoints; none breaks the contract."""

from __future__ import annotations

import io
import json
import pickle
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_core as sm
import smruntime_local
from smruntime_core.config import EndpointParameters
from smruntime_core.effects import GetCredentials, Open, Send, Sleep
from smruntime_core.http1._request_writer import write
from smruntime_core.notices import AttemptEnded, AttemptStarted, CallEnded, Notice
from smruntime_transports import sockets

from .callers import CREDENTIALS, IRIS, STREAMED, Performer, Step
from .servers import OK, Peer, acting, scripted
from .test_options import BUSY, headers_of, send_parts, signed_names
from .test_service import records

EAGER = sm.RetryPolicy(base_delay=0.0, throttling_delay=0.0)
MODEL_ERROR = (
    b"HTTP/1.1 424 x\r\nx-amzn-errortype: ModelError\r\nContent-Length: 43\r\n\r\n"
    b'{"Message":"busy","OriginalStatusCode":409}'
)
NEW_SESSION = sm.InvokeEndpoint(endpoint_name="e", body=b"", session_id="NEW_SESSION")
ASYNC = sm.InvokeEndpointAsync(endpoint_name="e", input_location="s3://bucket/key")


def add_header(request: sm.Request) -> sm.Request:
    return request.replace(headers=(*request.headers, ("X-Trace", "t 1")))


def reverse_body(request: sm.Request) -> sm.Request:
    return request.replace(body=bytes(request.body)[::-1])


class Refused(Exception):
    """An exception of a caller's own."""


def raises(error: BaseException) -> Callable[[object], NoReturn]:
    def raise_error(argument: object) -> NoReturn:
        raise error

    return raise_error


def returns(value: object) -> Any:
    """Return a hook that always returns `value`."""

    def return_value(argument: object) -> object:
        return value

    return return_value


# ── what a hook does over every transport ──


@pytest.mark.parametrize("operation", [IRIS, STREAMED], ids=["call", "stream"])
def test_header_added_before_signing_is_signed_and_sent(
    perform: Performer, operation: object
) -> None:
    with scripted(OK) as server:
        perform(server.url, Step(operation, {"before_signing": add_header}))
        (request,) = server.requests
    assert headers_of(request)["x-trace"] == "t 1"
    assert "x-trace" in signed_names(request)


def test_request_changed_before_signing_is_accepted_by_an_endpoint(perform: Performer) -> None:
    """The local endpoint verifies signature and payload."""

    def change(request: sm.Request) -> sm.Request:
        return reverse_body(add_header(request))

    echoed = sm.InvokeEndpoint(endpoint_name="echo", body=b"123", content_type="text/plain")
    with smruntime_local.serve() as endpoint:
        changed, same = perform(
            endpoint.url,
            Step(echoed, {"before_signing": change}),
            Step(echoed),
            region=endpoint.region,
            credentials=endpoint.credentials,
        )
    assert [json.loads(output.body)["body"] for output in (changed, same)] == ["MzIx", "MTIz"]


def test_request_is_changed_before_each_attempt(perform: Performer) -> None:
    """Each time it is the operation's own request that the function is given."""
    seen: list[sm.Request] = []

    def count(request: sm.Request) -> sm.Request:
        seen.append(request)
        return request.replace(headers=(*request.headers, ("x-try", str(len(seen)))))

    with scripted(BUSY, BUSY, OK) as server:
        (output,) = perform(server.url, Step(options={"before_signing": count}), retries=EAGER)
        sent = [headers_of(request)["x-try"] for request in server.requests]
    assert output.body == b"abc"
    assert sent == ["1", "2", "3"]
    assert seen[0] == seen[1] == seen[2] == IRIS.request(server.url)


def test_classifier_decides_about_answers(perform: Performer) -> None:
    """True retries what the policy would not, False does not retry what it would, None asks it."""
    asked: list[sm.SmRuntimeError] = []

    def classify(failure: sm.SmRuntimeError) -> bool | None:
        asked.append(failure)
        return {424: True, 503: False}.get(failure.metadata.status or 0)

    policy = EAGER.replace(classify=classify)
    internal = BUSY.replace(b"503", b"500").replace(b"ServiceUnavailable", b"InternalFailure")
    with scripted(MODEL_ERROR, OK, BUSY, internal, OK) as server:
        retried, refused, by_default = perform(server.url, Step(), Step(), Step(), retries=policy)
        assert len(server.requests) == 5
    assert [attempt.status for attempt in retried.metadata.attempts] == [424, 200]
    assert isinstance(refused, sm.ServiceUnavailable)
    assert [attempt.status for attempt in by_default.metadata.attempts] == [500, 200]
    assert [failure.metadata.status for failure in asked] == [424, 503, 500]


def test_classifier_cannot_repeat_a_request_that_may_have_arrived(perform: Performer) -> None:
    asked: list[object] = []

    def classify(failure: sm.SmRuntimeError) -> bool:
        asked.append(failure)
        return True

    def act(peer: Peer) -> None:
        while peer.read():
            if peer.number > 1:
                peer.send(OK)

    policy, limits = EAGER.replace(classify=classify), sm.Timeouts(response=0.3)
    with acting(act) as stage:
        (outcome,) = perform(stage.url, timeouts=limits, retries=policy)
        assert len(stage.requests) == 1
    assert isinstance(outcome, TimeoutError)
    assert asked == []
    with acting(act) as stage:
        (output,) = perform(
            stage.url, Step(options={"idempotent": True}), timeouts=limits, retries=policy
        )
    assert output.body == b"abc"
    assert len(asked) == 1


@pytest.mark.parametrize("operation", [IRIS, STREAMED], ids=["call", "stream"])
def test_resolver_chooses_the_url_of_each_call(perform: Performer, operation: Any) -> None:
    asked: list[EndpointParameters] = []
    with scripted(OK, OK) as first, scripted(OK) as second:
        urls = {"a": first.url, "b": f"{second.url}/prefix/"}

        def resolve(parameters: EndpointParameters) -> str:
            asked.append(parameters)
            return urls[parameters.endpoint_name]

        perform(
            "http://127.0.0.1:9",
            *[Step(operation.replace(endpoint_name=name)) for name in "aba"],
            endpoint_resolver=resolve,
        )
        assert (len(first.requests), len(second.requests)) == (2, 1)
        (request,) = second.requests
    assert b" /prefix/endpoints/b/invocations" in request
    assert headers_of(request)["host"] == second.url.removeprefix("http://")
    assert asked[1] == EndpointParameters(
        region="us-east-1",
        operation=type(operation).__name__,
        endpoint_name="b",
        endpoint_url="http://127.0.0.1:9",
    )


# ── a hook that fails ──

FAILING: dict[str, tuple[dict[str, Any], dict[str, Any], bytes, str]] = {
    # name: options of the call, settings of the client, the first answer, the member in messages
    "before_signing": ({"before_signing": None}, {}, OK, "before_signing"),
    "classify": ({"retries": EAGER}, {}, BUSY, "retries.classify"),
    "endpoint_resolver": ({}, {"endpoint_resolver": None}, OK, "endpoint_resolver"),
}


def failing_once(hook: Callable[[Any], object], then: Callable[[Any], object]) -> Any:
    """Return a function that calls `hook` the first time and `then` afterwards."""
    calls: list[object] = []

    def function(argument: Any) -> object:
        calls.append(argument)
        return hook(argument) if len(calls) == 1 else then(argument)

    return function


def perform_twice(
    perform: Performer, name: str, hook: Callable[[Any], object], operation: object
) -> tuple[list[Any], list[Notice], list[bytes]]:
    """Perform two calls on one connection slot; the hook of the first is `hook`."""
    options, settings, answer, _ = FAILING[name]
    notices: list[Notice] = []
    good: Any = {
        "before_signing": lambda request: request,
        "classify": lambda failure: None,
        "endpoint_resolver": lambda parameters: parameters.endpoint_url,
    }[name]
    function = failing_once(hook, good)
    if name == "before_signing":
        options = {"before_signing": function}
    elif name == "classify":
        options = {"retries": EAGER.replace(classify=function)}
    else:
        settings = {"endpoint_resolver": function}
    with scripted(*[answer] * (name == "classify"), OK) as server:
        outcomes = perform(
            server.url,
            Step(operation, options),
            Step(IRIS, options),
            caught=BaseException,
            observe=notices.append,
            max_connections=1,
            timeouts=sm.Timeouts(pool=2.0),
            **settings,
        )
        return outcomes, notices, server.requests


@pytest.mark.parametrize("operation", [IRIS, STREAMED], ids=["call", "stream"])
@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("kind", [Refused, ValueError, TypeError, sm.SmRuntimeError, SystemExit])
def test_exception_of_a_hook_reaches_the_caller_unchanged(
    perform: Performer, name: str, operation: object, kind: type[BaseException]
) -> None:
    """Notices end, nothing more is sent, and the only slot for a connection is free afterwards."""
    error = kind("mine")
    (outcome, second), notices, requests = perform_twice(perform, name, raises(error), operation)
    assert outcome is error
    assert (outcome.args, outcome.__cause__) == (("mine",), None)
    assert second.body == b"abc"
    assert len(requests) == (2 if name == "classify" else 1)
    assert_notices_are_complete(notices)


def type_name(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("nonsense", [None, 3, "text", b"x", (), object()], ids=type_name)
def test_nonsense_of_a_hook_is_refused_by_name(
    perform: Performer, name: str, nonsense: object
) -> None:
    if name == "classify" and nonsense is None:
        nonsense = "None"
    (outcome, second), notices, requests = perform_twice(perform, name, returns(nonsense), IRIS)
    assert isinstance(outcome, sm.ConstructionError)
    assert outcome.member == FAILING[name][3]
    assert "failing_once.<locals>.function returned " in str(outcome)
    assert second.body == b"abc"
    assert len(requests) == (2 if name == "classify" else 1)
    assert_notices_are_complete(notices)


def assert_notices_are_complete(notices: list[Notice]) -> None:
    """Each call that began has ended, and each attempt too."""
    kinds = [type(notice) for notice in notices]
    assert kinds[-1] is CallEnded
    assert kinds.count(AttemptStarted) == kinds.count(AttemptEnded)
    begun = {notice.invocation for notice in notices}
    assert len(begun) == kinds.count(CallEnded)


# ── before_signing: what may change ──

Change = Callable[[sm.Request], object]
HEADERS = cast("Callable[[sm.Request, Any], sm.Request]", lambda r, h: r.replace(headers=h))
NOT_A_REQUEST = SimpleNamespace(method="POST", url="https://h/", headers=(), body=b"")
NOT_ALLOWED: dict[str, Any] = {
    "another host": lambda r: r.replace(url="https://evil.example" + r.url[8:]),
    "another path": lambda r: r.replace(url=r.url + "/x"),
    "a query": lambda r: r.replace(url=r.url + "?x=1"),
    "another method": lambda r: r.replace(method="GET"),
    "a header of the operation removed": lambda r: r.replace(headers=()),
    "a header of the operation changed": lambda r: HEADERS(r, [("Content-Type", "text/html")]),
    "a member that was not given": lambda r: HEADERS(
        r, (*r.headers, ("x-amzn-sagemaker-session-id", "NEW_SESSION"))
    ),
    "a header of the operation twice": lambda r: HEADERS(r, r.headers * 2),
    "the host": lambda r: HEADERS(r, (*r.headers, ("Host", "evil.example"))),
    "the length": lambda r: HEADERS(r, (*r.headers, ("Content-Length", "0"))),
    "the signature": lambda r: HEADERS(r, (*r.headers, ("Authorization", "x"))),
    "the time": lambda r: HEADERS(r, (*r.headers, ("X-Amz-Date", "x"))),
    "a line end": lambda r: HEADERS(r, (*r.headers, ("x-a", "1\r\nx-b: 2"))),
    "a blank at the end": lambda r: HEADERS(r, (*r.headers, ("x-a", "1 "))),
    "a name that is no token": lambda r: HEADERS(r, (*r.headers, ("x a", "1"))),
    "headers that are no pairs": lambda r: HEADERS(r, ("x",)),
    "headers that are None": lambda r: HEADERS(r, None),
    "a body of text": lambda r: r.replace(body="text"),
    "a body that is None": lambda r: r.replace(body=None),
    "a file": lambda r: r.replace(body=io.BytesIO(b"x")),
    "something like a request": lambda r: NOT_A_REQUEST,
}


def make_runtime(clock: Any = time, **options: Any) -> sm.Runtime:
    runtime = sm.Runtime(sm.Config(region="eu-west-1"), clock=clock, random=lambda: 0.5)
    return runtime.with_options(**options)


class ManualClock:
    now = 1.8e9

    def time(self) -> float:
        return self.now

    monotonic = time


def effect_of(runtime: sm.Runtime, operation: Any) -> Any:
    """Return the effect that sends `operation`."""
    streamed = isinstance(operation, sm.InvokeEndpointWithResponseStream)
    flow: Any = runtime.stream(operation) if streamed else runtime.call(operation)
    assert isinstance(flow.send(None), GetCredentials)
    return flow.send(CREDENTIALS)


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_change_that_would_break_the_contract_is_refused(name: str) -> None:
    runtime = make_runtime(before_signing=NOT_ALLOWED[name])
    with pytest.raises(sm.ConstructionError) as refused:
        effect_of(runtime, IRIS)
    assert refused.value.member.startswith("before_signing")


def test_body_is_refused_where_the_operation_takes_none() -> None:
    runtime = make_runtime(before_signing=lambda request: request.replace(body=b"x"))
    with pytest.raises(sm.ConstructionError, match=r"before_signing: .* exactly one of"):
        effect_of(runtime, ASYNC)
    inline = sm.InvokeEndpointAsync(endpoint_name="e", body=b"1")
    assert effect_of(runtime, inline).request.body == b"x"
    too_long = make_runtime(before_signing=lambda request: request.replace(body=bytes(200_000)))
    with pytest.raises(sm.ConstructionError, match=r"before_signing: .* 128000 bytes"):
        effect_of(too_long, inline)


def test_headers_of_the_caller_may_change() -> None:
    """`extra_headers` are the caller's own, unlike those of the operation."""
    runtime = make_runtime(
        extra_headers={"x-a": "1", "x-b": "2"},
        before_signing=lambda request: request.replace(
            headers=[("x-c", "3"), ("x-b", "4"), ("Content-Type", "text/csv")]
        ),
    )
    headers = dict(effect_of(runtime, IRIS).request.headers)
    assert (headers["x-b"], headers["x-c"], headers["Content-Type"]) == ("4", "3", "text/csv")
    assert "x-a" not in headers


header_texts = st.text(
    st.characters(max_codepoint=0x17F) | st.sampled_from("\r\n\0 :,"), max_size=9
)
header_pairs = st.tuples(
    st.sampled_from(["x-a", "X-B", "host", "content-type", "authorization", "accept"])
    | header_texts,
    st.sampled_from(["1", "text/csv", "a  b"]) | header_texts,
)
urls = st.sampled_from(["", "/x", "?a=b", "#f", " ", "\r\n"])


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """Return functions that change requests a little, or return something else."""
    suffix, added = draw(urls), draw(st.lists(header_pairs, max_size=3))
    method = draw(st.sampled_from(["POST", "POST", "post", "GET", "POST /x HTTP/1.1\r\n"]))
    kept = draw(st.sampled_from([1, 1, 1, 0]))
    body = draw(st.none() | st.binary(max_size=9) | st.just("text"))
    other = draw(st.none() | st.just((1,)))
    as_list = draw(st.booleans())

    def change(request: sm.Request) -> object:
        if other is not None:
            return other[0]
        headers: Any = (*request.headers * kept, *added)
        return sm.Request(
            method,
            request.url + suffix,
            cast("Any", list(headers)) if as_list else headers,
            request.body if body is None else cast("bytes", body),
        )

    return change


@given(change=changes(), operation=st.sampled_from([IRIS, STREAMED, ASYNC, NEW_SESSION]))
def test_any_changed_request_is_refused_or_arrives_signed(change: Change, operation: Any) -> None:
    """What h11 reads from the bytes on the wire verifies, and goes where the operation goes.

    So does the request that is signed again after a wait for a connection.
    """
    clock = ManualClock()
    try:
        effect = effect_of(make_runtime(clock, before_signing=cast("Any", change)), operation)
    except sm.ConstructionError as refusal:
        assert refusal.member.startswith("before_signing")
        return
    assert isinstance(effect, Send | Open)
    original = operation.request("https://runtime.sagemaker.eu-west-1.amazonaws.com")
    for seconds in (0, 600):
        clock.now += seconds
        request: sm.Request = cast("Any", effect).renew()
        arrived = read_on_a_server(request)
        assert (arrived.method, arrived.url, request.url) == ("POST", *[original.url] * 2)
        named = {name.lower(): value for name, value in arrived.headers}
        assert len(named) == len(arrived.headers)
        for name, value in original.headers:
            assert named[name.lower()] == value
        assert named.get("x-amzn-sagemaker-session-id") == getattr(operation, "session_id", None)
        scope = sm.Scope("eu-west-1", "sagemaker")
        known = {CREDENTIALS.access_key_id: CREDENTIALS}
        assert sm.verify(arrived, known, scope, now=clock.now) is CREDENTIALS
        unsigned = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "content-length"}
        signed = set(named["authorization"].partition("SignedHeaders=")[2].split(",")[0].split(";"))
        assert named.keys() - signed <= unsigned | {"authorization"}


@given(
    operation=st.one_of(
        *[records(kind) for kind in (sm.InvokeEndpoint, sm.InvokeEndpointAsync)],
        records(sm.InvokeEndpointWithResponseStream),
    )
)
def test_copy_of_any_request_is_accepted(operation: Any) -> None:
    """The rules for changed requests refuse nothing that the rules for members allow."""

    def copy(request: sm.Request) -> sm.Request:
        return sm.Request(request.method, request.url, request.headers, bytes(request.body))

    request = effect_of(make_runtime(before_signing=copy), operation).request
    original = operation.request("https://runtime.sagemaker.eu-west-1.amazonaws.com")
    assert request.headers[: len(original.headers)] == original.headers
    assert (request.url, bytes(request.body)) == (original.url, bytes(original.body))


def read_on_a_server(request: sm.Request) -> sm.Request:
    """Return the request as h11 reads it."""
    _, buffers = write(request)
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"".join(buffers))
    head, body = connection.next_event(), b""
    assert isinstance(head, h11.Request)
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)
    headers = tuple((name.decode(), value.decode()) for name, value in head.headers)
    scheme, host = request.url.partition("://")[0], dict(head.headers)[b"host"].decode()
    url = f"{scheme}://{host}{head.target.decode()}"
    return sm.Request(head.method.decode(), url, headers, body)


# ── classify: what it can and cannot do ──

deliveries = st.sampled_from(["not_sent", "maybe_sent", "answered"])
failures: st.SearchStrategy[sm.SmRuntimeError] = st.one_of(
    st.builds(
        sm.DispatchFailure,
        st.just("broken"),
        kind=st.sampled_from(["timeout", "reset", "closed", "tls", "refused", "truncated"]),
        phase=st.just("head"),
        delivery=deliveries,
    ),
    st.builds(sm.ResponseError, st.just("unreadable")),
    st.builds(
        sm.ServiceError,
        st.just("m"),
        code=st.sampled_from(["ModelError", "Throttling"]),
        status=st.sampled_from([400, 424, 503]),
    ),
)


def sends_of(runtime: sm.Runtime, failure: sm.SmRuntimeError, operation: Any = IRIS) -> int:
    """Return how often a request is sent that always fails in the same way."""
    flow: Any = runtime.call(operation)
    reply, count = None, 0
    try:
        while True:
            effect = flow.send(reply)
            reply = CREDENTIALS if isinstance(effect, GetCredentials) else None
            if isinstance(effect, Send):
                count += 1
                reply = pickle.loads(pickle.dumps(failure))
            else:
                assert isinstance(effect, GetCredentials | Sleep)
    except sm.SmRuntimeError:
        return count


def lie(failure: Any) -> bool:
    """Claim that nothing was sent, and ask for a retry."""
    failure.delivery = "not_sent"
    failure.kind = "refused"
    return True


@given(
    failure=failures,
    resend=st.booleans(),
    attempts=st.integers(1, 5),
    capacity=st.sampled_from([0, 14, 28, 500]),
    operation=st.sampled_from([IRIS, NEW_SESSION]),
)
def test_classifier_that_always_retries_stays_within_the_contract(
    failure: sm.SmRuntimeError, resend: bool, attempts: int, capacity: int, operation: Any
) -> None:
    policy = sm.RetryPolicy(attempts, 0.0, 0.0, resend=resend, capacity=capacity, classify=lie)
    runtime = sm.Runtime(
        sm.Config(region="eu-west-1"), clock=time, random=lambda: 0.5, retries=policy
    )
    count = sends_of(runtime, failure, operation)
    assert 1 <= count <= attempts
    assert count - 1 <= capacity / policy.throttling_cost
    unsent = isinstance(failure, sm.DispatchFailure) and failure.delivery == "not_sent"
    answered = isinstance(failure, sm.ServiceError)
    if not (unsent or (operation is IRIS and (resend or answered))):
        assert count == 1


def test_classifier_cannot_exceed_the_deadline() -> None:
    policy = sm.RetryPolicy(100, 1.0, 1.0, classify=returns(True))
    runtime = sm.Runtime(
        sm.Config(region="eu-west-1"), clock=time, random=lambda: 0.5, retries=policy
    )
    refused = sm.DispatchFailure("x", kind="refused", phase="connect", delivery="not_sent")
    assert sends_of(runtime.with_options(timeout=0.1), refused) == 1
    assert sends_of(runtime, refused) > 1


# ── endpoint_resolver ──


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h",
        "https://user@h",
        "https://h?x=1",
        "https://h#f",
        "https://h/ x",
        "h",
        "",
        "https://h\r\nx",
        b"https://h",
    ],
)
def test_resolved_url_is_checked_like_endpoint_url(url: Any) -> None:
    config = sm.Config(region="eu-west-1", endpoint_resolver=returns(url))
    runtime = sm.Runtime(config, clock=time, random=lambda: 0.5)
    with pytest.raises(sm.ConstructionError, match=r"endpoint_resolver: .*return_value returned"):
        runtime.call(IRIS).send(None)
    with pytest.raises(sm.ConstructionError):
        sm.Config(region="eu-west-1", endpoint_url=url)


@given(st.text(max_size=30) | st.from_regex(r"https?://[a-z.:/@?#%\[\]0-9-]{1,20}", fullmatch=True))
def test_any_resolved_url_is_refused_or_signed_for(url: str) -> None:
    config = sm.Config(region="eu-west-1", endpoint_resolver=returns(url))
    runtime = sm.Runtime(config, clock=time, random=lambda: 0.5)
    try:
        request = effect_of(runtime, IRIS).request
    except sm.ConstructionError as refusal:
        assert refusal.member == "endpoint_resolver"
        return
    assert request.url == f"{url.rstrip('/')}/endpoints/iris/invocations"
    arrived = read_on_a_server(request)
    known = {CREDENTIALS.access_key_id: CREDENTIALS}
    scope = sm.Scope("eu-west-1", "sagemaker")
    assert sm.verify(arrived, known, scope, now=time.time()) is CREDENTIALS


def test_resolver_is_asked_once_for_a_call_with_retries(perform: Performer) -> None:
    asked: list[object] = []
    with scripted(BUSY, OK) as server:

        def resolve(parameters: EndpointParameters) -> str:
            asked.append(parameters)
            return server.url

        (output,) = perform("http://h", Step(), endpoint_resolver=resolve, retries=EAGER)
    assert output.body == b"abc"
    assert len(asked) == 1


# ── records that hold functions ──


def resolve_plainly(parameters: EndpointParameters) -> str:
    return parameters.endpoint_url


def classify_plainly(failure: sm.SmRuntimeError) -> bool | None:
    return None


HOLDERS: list[tuple[Any, str]] = [
    (sm.Options(before_signing=add_header), "before_signing=add_header"),
    (sm.RetryPolicy(classify=classify_plainly), "classify=classify_plainly"),
    (
        sm.Config(region="eu-west-1", endpoint_resolver=resolve_plainly),
        "endpoint_resolver=resolve_plainly",
    ),
]


@pytest.mark.parametrize(("record", "shown"), HOLDERS, ids=[shown for _, shown in HOLDERS])
def test_record_with_a_function_is_a_value_like_any_other(record: Any, shown: str) -> None:
    member, _, _ = shown.partition("=")
    assert shown in repr(record)
    restored = pickle.loads(pickle.dumps(record))
    assert restored == record
    assert hash(restored) == hash(record)
    assert record.replace(**{member: None}) != record
    assert record.replace(**{member: record.__dict__[member]}) == record
    secretive = record.replace(**{member: partial(returns, "hush")})
    assert f"{member}=partial" in repr(secretive)
    assert "hush" not in repr(secretive)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(record.replace(**{member: lambda argument: argument}))


async def asynchronous(argument: object) -> object:
    return argument


class AsyncCallable:
    async def __call__(self, argument: object) -> object:
        return argument


UNFIT = [3, "name", b"", (), asynchronous, partial(asynchronous), AsyncCallable()]


@pytest.mark.parametrize(("record", "shown"), HOLDERS, ids=[shown for _, shown in HOLDERS])
@pytest.mark.parametrize("unfit", UNFIT, ids=type_name)
def test_what_is_no_plain_function_is_refused(record: Any, shown: str, unfit: object) -> None:
    member, _, _ = shown.partition("=")
    with pytest.raises(sm.ConstructionError, match=f"{member}: .*must be a function from"):
        record.replace(**{member: unfit})


def test_client_refuses_what_is_no_plain_function_at_once() -> None:
    unfit: Any = asynchronous
    client = sockets.Client(region="r-1")
    with pytest.raises(sm.ConstructionError, match="asynchronous is async"):
        sockets.Client(region="r-1", endpoint_resolver=unfit)
    with pytest.raises(sm.ConstructionError, match="asynchronous is async"):
        client.with_options(before_signing=unfit)


def test_client_with_functions_can_be_pickled() -> None:
    client = sockets.Client(
        region="eu-west-1",
        endpoint_resolver=resolve_plainly,
        retries=sm.RetryPolicy(classify=classify_plainly),
    ).with_options(before_signing=add_header)
    restored = pickle.loads(pickle.dumps(client))
    assert restored._settings == client._settings
    assert restored._changes == client._changes == {"before_signing": add_header}


def test_function_can_be_taken_away_again() -> None:
    runtime = make_runtime(before_signing=raises(Refused())).with_options(before_signing=None)
    assert isinstance(effect_of(runtime, IRIS), Send)


def test_hooks_apply_to_streams_that_go_on(perform: Performer) -> None:
    with acting(lambda peer: send_parts(peer, 2, 0.0)) as stage:
        (parts,) = perform(stage.url, Step(STREAMED, {"before_signing": add_header}))
        (request,) = stage.requests
    assert parts == [b"part 0", b"part 1"]
    assert headers_of(request)["x-trace"] == "t 1"
