"""Stateful sessions of the local endpoint: opened, used, closed, expired."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

import smruntime_local
from smruntime_core import ModelError, ServiceUnavailable, ValidationError
from smruntime_local.models._sessions import MEMORY_LIMIT, Sessions
from smruntime_transports.sockets import Client


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve(session_seconds=100) as running:
        yield running


@pytest.fixture
def client(endpoint: smruntime_local.Endpoint) -> Iterator[Client]:
    with Client(
        region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
    ) as running:
        yield running


def test_session_remembers_until_it_is_closed(
    endpoint: smruntime_local.Endpoint, client: Client
) -> None:
    before = endpoint.sessions_opened
    with client.session("chat") as session, client.session("chat") as other:
        assert session.invoke_endpoint(body=b"one").body == b"1 one\n"
        assert other.invoke_endpoint(body=b"two").body == b"1 two\n"
        with session.invoke_endpoint_with_response_stream(
            body="drüben".encode(), custom_attributes="cut=bytes"
        ) as stream:
            assert "".join(stream.text()) == "1 one\n2 drüben\n"
        assert session.expires is not None
        assert timedelta(0) < session.expires - datetime.now(UTC) <= timedelta(seconds=100)
        name = session.id
    assert endpoint.sessions_opened - before == 2
    for call in (client.invoke_endpoint, client.invoke_endpoint_with_response_stream):
        with pytest.raises(ValidationError, match=f"session not found: {name}"):
            call(endpoint_name="chat", body=b"three", session_id=name)


def test_call_without_a_session_has_no_memory(client: Client) -> None:
    responses = [
        client.invoke_endpoint(endpoint_name="chat", body=body).body for body in (b"a", b"b")
    ]
    assert responses == [b"1 a\n", b"1 b\n"]


@pytest.mark.parametrize("body", [b"hello", b"[]", b'{"requestType": "CLOSE"}'])
def test_new_session_requires_the_body_of_the_protocol(
    endpoint: smruntime_local.Endpoint, client: Client, body: bytes
) -> None:
    before = endpoint.sessions_opened
    with pytest.raises(ModelError, match="a session is opened by"):
        client.invoke_endpoint(endpoint_name="chat", body=body, session_id="NEW_SESSION")
    assert endpoint.sessions_opened == before


def test_expired_sessions_do_not_count() -> None:
    now = 1000.0
    sessions = Sessions(lifetime=10, max_sessions=2, clock=lambda: now)
    opened = sessions.open()
    name, _, expires = opened.partition("; Expires=")
    assert expires == "1970-01-01T00:16:50Z"
    sessions.open()
    with pytest.raises(ServiceUnavailable, match="2 sessions are open"):
        sessions.open()
    assert sessions.remember(name, "a") == ["a"]
    now = 1010.0
    with pytest.raises(ValidationError, match="session not found"):
        sessions.remember(name, "b")
    with pytest.raises(ValidationError, match="session not found"):
        sessions.close(name)
    assert sessions.open()


def test_memory_of_a_session_is_limited() -> None:
    sessions = Sessions()
    name = sessions.open().partition(";")[0]
    sessions.remember(name, "a" * MEMORY_LIMIT)
    with pytest.raises(ValueError, match="remembers at most"):
        sessions.remember(name, "b")
    sessions.close(name)
