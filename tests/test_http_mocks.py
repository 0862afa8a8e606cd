"""Mocks of HTTP libraries answer our calls: `tools/test-mocks` runs this in its own environment."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import httpx
import pytest
import requests

import smruntime_core as sm
from smruntime_transports import AsyncClient, Client
from smruntime_transports.http_clients.aiohttp import AiohttpIO
from smruntime_transports.http_clients.httpx import AsyncHttpxIO, HttpxIO
from smruntime_transports.http_clients.requests import RequestsIO

REASON = "tools/test-mocks runs this"
pytest.importorskip("respx", reason=REASON)
pytest.importorskip("pytest_httpx", reason=REASON)
aioresponses = pytest.importorskip("aioresponses", reason=REASON)
responses = pytest.importorskip("responses", reason=REASON)

URL = "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/iris/invocations"
SETTINGS: dict[str, Any] = {
    "region": "us-east-1",
    "credentials": sm.Credentials("AKID", "secret"),
    "retries": sm.RetryPolicy(base_delay=0.0),
}
ANSWER = {"predictions": [1]}
JSON = {"Content-Type": "application/json"}
CALL: dict[str, Any] = {"endpoint_name": "iris", "body": b"5.1,3.5", "content_type": "text/csv"}


def check_output(output: sm.InvokeEndpointOutput) -> None:
    """Every mock answers 503 first, so the call was retried."""
    assert output.json() == ANSWER
    assert [attempt.outcome for attempt in output.metadata.attempts] == ["503", "ok"]


def check_authorization(value: str | None) -> None:
    assert (value or "").startswith("AWS4-HMAC-SHA256 Credential=AKID/")


def test_respx(respx_mock: Any) -> None:
    route = respx_mock.post(URL, content=b"5.1,3.5")
    route.side_effect = [httpx.Response(503), httpx.Response(200, json=ANSWER)]
    with httpx.Client() as http, Client(io=HttpxIO(http), **SETTINGS) as client:
        check_output(client.invoke_endpoint(**CALL))
    check_authorization(route.calls.last.request.headers["authorization"])


@pytest.mark.parametrize("failure", [httpx.ConnectTimeout("slow"), httpx.ReadTimeout("slow")])
def test_exception_of_respx_is_a_failure_of_ours(
    respx_mock: Any, failure: httpx.TimeoutException
) -> None:
    respx_mock.post(URL).mock(side_effect=failure)
    with (
        httpx.Client() as http,
        Client(io=HttpxIO(http), **SETTINGS) as client,
        pytest.raises(sm.DispatchFailure) as caught,
    ):
        client.invoke_endpoint(**CALL)
    is_sent = isinstance(failure, httpx.ReadTimeout)
    assert caught.value.delivery == ("maybe_sent" if is_sent else "not_sent")
    assert len(caught.value.metadata.attempts) == (1 if is_sent else 3)


def test_pytest_httpx(httpx_mock: Any) -> None:
    httpx_mock.add_response(url=URL, method="POST", status_code=503)
    httpx_mock.add_response(url=URL, method="POST", match_content=b"5.1,3.5", json=ANSWER)

    async def main() -> sm.InvokeEndpointOutput:
        async with (
            httpx.AsyncClient() as http,
            AsyncClient(io=AsyncHttpxIO(http), **SETTINGS) as client,
        ):
            return await client.invoke_endpoint(**CALL)

    check_output(asyncio.run(main()))
    check_authorization(httpx_mock.get_requests()[1].headers["authorization"])


def test_mock_transport_of_httpx() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        check_authorization(request.headers["authorization"])
        answers.append(request.content)
        return httpx.Response(200, json=ANSWER) if len(answers) > 1 else httpx.Response(503)

    answers: list[bytes] = []
    transport = httpx.MockTransport(answer)
    with httpx.Client(transport=transport) as http, Client(io=HttpxIO(http), **SETTINGS) as client:
        check_output(client.invoke_endpoint(**CALL))
    assert answers == [b"5.1,3.5"] * 2


def test_responses() -> None:
    with responses.RequestsMock() as mock:
        mock.post(URL, status=503)
        mock.post(URL, json=ANSWER)
        with requests.Session() as session, Client(io=RequestsIO(session), **SETTINGS) as client:
            check_output(client.invoke_endpoint(**CALL))
        assert mock.calls[1].request.body == b"5.1,3.5"
        check_authorization(mock.calls[1].request.headers["authorization"])


def test_aioresponses() -> None:
    async def main() -> sm.InvokeEndpointOutput:
        async with (
            aiohttp.ClientSession() as session,
            AsyncClient(io=AiohttpIO(session), **SETTINGS) as client,
        ):
            return await client.invoke_endpoint(**CALL)

    with aioresponses.aioresponses() as mock:
        mock.post(URL, status=503)
        mock.post(URL, body=json.dumps(ANSWER), headers=JSON)
        check_output(asyncio.run(main()))
        ((_, calls),) = mock.requests.items()
    check_authorization(dict(calls[1].kwargs["headers"])["authorization"])
