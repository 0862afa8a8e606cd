"""Sessions: what their name looks like, what is sent to open and close one, and that one is opened once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_type_hints

import pytest
import trio

from smruntime_core import (
    Credentials,
    InvokeEndpoint,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    ResponseError,
    RetryPolicy,
    ServiceError,
)
from smruntime_core.conversation._sessions import SessionId
from smruntime_core.values._record import unchecked
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports.client._sessions import SessionMembers

from .servers import CLOSE, OK, scripted

OPENED = b"HTTP/1.1 200 OK\r\nX-Amzn-SageMaker-New-Session-Id: s-1; Expires=2026-01-31T23:59:59Z\r\nContent-Length: 0\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\nX-Amzn-SageMaker-Closed-Session-Id: s-1\r\nContent-Length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"
EXPIRES = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
CREDENTIALS = Credentials("AKID", "secret")
EAGER = RetryPolicy(max_attempts=3, base_delay=0.0)


def output(new_session_id: str | None) -> InvokeEndpointOutput:
    return unchecked(InvokeEndpointOutput, {"body": b"", "new_session_id": new_session_id})


@pytest.mark.parametrize(
    "text", ["s-1; Expires=2026-01-31T23:59:59Z", "s-1;Expires=2026-01-31T23:59:59Z"]
)
def test_the_name_and_the_time(text: str) -> None:
    assert SessionId.of(output(text)) == SessionId("s-1", EXPIRES)


def test_a_name_alone() -> None:
    assert SessionId.of(output("s-1")) == SessionId("s-1", None)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "; Expires=2026-01-31T23:59:59Z",
        "s; Expires=soon",
        "s; Expires=2026-02-31T23:59:59Z",
        "a b",
    ],
)
def test_what_names_no_session(text: str | None) -> None:
    with pytest.raises(ResponseError):
        SessionId.of(output(text))


def blocking(url: str, retries: RetryPolicy | None = None) -> sockets.Client:
    return sockets.Client(region="r-1", endpoint_url=url, credentials=CREDENTIALS, retries=retries)


def sent(request: bytes) -> tuple[str | None, bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return fields.get("X-Amzn-SageMaker-Session-Id"), body


EXPECTED = [
    ("NEW_SESSION", b'{"requestType":"NEW_SESSION"}'),
    ("s-1", b"hello"),
    ("s-1", b'{"requestType":"CLOSE"}'),
]


def test_a_session_that_blocks() -> None:
    with scripted(OPENED, OK, CLOSED) as server, blocking(server.url) as client:
        with client.session("chat", inference_component_name="ic") as session:
            assert (session.id, session.expires) == ("s-1", EXPIRES)
            assert session.invoke(body=b"hello", content_type="text/plain").body == b"abc"
        with pytest.raises(ValueError, match="open"):
            session.invoke(body=b"late")
    assert [sent(request) for request in server.requests] == EXPECTED
    assert all(b"Inference-Component: ic" in request for request in server.requests)


def test_a_session_that_is_awaited() -> None:
    async def main(url: str) -> None:
        client = on_trio.AsyncClient(region="r-1", endpoint_url=url, credentials=CREDENTIALS)
        async with client, client.session("chat") as session:
            assert (session.id, session.expires) == ("s-1", EXPIRES)
            assert (await session.invoke(body=b"hello", content_type="text/plain")).body == b"abc"

    with scripted(OPENED, OK, CLOSED) as server:
        trio.run(main, server.url)
    assert [sent(request) for request in server.requests] == EXPECTED


def test_other_words_for_other_containers() -> None:
    with (
        scripted(OPENED, CLOSED) as server,
        blocking(server.url) as client,
        client.session("chat", opening=b"open", closing=b"bye"),
    ):
        pass
    assert [sent(request)[1] for request in server.requests] == [b"open", b"bye"]


def test_the_first_failure_is_the_one_that_is_told() -> None:
    once = RetryPolicy(max_attempts=1)
    with (
        scripted(OPENED, BUSY) as server,
        blocking(server.url, once) as client,
        pytest.raises(ZeroDivisionError),
        client.session("chat"),
    ):
        raise ZeroDivisionError
    assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [BUSY, CLOSE])
def test_what_opens_a_session_is_never_sent_twice(answer: bytes) -> None:
    with (
        scripted(OK, answer, OPENED, OPENED) as server,
        blocking(server.url, retries=EAGER) as client,
    ):
        client.invoke_endpoint(endpoint_name="chat", body=b"warms the connection")
        with pytest.raises(Exception, match=r"503|closed") as caught, client.session("chat"):
            pass
    assert len(caught.value.__dict__["metadata"].attempts) == 1
    assert len(server.requests) == 2
    assert isinstance(caught.value, ServiceError) == (answer is BUSY)


def test_the_members_of_a_call_in_a_session_are_those_of_both_operations() -> None:
    ours = set(get_type_hints(SessionMembers))
    both = {b.name for b in InvokeEndpoint._table.bindings} & {
        b.name for b in InvokeEndpointWithResponseStream._table.bindings
    }
    assert ours == both - {"endpoint_name", "session_id", "body"}
