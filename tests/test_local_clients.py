"""Every feature of the local endpoint, seen by every client: the table of docs/local-endpoint.md.

boto3, the AWS CLI and curl sign with code that is not ours.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
import trio
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EventStreamError

import smruntime_core as sm
import smruntime_local
from smruntime_local import (
    Call,
    Cut,
    EndpointConfig,
    HtmlPage,
    InferenceComponent,
    Variant,
    throttle,
)
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3

PAGE = Path(__file__).parents[1] / "docs" / "local-endpoint.md"
AWS_CLI = os.environ.get("SMRUNTIME_AWS_CLI", "")
ONCE = sm.RetryPolicy(max_attempts=1)


class Seen(NamedTuple):
    """What a client makes of one call: the code of an error or "", and the body."""

    code: str = ""
    body: bytes = b""


def describe(call: Call) -> dict[str, object]:
    return {"operation": call.operation, "variant": call.variant, "text": call.text()}


def explain(call: Call) -> str:
    return str(call.enable_explanations)


def spell(call: Call) -> Iterator[str]:
    yield from ("Once ", "upon ", "a time")


ENDPOINTS = {
    "plain": EndpointConfig(model=describe),
    "explained": EndpointConfig(model=explain),
    "story": EndpointConfig(model=spell),
    "ab": EndpointConfig(variants={"blue": Variant(describe), "green": Variant(describe)}),
    "many": EndpointConfig(target_models={"a.tar.gz": describe}),
    "direct": EndpointConfig(containers={"first": describe}),
    "parts": EndpointConfig(
        components={
            "ready": InferenceComponent(describe),
            "asleep": InferenceComponent(describe, copies=0, start_seconds=60),
        }
    ),
    "small": EndpointConfig(model=describe, max_payload=3),
}


class Feature(NamedTuple):
    """A call, the steps before it, and what every client must see."""

    endpoint_name: str
    code: str = ""
    says: bytes = b""
    members: dict[str, Any] = {}  # noqa: RUF012 - never changed
    steps: tuple[object, ...] = ()
    streamed: bool = False


# "lost" is an error of the connection, which each library names in its own way.
FEATURES = {
    "a function as a model": Feature("plain", says=b'"text": "hello"'),
    "a generator as a stream": Feature("story", says=b"Once upon a time", streamed=True),
    "`enable_explanations` passed on": Feature(
        "explained", says=b"`true`", members={"enable_explanations": "`true`"}
    ),
    "a target variant": Feature(
        "ab", says=b'"variant": "green"', members={"target_variant": "green"}
    ),
    "a target model": Feature("many", says=b"hello", members={"target_model": "a.tar.gz"}),
    "a missing target model": Feature("many", "ModelError", members={"target_model": "b.tar.gz"}),
    "a container by its hostname": Feature(
        "direct", says=b"hello", members={"target_container_hostname": "first"}
    ),
    "an inference component": Feature(
        "parts", says=b"hello", members={"inference_component_name": "ready"}
    ),
    "a component that is required": Feature("parts", "ValidationError"),
    "a component without capacity": Feature(
        "parts", "ValidationError", members={"inference_component_name": "asleep"}
    ),
    "a payload that is too large": Feature("small", "ValidationError"),
    "throttling": Feature("plain", "ThrottlingException", steps=throttle(1)),
    "a page of HTML": Feature("plain", "502", steps=(HtmlPage(502),)),
    "a connection that ends": Feature("plain", "lost", steps=(Cut(0),)),
    "an answer by script": Feature("plain", says=b"scripted", steps=("scripted",)),
    "a stream cut short": Feature(
        "story", "lost", streamed=True, members={"custom_attributes": "fault=close@1"}
    ),
    "a wrong checksum": Feature(
        "story", "lost", streamed=True, members={"custom_attributes": "fault=flip@1"}
    ),
}


def make_operation(feature: Feature) -> Any:
    kind = sm.InvokeEndpointWithResponseStream if feature.streamed else sm.InvokeEndpoint
    members = {"body": b"hello", "content_type": "text/plain", **feature.members}
    return kind(feature.endpoint_name, **members)


def outcome_of(error: sm.SmRuntimeError) -> Seen:
    return Seen(error.code) if isinstance(error, sm.ServiceError) else Seen("lost")


def settings(endpoint: smruntime_local.Endpoint) -> Any:
    return {
        "region": endpoint.region,
        "endpoint_url": endpoint.url,
        "credentials": endpoint.credentials,
        "retries": ONCE,
    }


def blocking(make: Callable[..., Any]) -> Callable[[smruntime_local.Endpoint, Feature], Seen]:
    def see(endpoint: smruntime_local.Endpoint, feature: Feature) -> Seen:
        operation = make_operation(feature)
        try:
            with make(**settings(endpoint)) as client:
                if not feature.streamed:
                    return Seen(body=client.call(operation).body)
                with client.stream(operation) as stream:
                    return Seen(body=stream.read().body)
        except sm.SmRuntimeError as error:
            return outcome_of(error)

    return see


def awaited(
    make: Callable[..., Any], run: Callable[[Callable[[], Awaitable[Seen]]], Seen]
) -> Callable[[smruntime_local.Endpoint, Feature], Seen]:
    def see(endpoint: smruntime_local.Endpoint, feature: Feature) -> Seen:
        operation = make_operation(feature)

        async def main() -> Seen:
            try:
                async with make(**settings(endpoint)) as client:
                    if not feature.streamed:
                        return Seen(body=(await client.call(operation)).body)
                    async with client.stream(operation) as stream:
                        return Seen(body=(await stream.read()).body)
            except sm.SmRuntimeError as error:
                return outcome_of(error)

        return run(main)

    return see


def see_with_boto3(endpoint: smruntime_local.Endpoint, feature: Feature) -> Seen:
    keys = endpoint.credentials
    client: Any = boto3.client(
        "sagemaker-runtime",
        region_name=endpoint.region,
        endpoint_url=endpoint.url,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    members = {name.title().replace("_", ""): value for name, value in feature.members.items()}
    members |= {"EndpointName": feature.endpoint_name, "Body": b"hello"}
    try:
        if not feature.streamed:
            return Seen(body=client.invoke_endpoint(**members)["Body"].read())
        answer = client.invoke_endpoint_with_response_stream(**members)
        return Seen(body=b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"]))
    except EventStreamError:
        return Seen("lost")
    except ClientError as error:
        return Seen(error.response["Error"]["Code"])
    except (BotoCoreError, OSError):
        return Seen("lost")
    except Exception as error:  # botocore has no public type for these two
        assert type(error).__name__ in ("ChecksumMismatch", "ProtocolError")
        return Seen("lost")


def see_with_curl(endpoint: smruntime_local.Endpoint, feature: Feature) -> Seen:
    keys, request = endpoint.credentials, make_operation(feature).request(endpoint.url)
    headers = [f"{name}: {value}" for name, value in request.headers]
    headers += [f"x-amz-security-token: {keys.session_token}"]
    command = [
        "curl",
        "--silent",
        "--include",
        "--noproxy",
        "*",
        "--request",
        "POST",
        "--data-binary",
        "hello",
    ]
    command += ["--aws-sigv4", f"aws:amz:{endpoint.region}:sagemaker"]
    command += ["--user", f"{keys.access_key_id}:{keys.secret_access_key}"]
    for header in headers:
        command += ["--header", header]
    done = subprocess.run([*command, request.url], capture_output=True, check=False)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines[1:])}
    status = int(lines[0].split()[1]) if done.returncode == 0 else 0
    if status != 200:
        return Seen(fields.get("x-amzn-errortype", str(status)) if status else "lost")
    if feature.streamed:
        try:
            parsed = make_operation(feature).parse(
                sm.Response(200, tuple(fields.items()), body, truncated=False)
            )
        except sm.SmRuntimeError:  # curl reads no events: this looks at what it has received
            return Seen("lost")
        return Seen(body=parsed.body)
    return Seen(body=body)


def see_with_aws_cli(endpoint: smruntime_local.Endpoint, feature: Feature) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        command = [AWS_CLI, "sagemaker-runtime", "invoke-endpoint", "--body", "hello"]
        command += ["--endpoint-name", feature.endpoint_name, "--content-type", "text/plain"]
        for name, value in feature.members.items():
            command += [f"--{name.replace('_', '-')}", value]
        variables = {**os.environ, **endpoint.environment, "AWS_MAX_ATTEMPTS": "1"}
        done = subprocess.run(
            [*command, str(answer)], env=variables, capture_output=True, check=False
        )
        if done.returncode == 0:
            return Seen(body=answer.read_bytes())
    code = re.search(r"An error occurred \((\w+)\)", done.stderr.decode())
    return Seen(code[1] if code else "lost")


CLIENTS: dict[str, Callable[[smruntime_local.Endpoint, Feature], Seen]] = {
    "boto3": see_with_boto3,
    "AWS CLI": see_with_aws_cli,
    "curl": see_with_curl,
    "sockets": blocking(sockets.Client),
    "urllib3": blocking(on_urllib3.Client),
    "trio": awaited(on_trio.AsyncClient, trio.run),
    "asyncio": awaited(on_asyncio.AsyncClient, lambda main: asyncio.run(as_coroutine(main))),
}


async def as_coroutine(main: Callable[[], Awaitable[Seen]]) -> Seen:
    return await main()


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("client", CLIENTS)
def test_client_sees_the_feature(client: str, name: str) -> None:
    if client == "curl" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    feature = FEATURES[name]
    if client == "AWS CLI" and not AWS_CLI:
        pytest.skip("tools/test-aws-cli installs the AWS CLI in an environment of its own")
    if client == "AWS CLI" and feature.streamed:
        pytest.skip("the AWS CLI has no command for streams")
    with smruntime_local.serve(endpoints=ENDPOINTS) as endpoint:
        endpoint.script(feature.endpoint_name, *feature.steps)
        seen = CLIENTS[client](endpoint, feature)
    assert seen.code == feature.code
    assert feature.says in seen.body


def test_page_lists_the_features_and_clients() -> None:
    rows = [f"| {'feature':<31} | {' | '.join(CLIENTS)} |", "|---|" + ":---:|" * len(CLIENTS)]
    for name, feature in FEATURES.items():
        marks = ["–" if client == "AWS CLI" and feature.streamed else "✓" for client in CLIENTS]
        rows.append(f"| {name:<31} | {' | '.join(marks)} |")
    assert "\n".join(rows) in PAGE.read_text("utf-8"), "\n".join(rows)
