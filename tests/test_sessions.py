"""Sessions: their ids, the requests that open and close one, and the time that closing takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_type_hints

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
    Timeouts,
)
from smruntime_core.conversation._session_protocol import SessionId
from smruntime_core.values._record import unchecked
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports.client import SessionMembers, _sessions

from .servers import CLOSE, OK, Peer, acting, scripted

OPENED = (
    b"HTTP/1.1 200 OK\r\nX-Amzn-SageMaker-New-Session-Id: s-1; Expires=2026-01-31T23:59:59Z\r\n"
    b"Content-Length: 0\r\n\r\n"
)
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
def test_id_and_expiry_are_read_from_the_response(text: str) -> None:
    assert SessionId.of(output(text)) == SessionId("s-1", EXPIRES)


def test_id_without_expiry_is_accepted() -> None:
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
        "a,b",
        "é",
        "-",
        "x" * 257,
        "NEW_SESSION",  # each call with this id would open another session
    ],
)
def test_response_without_a_valid_session_id_is_refused(text: str | None) -> None:
    with pytest.raises(ResponseError):
        SessionId.of(output(text))


def sync_client(url: str, retries: RetryPolicy | None = None) -> sockets.Client:
    return sockets.Client(region="r-1", endpoint_url=url, credentials=CREDENTIALS, retries=retries)


def session_and_body(request: bytes) -> tuple[str | None, bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return fields.get("X-Amzn-SageMaker-Session-Id"), body


EXPECTED = [
    ("NEW_SESSION", b'{"requestType":"NEW_SESSION"}'),
    ("s-1", b"hello"),
    ("s-1", b'{"requestType":"CLOSE"}'),
]


def test_session_of_a_sync_client_opens_calls_and_closes() -> None:
    with scripted(OPENED, OK, CLOSED) as server, sync_client(server.url) as client:
        with client.session("chat", inference_component_name="ic") as session:
            assert (session.id, session.expires) == ("s-1", EXPIRES)
            assert session.invoke(body=b"hello", content_type="text/plain").body == b"abc"
        with pytest.raises(ValueError, match="open"):
            session.invoke(body=b"late")
    assert [session_and_body(request) for request in server.requests] == EXPECTED
    assert all(b"Inference-Component: ic" in request for request in server.requests)


def test_session_of_an_async_client_opens_calls_and_closes() -> None:
    async def main(url: str) -> None:
        client = on_trio.AsyncClient(region="r-1", endpoint_url=url, credentials=CREDENTIALS)
        async with client, client.session("chat") as session:
            assert (session.id, session.expires) == ("s-1", EXPIRES)
            assert (await session.invoke(body=b"hello", content_type="text/plain")).body == b"abc"

    with scripted(OPENED, OK, CLOSED) as server:
        trio.run(main, server.url)
    assert [session_and_body(request) for request in server.requests] == EXPECTED


def test_opening_and_closing_bodies_can_be_chosen() -> None:
    with (
        scripted(OPENED, CLOSED) as server,
        sync_client(server.url) as client,
        client.session("chat", opening=b"open", closing=b"bye"),
    ):
        pass
    assert [session_and_body(request)[1] for request in server.requests] == [b"open", b"bye"]


def test_first_failure_is_raised_although_closing_fails_too() -> None:
    once = RetryPolicy(max_attempts=1)
    with (
        scripted(OPENED, BUSY) as server,
        sync_client(server.url, once) as client,
        pytest.raises(ZeroDivisionError),
        client.session("chat"),
    ):
        raise ZeroDivisionError
    assert len(server.requests) == 2


def keep_silent_after_opening(peer: Peer) -> None:
    peer.read()
    peer.send(OPENED)
    peer.read()
    peer.idle()


def leave_sync_session(url: str, **settings: Any) -> None:
    client = sockets.Client(region="r-1", endpoint_url=url, credentials=CREDENTIALS, **settings)
    with client, client.session("chat"):
        pass


def leave_async_session(url: str, **settings: Any) -> None:
    async def main() -> None:
        client = on_trio.AsyncClient(
            region="r-1", endpoint_url=url, credentials=CREDENTIALS, **settings
        )
        async with client, client.session("chat"):
            pass

    trio.run(main)


LEAVING = pytest.mark.parametrize("leave", [leave_sync_session, leave_async_session])


@LEAVING
def test_leaving_a_session_gives_up_after_its_limit_if_the_server_is_silent(
    leave: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sessions, "CLOSING_TIME", 0.5)
    with acting(keep_silent_after_opening) as server:
        began = time.monotonic()
        leave(server.url)
        assert 0.5 <= time.monotonic() - began < 2.0
    assert session_and_body(server.requests[1])[1] == b'{"requestType":"CLOSE"}'


def test_leaving_a_session_waits_five_seconds_by_default() -> None:
    assert _sessions.CLOSING_TIME == 5.0


@LEAVING
def test_leaving_a_session_raises_when_a_shorter_limit_passes(leave: Callable[..., None]) -> None:
    with acting(keep_silent_after_opening) as server:
        with pytest.raises(TimeoutError):
            leave(server.url, timeouts=Timeouts(response=0.2))
        with pytest.raises(TimeoutError):
            leave(server.url, timeouts=Timeouts(total=0.3))


def test_closing_a_session_by_hand_waits_as_any_call() -> None:
    def answer_late(peer: Peer) -> None:
        peer.read()
        peer.send(OPENED)
        peer.read()
        time.sleep(0.7)
        peer.send(CLOSED)

    with acting(answer_late) as server, sync_client(server.url) as client:
        session = client.session("chat")
        session.open()
        session.close()
        session.close()
    assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [BUSY, CLOSE])
def test_request_that_opens_a_session_is_sent_once(answer: bytes) -> None:
    with (
        scripted(OK, answer, OPENED, OPENED) as server,
        sync_client(server.url, retries=EAGER) as client,
    ):
        client.invoke_endpoint(endpoint_name="chat", body=b"opens the connection")
        with pytest.raises(Exception, match=r"503|closed") as caught, client.session("chat"):
            pass
    assert len(caught.value.__dict__["metadata"].attempts) == 1
    assert len(server.requests) == 2
    assert isinstance(caught.value, ServiceError) == (answer is BUSY)


def test_session_takes_the_members_that_both_operations_have() -> None:
    accepted = set(get_type_hints(SessionMembers))
    both = {b.name for b in InvokeEndpoint._table.bindings} & {
        b.name for b in InvokeEndpointWithResponseStream._table.bindings
    }
    assert accepted == both - {"endpoint_name", "session_id", "body"}
