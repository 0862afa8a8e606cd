"""boto3 and our client of its shape answer alike, but for the lines of a table in the docs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from botocore.stub import Stubber

import smruntime_local
from smruntime_core import ConstructionError
from smruntime_local import Delay, Endpoint
from smruntime_transports import boto

from . import boto_calls
from .boto_calls import CALLS, INVOKE, STREAM, Call, Failure, describe, perform
from .servers import scripted

# boto3 leaves the sockets of broken streams to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PAGE = Path(__file__).parents[1] / "docs" / "from-boto3.md"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with smruntime_local.serve() as served:
        yield served


def arguments(endpoint: Endpoint) -> dict[str, Any]:
    keys = endpoint.credentials
    return {
        "service_name": "sagemaker-runtime",
        "region_name": endpoint.region,
        "endpoint_url": endpoint.url,
        "aws_access_key_id": keys.access_key_id,
        "aws_secret_access_key": keys.secret_access_key,
        "aws_session_token": keys.session_token,
    }


class Pair:
    """A client of boto3 and one of ours for each configuration."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._clients: dict[str, tuple[Any, Any]] = {}

    def clients(self, call: Call) -> tuple[Any, Any]:
        key = repr(call.config)
        if key not in self._clients:
            config = Config(**call.config)
            made = [
                module.client(**arguments(self.endpoint), config=config) for module in (boto3, boto)
            ]
            self._clients[key] = (made[0], made[1])
        return self._clients[key]

    def results(self, call: Call) -> tuple[object, object]:
        theirs, ours = self.clients(call)
        if call.script:  # no kept connection, whose end ours repairs
            theirs.close()
            ours.close()
        return perform(theirs, call, self.endpoint), perform(ours, call, self.endpoint)

    def close(self) -> None:
        for pair in self._clients.values():
            for client in pair:
                client.close()


@pytest.fixture(scope="module")
def pair(endpoint: Endpoint) -> Iterator[Pair]:
    made = Pair(endpoint)
    yield made
    made.close()


@pytest.mark.parametrize("call", [c for c in CALLS if not c.difference], ids=lambda call: call.name)
def test_both_give_the_same(call: Call, pair: Pair) -> None:
    theirs, ours = pair.results(call)
    assert describe(ours) == describe(theirs)


def test_at_least_sixty_calls_are_equal() -> None:
    assert sum(not call.difference for call in CALLS) >= 60


def named(name: str) -> Call:
    return next(call for call in CALLS if call.name == name)


def failure(result: object, name: str) -> Failure:
    assert isinstance(result, Failure), result
    assert type(result.error).__name__ == name
    return result


# Each function tests the line of the table with its name.


def truncated_stream(pair: Pair) -> None:
    theirs, ours = pair.results(named("truncated"))
    assert isinstance(theirs, dict)
    assert failure(ours, "ResponseStreamingError").received == theirs["Body"]


def closed_stream(pair: Pair) -> None:
    theirs, ours = pair.results(named("closed"))
    received = failure(ours, "ResponseStreamingError").received
    assert received == failure(theirs, "ProtocolError").received


def damaged_event(pair: Pair) -> None:
    theirs, ours = pair.results(named("wrong checksum"))
    received = failure(ours, "ResponseStreamingError").received
    assert received == failure(theirs, "ChecksumMismatch").received


def silent_stream(pair: Pair) -> None:
    theirs, ours = pair.results(named("silent"))
    assert type(failure(theirs, "ReadTimeoutError").error).__module__.startswith("urllib3")
    assert type(failure(ours, "ReadTimeoutError").error).__module__ == "botocore.exceptions"


def error_in_a_stream(pair: Pair) -> None:
    for code in ("ModelStreamError", "InternalStreamFailure"):
        call = Call("", STREAM, boto_calls.streamed(f"fault={code}:Broken@2"))
        theirs, ours = pair.results(call)
        error = failure(theirs, "EventStreamError").error
        our_failure = failure(ours, code)
        assert isinstance(our_failure.error, type(error))
        assert isinstance(our_failure.error, getattr(pair.clients(call)[1].exceptions, code))
        assert {**describe(ours), "error": ""} == {**describe(theirs), "error": ""}


def slow_model(pair: Pair) -> None:
    call = Call(
        "",
        INVOKE,
        boto_calls.with_members(INVOKE),
        (Delay(0.6),),
        {**boto_calls.TWO_ATTEMPTS, "read_timeout": 0.2},
    )
    for client, attempts in zip(pair.clients(call), (2, 1), strict=True):
        before = pair.endpoint.requests_seen
        result = perform(client, call, pair.endpoint)
        assert pair.endpoint.requests_seen - before == attempts
        assert isinstance(result, Failure) == (attempts == 1)


def kept_connection(pair: Pair) -> None:
    call = named("reset")
    theirs, ours = pair.clients(call)
    for client in (theirs, ours):
        perform(client, Call("", INVOKE, call.members), pair.endpoint)
    failure(perform(theirs, call, pair.endpoint), "ConnectionClosedError")
    assert isinstance(perform(ours, call, pair.endpoint), dict)


def cut_in_the_head(pair: Pair) -> None:
    theirs, ours = pair.results(named("cut in the head"))
    assert isinstance(theirs, dict)
    assert theirs["Body"] == b""
    failure(ours, "ConnectionClosedError")


def cut_in_the_body(pair: Pair) -> None:
    call = named("cut in the body")
    theirs, ours = pair.clients(call)
    pair.endpoint.script("echo", *call.script)
    body = theirs.invoke_endpoint(**call.members())["Body"]
    with pytest.raises(boto.exceptions.ResponseStreamingError):
        body.read()
    pair.endpoint.script("echo", *call.script)
    with pytest.raises(boto.exceptions.ResponseStreamingError):
        ours.invoke_endpoint(**call.members())


def local_checks(pair: Pair) -> None:
    for call in CALLS:
        if call.difference == "local checks":
            before = pair.endpoint.requests_seen
            result = perform(pair.clients(call)[1], call, pair.endpoint)
            text = str(failure(result, "ParamValidationError").error)
            assert "_" not in text, text
            assert pair.endpoint.requests_seen == before


def values_in_messages(pair: Pair) -> None:
    for call in CALLS:
        if call.difference == "values in messages":
            theirs, ours = pair.results(call)
            quoted = str(failure(theirs, "ParamValidationError").error)
            without_value = re.sub(r" value: .*, (?=type:)", " ", quoted)
            assert str(failure(ours, "ParamValidationError").error) == without_value


def empty_text(pair: Pair) -> None:
    call = named("empty")
    theirs, ours = pair.results(call)
    failure(theirs, "ParamValidationError")
    assert isinstance(ours, dict)
    assert b"accept" not in ours["Body"]


def large_answer(pair: Pair) -> None:
    client = pair.clients(CALLS[0])[1]
    assert client._client._ready().options.max_body == 256 * 2**20
    limited = boto.client(**arguments(pair.endpoint))
    limited._client = limited._client.with_options(max_body=10)
    failure(perform(limited, CALLS[0], pair.endpoint), "ResponseStreamingError")
    limited.close()


def connection_limit(pair: Pair) -> None:
    for made, limit in ((Config(), 100), (Config(max_pool_connections=2), 2), (None, 100)):
        client = boto.client(**arguments(pair.endpoint), config=made)
        wire: Any = client._client._wire
        assert wire._pool._max_connections == limit
        client.close()


def retry_modes(pair: Pair) -> None:
    for retries, attempts in (
        ({"mode": "legacy"}, 5),
        ({"mode": "standard"}, 3),
        ({"mode": "adaptive"}, 3),
        ({"max_attempts": 0}, 1),
        ({"max_attempts": 6, "mode": "standard"}, 7),
        ({"total_max_attempts": 2, "max_attempts": 6}, 2),
    ):
        client = boto.client(**arguments(pair.endpoint), config=Config(retries=retries))
        assert client._max_attempts == attempts
        client.close()


def user_agent(pair: Pair) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    sent = []
    for module in (boto3, boto):
        config = Config(user_agent="mine/1", user_agent_extra="extra/2", user_agent_appid="app3")
        with scripted(answer) as server:
            given = {**arguments(pair.endpoint), "endpoint_url": server.url}
            client = module.client(**given, config=config)
            client.invoke_endpoint(EndpointName="echo", Body=b"")
            client.close()
        found = re.search(rb"(?i)\r\nuser-agent: ([^\r]*)", server.requests[0])
        assert found is not None
        sent.append(found[1])
    theirs, ours = sent
    assert theirs.startswith(b"mine/1")
    assert ours.startswith(b"smruntime-core/")
    assert b"app/app3 mine/1 extra/2" in ours


def event_handlers(pair: Pair) -> None:
    client = pair.clients(CALLS[0])[1]
    with pytest.raises(AttributeError, match="before_signing"):
        _ = client.meta.events


def waiters(pair: Pair) -> None:
    for client in pair.clients(CALLS[0]):
        assert client.waiter_names == []
        with pytest.raises(ValueError, match="Waiter does not exist: x"):
            client.get_waiter("x")


def presigned_urls(pair: Pair) -> None:
    theirs, ours = pair.clients(CALLS[0])
    assert theirs.generate_presigned_url("invoke_endpoint", {"EndpointName": "e", "Body": b""})
    with pytest.raises(NotImplementedError, match="presigns requests"):
        ours.generate_presigned_url("invoke_endpoint", {"EndpointName": "e", "Body": b""})


def other_services(pair: Pair) -> None:
    with pytest.raises(boto.exceptions.UnknownServiceError, match="sagemaker-runtime"):
        boto.client("s3", region_name=pair.endpoint.region)


def stubbers_and_moto(pair: Pair) -> None:
    theirs, ours = pair.clients(CALLS[0])
    with Stubber(theirs):
        pass
    with pytest.raises(AttributeError), Stubber(ours):
        pass


def wrong_settings(pair: Pair) -> None:
    given = {**arguments(pair.endpoint), "region_name": "eu west"}
    with pytest.raises(botocore.exceptions.InvalidRegionError):
        boto3.client(**given)
    with pytest.raises(ConstructionError, match="region"):
        boto.client(**given)


def variable_of_the_region(pair: Pair) -> None:
    given = {**arguments(pair.endpoint), "region_name": None}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_REGION", "eu-north-1")
        patched.setenv("AWS_DEFAULT_REGION", "us-west-2")
        regions = [module.client(**given).meta.region_name for module in (boto3, boto)]
    assert regions == ["us-west-2", "eu-north-1"]


DIFFERENCES: dict[str, Callable[[Pair], None]] = {
    test.__name__.replace("_", " ").replace("urls", "URLs"): test
    for test in (
        truncated_stream,
        closed_stream,
        damaged_event,
        silent_stream,
        error_in_a_stream,
        slow_model,
        kept_connection,
        cut_in_the_head,
        cut_in_the_body,
        local_checks,
        values_in_messages,
        empty_text,
        large_answer,
        connection_limit,
        retry_modes,
        user_agent,
        event_handlers,
        waiters,
        presigned_urls,
        other_services,
        stubbers_and_moto,
        wrong_settings,
        variable_of_the_region,
    )
}


@pytest.mark.parametrize("line", DIFFERENCES)
def test_they_differ_as_the_table_says(line: str, pair: Pair) -> None:
    DIFFERENCES[line](pair)


def test_table_in_the_docs_has_a_line_for_each_difference() -> None:
    table = PAGE.read_text("utf-8").partition("\n| what differs ")[2].partition("\n\n")[0]
    lines = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert lines == list(DIFFERENCES)
    assert {call.difference for call in CALLS if call.difference} <= set(lines)


RAW_ANSWERS = {
    "no request id": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "repeated field": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n",
    "plain text": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
    "empty 500": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "empty 404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "code in the body": b"HTTP/1.1 400 Bad\r\nContent-Length: 36\r\n\r\n"
    b'{"code": "a#ModelError", "a":"bc12"}',
    "session": b"HTTP/1.1 200 OK\r\n"
    b"X-Amzn-SageMaker-New-Session-Id: a; Expires=2030-01-01T00:00:00Z\r\n"
    b"X-Amzn-SageMaker-Closed-Session-Id: b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW_ANSWERS)
@pytest.mark.parametrize("method", [INVOKE, boto_calls.ASYNC])
def test_both_read_the_same_from_unusual_answers(name: str, method: str, pair: Pair) -> None:
    if method == boto_calls.ASYNC and RAW_ANSWERS[name].endswith(b"ok"):
        pytest.skip("a success of this operation is JSON")
    results = []
    with scripted(RAW_ANSWERS[name], RAW_ANSWERS[name]) as server:
        for module in (boto3, boto):
            given = {**arguments(pair.endpoint), "endpoint_url": server.url}
            client = module.client(**given, config=Config(**boto_calls.ONE_ATTEMPT))
            call = Call(name, method, boto_calls.with_members(method))
            results.append(describe(perform(client, call, pair.endpoint)))
            client.close()
    assert results[0] == results[1]
