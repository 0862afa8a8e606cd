"""The local endpoint against boto3 and curl: their requests are accepted, altered ones refused."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

import smruntime_local
from smruntime_core import Credentials, InvokeEndpoint, Request, sign
from smruntime_core.signing import RegionSet, presign

IRIS = [
    line.rsplit(",", 1)
    for line in (files("smruntime_local.models") / "iris.csv").read_text().splitlines()[1:]
]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve() as running:
        yield running


def client(endpoint: smruntime_local.Endpoint, secret: str | None = None) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        region_name=endpoint.region,
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.credentials.access_key_id,
        aws_secret_access_key=secret or endpoint.credentials.secret_access_key,
        aws_session_token=endpoint.credentials.session_token,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def invoke(endpoint: smruntime_local.Endpoint, name: str, body: bytes, **members: str) -> Any:
    return client(endpoint).invoke_endpoint(EndpointName=name, Body=body, **members)


def test_boto3_gets_the_same_probabilities_in_csv_and_json(
    endpoint: smruntime_local.Endpoint,
) -> None:
    answer = invoke(
        endpoint,
        "iris",
        "\n".join(row for row, _ in IRIS).encode(),
        ContentType="text/csv",
        CustomAttributes="t=1",
    )
    rows = [
        [float(x) for x in line.split(",")] for line in answer["Body"].read().decode().splitlines()
    ]
    assert (
        answer["ContentType"],
        answer["InvokedProductionVariant"],
        answer["CustomAttributes"],
    ) == ("text/csv", "AllTraffic", "t=1")
    assert all(abs(sum(row) - 1) < 1e-9 for row in rows)
    measured = [[float(x) for x in row.split(",")] for row, _ in IRIS]
    bare, named = json.dumps(measured).encode(), json.dumps({"instances": measured}).encode()
    found = json.loads(
        invoke(endpoint, "iris", named, ContentType="application/json")["Body"].read()
    )["predictions"]
    assert (
        json.loads(invoke(endpoint, "iris", bare, ContentType="application/json")["Body"].read())[
            "predictions"
        ]
        == found
    )
    assert [prediction["probabilities"] for prediction in found] == rows
    assert (
        sum(
            prediction["label"] == species
            for prediction, (_, species) in zip(found, IRIS, strict=True)
        )
        >= 143
    )


@pytest.mark.parametrize(
    ("name", "body", "content_type"),
    [
        ("iris", b"1,2,3,nan", "text/csv"),
        ("iris", b"\xff", "text/csv"),
        ("iris", b'{"instances": [[1, 2, 3, true]]}', "application/json"),
        ("iris", b"[", "application/json"),
        ("ngram", b'{"prompt": "a", "max_tokens": 0}', "application/json"),
    ],
)
def test_invalid_input_is_an_error_of_the_model(
    endpoint: smruntime_local.Endpoint, name: str, body: bytes, content_type: str
) -> None:
    with pytest.raises(ClientError) as caught:
        invoke(endpoint, name, body, ContentType=content_type)
    error_response = caught.value.response
    assert (
        error_response["Error"]["Code"],
        error_response["ResponseMetadata"]["HTTPStatusCode"],
        error_response["OriginalStatusCode"],
    ) == ("ModelError", 424, 400)
    assert error_response["OriginalMessage"] in error_response["Error"]["Message"]
    assert error_response["LogStreamArn"].endswith(f"/{name}")


def test_ngram_text_depends_on_the_seed_only(endpoint: smruntime_local.Endpoint) -> None:
    def text(seed: int) -> str:
        body = json.dumps({"prompt": "The for statement", "max_tokens": 30, "seed": seed}).encode()
        return str(
            json.loads(
                invoke(endpoint, "ngram", body, ContentType="application/json")["Body"].read()
            )["text"]
        )

    assert text(1) == text(1) != text(2)
    assert len(invoke(endpoint, "ngram", b"A class", ContentType="text/plain")["Body"].read()) > 64


def test_echo_returns_the_members_and_flaky_fails_every_first_call(
    endpoint: smruntime_local.Endpoint,
) -> None:
    seen = json.loads(invoke(endpoint, "echo", b"\0\xff", InferenceId="i")["Body"].read())
    assert (seen["endpoint_name"], seen["body"], seen["inference_id"]) == ("echo", "AP8=", "i")
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        invoke(endpoint, "flaky", b"")
    assert invoke(endpoint, "flaky", b"")["Body"].read()
    with pytest.raises(ClientError, match="Endpoint missing of account 000000000000 not found"):
        invoke(endpoint, "missing", b"")


@pytest.mark.parametrize("cut", ["aligned", "bytes", "inside", "random:3"])
def test_boto3_reads_the_streamed_response_however_it_is_cut(
    endpoint: smruntime_local.Endpoint, cut: str
) -> None:
    body = json.dumps({"prompt": "The for statement", "max_tokens": 30}).encode()
    answer = client(endpoint).invoke_endpoint_with_response_stream(
        EndpointName="ngram",
        Body=body,
        ContentType="application/json",
        CustomAttributes=f"cut={cut}",
    )
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == (
        "application/json",
        "AllTraffic",
    )
    streamed = b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"])
    assert (
        streamed == invoke(endpoint, "ngram", body, ContentType="application/json")["Body"].read()
    )


def test_boto3_raises_the_error_of_a_stream(endpoint: smruntime_local.Endpoint) -> None:
    attributes = "fault=ModelStreamError:StreamBroken@2"
    answer = client(endpoint).invoke_endpoint_with_response_stream(
        EndpointName="ngram", Body=b"The", CustomAttributes=attributes
    )
    with (
        closing(answer["Body"]) as events,
        pytest.raises(EventStreamError, match="ModelStreamError") as caught,
    ):
        list(events)
    assert "asked to fail" in str(caught.value)


def test_boto3_opens_uses_and_closes_a_session(endpoint: smruntime_local.Endpoint) -> None:
    before = endpoint.sessions_opened
    opened = invoke(
        endpoint,
        "chat",
        b'{"requestType":"NEW_SESSION"}',
        ContentType="application/json",
        SessionId="NEW_SESSION",
    )
    name = opened["NewSessionId"].partition(";")[0]
    assert invoke(endpoint, "chat", b"one", SessionId=name)["Body"].read() == b"1 one\n"
    assert invoke(endpoint, "chat", b"two", SessionId=name)["Body"].read() == b"1 one\n2 two\n"
    assert (
        invoke(endpoint, "chat", b'{"requestType":"CLOSE"}', SessionId=name)["ClosedSessionId"]
        == name
    )
    with pytest.raises(ClientError, match=r"ValidationError.*session not found"):
        invoke(endpoint, "chat", b"three", SessionId=name)
    assert endpoint.sessions_opened == before + 1


def test_boto3_invokes_asynchronously(endpoint: smruntime_local.Endpoint) -> None:
    endpoint.put("s3://bucket/rows", b"5.1,3.5,1.4,0.2")
    accepted = client(endpoint).invoke_endpoint_async(
        EndpointName="iris", InputLocation="s3://bucket/rows"
    )
    assert accepted["ResponseMetadata"]["HTTPStatusCode"] == 202
    deadline = time.monotonic() + 5
    while (
        answer := endpoint.fetch(accepted["OutputLocation"])
    ) is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert (answer or b"").startswith(b"1.0,")


def test_signature_with_wrong_secret_is_refused(endpoint: smruntime_local.Endpoint) -> None:
    with pytest.raises(ClientError, match="InvalidSignatureException") as caught:
        client(endpoint, "wrong").invoke_endpoint(EndpointName="echo", Body=b"1")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "x-amz-security-token:<redacted>" in str(caught.value)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize(("secret", "status"), [(None, "200"), ("wrong", "403")])
def test_signature_of_curl_is_verified(
    endpoint: smruntime_local.Endpoint, secret: str | None, status: str
) -> None:
    credentials = endpoint.credentials
    command = [
        "curl",
        "-s",
        "--noproxy",
        "*",
        "--aws-sigv4",
        f"aws:amz:{endpoint.region}:sagemaker",
    ]
    command += [
        "--user",
        f"{credentials.access_key_id}:{secret or credentials.secret_access_key}",
        "-H",
        f"x-amz-security-token: {credentials.session_token}",
    ]
    command += [
        "-w",
        "\n%{http_code}",
        "--data-binary",
        "5.1,3.5,1.4,0.2",
        "-H",
        "content-type: text/csv",
    ]
    done = subprocess.run(
        [*command, f"{endpoint.url}/endpoints/iris/invocations"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == status, done.stdout


def send_and_receive(endpoint: smruntime_local.Endpoint, sent: bytes) -> bytes:
    with socket.create_connection(
        ("127.0.0.1", int(endpoint.url.rpartition(":")[2])), 5
    ) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(("body", "status"), [(b"1,2", b"200"), (b"1,3", b"403")])
def test_body_that_differs_from_the_signed_one_is_refused(
    endpoint: smruntime_local.Endpoint, body: bytes, status: bytes
) -> None:
    request = InvokeEndpoint(endpoint_name="echo", body=b"1,2").request(endpoint.url)
    headers = (
        *request.headers,
        *sign(request, endpoint.credentials, endpoint.scope, now=time.time()).headers,
    )
    head = "".join(
        f"{name}: {value}\r\n"
        for name, value in headers
        if name.lower() not in ("host", "content-length")
    )
    framing = f"Host: {endpoint.url[7:]}\r\nConnection: close\r\nContent-Length: 3\r\n"
    head = f"POST /endpoints/echo/invocations HTTP/1.1\r\n{framing}{head}\r\n"
    assert send_and_receive(endpoint, head.encode() + body).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(("body", "status"), [(b"1,2", b"200"), (b"1,3", b"403")])
@pytest.mark.parametrize("sigv4a", [False, True])
def test_presigned_url_is_accepted_with_the_signed_body_only(
    endpoint: smruntime_local.Endpoint, body: bytes, status: bytes, sigv4a: bool
) -> None:
    scope = RegionSet("*", "sagemaker") if sigv4a else endpoint.scope
    request = Request(
        "POST",
        f"{endpoint.url}/endpoints/echo/invocations",
        (("Content-Type", "text/csv"),),
        b"1,2",
    )
    target = presign(
        request, endpoint.credentials, scope, now=time.time(), expires=60
    ).url.removeprefix(endpoint.url)
    framing = f"Host: {endpoint.url[7:]}\r\nConnection: close\r\nContent-Length: 3\r\n"
    head = f"POST {target} HTTP/1.1\r\n{framing}Content-Type: text/csv\r\n\r\n"
    assert send_and_receive(endpoint, head.encode() + body).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"200"),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"403"),
        (b"POST / HTTP/1.0\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a/b\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 67108865\r\n"
            b"Expect: 100-continue\r\n\r\n",
            b"413",
        ),
    ],
)
def test_unsigned_or_malformed_http_gets_its_status(
    endpoint: smruntime_local.Endpoint, sent: bytes, status: bytes
) -> None:
    assert send_and_receive(endpoint, sent).startswith(b"HTTP/1.1 " + status)


def test_close_ends_idle_connections() -> None:
    with smruntime_local.serve(region="eu-west-1", credentials=Credentials("a", "b")) as own:
        idle = socket.create_connection(("127.0.0.1", int(own.url.rpartition(":")[2])), 5)
        invoke(own, "echo", b"1")
        assert (own.requests_seen, own.scope.region) == (1, "eu-west-1")
    with idle:
        assert idle.recv(1) == b""
