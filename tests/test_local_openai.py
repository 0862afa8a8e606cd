"""The OpenAI-compatible path of the local endpoint, which requires a bearer token."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

import smruntime_local
from smruntime_core import Config, Request, Scope, sign
from smruntime_core.signing import bearer_token

BODY = json.dumps({"model": "", "messages": [{"role": "user", "content": "hi"}]}).encode()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve() as running:
        yield running


def post(
    url: str, authorization: str | None, body: bytes = BODY, method: str = "POST"
) -> tuple[int, Any, Any]:
    headers = {"Content-Type": "application/json"} | (
        {} if authorization is None else {"Authorization": authorization}
    )
    answer = urllib3.request(method, url, body=body, headers=headers, retries=False)
    return answer.status, answer.headers, answer.data


def url_of(
    endpoint: smruntime_local.Endpoint, name: str = "echo", component: str | None = None
) -> str:
    return Config(region=endpoint.region, endpoint_url=endpoint.url).openai_url(name, component)


def token(endpoint: smruntime_local.Endpoint, **changes: Any) -> str:
    return "Bearer " + bearer_token(
        **{
            "credentials": endpoint.credentials,
            "region": endpoint.region,
            "now": time.time(),
            **changes,
        }
    )


def test_bearer_token_is_accepted(endpoint: smruntime_local.Endpoint) -> None:
    status, headers, data = post(url_of(endpoint, "echo", "base-1"), token(endpoint))
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(data)["inference_component_name"] == "base-1"
    assert json.loads(data)["content_type"] == "application/json"


def test_streamed_response_is_chunked(endpoint: smruntime_local.Endpoint) -> None:
    body = json.dumps({"stream": True, "messages": []}).encode()
    status, headers, data = post(url_of(endpoint), token(endpoint), body)
    assert (status, headers.get("transfer-encoding")) == (200, "chunked")
    assert json.loads(data)["endpoint_name"] == "echo"


def test_refusals_have_the_format_of_openai(endpoint: smruntime_local.Endpoint) -> None:
    now = time.time()
    signed = dict(
        sign(
            Request("POST", url_of(endpoint), (), BODY),
            endpoint.credentials,
            endpoint.scope,
            now=now,
        ).headers
    )
    for authorization, code in (
        (None, "MissingAuthenticationTokenException"),
        (signed["authorization"], "MissingAuthenticationTokenException"),
        ("Bearer sk-1", "UnrecognizedClientException"),
        (token(endpoint, region="eu-west-1"), "InvalidSignatureException"),
        (token(endpoint, now=now - 4000, expires=3600), "InvalidSignatureException"),
        (
            token(endpoint, credentials=endpoint.credentials.replace(secret_access_key="x")),
            "InvalidSignatureException",
        ),
    ):
        status, _, data = post(url_of(endpoint), authorization)
        assert (status, json.loads(data)["error"]["code"]) == (403, code)
    status, _, data = post(url_of(endpoint, "missing"), token(endpoint))
    assert (status, json.loads(data)["error"]["type"]) == (400, "ValidationError")
    status, _, data = post(url_of(endpoint, "flaky"), token(endpoint))
    assert status >= 400 and "error" in json.loads(data)
    assert post(url_of(endpoint), token(endpoint), b"", "PUT")[0] == 404
    assert post(url_of(endpoint).replace("echo", "-"), token(endpoint))[0] == 400


def test_bearer_token_is_refused_on_other_paths(endpoint: smruntime_local.Endpoint) -> None:
    assert post(f"{endpoint.url}/endpoints/echo/invocations", token(endpoint))[0] == 403
    assert endpoint.scope == Scope(endpoint.region, "sagemaker")
