"""Comparisons with other code: moto checks our signatures, botocore builds the same request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import pytest
import trio
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

import smruntime_core as sm
import smruntime_local
from smruntime_core.conversation._clock_skew import ClockSkew
from smruntime_core.conversation._deadline import Deadline
from smruntime_core.conversation._s3 import ObjectReader
from smruntime_core.credentials import ProviderContext
from smruntime_transports import Settings, sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3

from .servers import authenticate, moto_server

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["sagemaker:*", "s3:*"], "Resource": "*"}],
}
KEYS_IN_S3 = ("out/1.out", "a b+c/~.out", "é(1)!*'&=%41.out")


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, sm.Credentials]]:
    """Run a moto server that checks signatures and policies; provide credentials for it."""
    with moto_server() as url:
        iam: Any = boto3.client(
            "iam", "us-east-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b"
        )
        iam.create_user(UserName="u")
        key = iam.create_access_key(UserName="u")["AccessKey"]
        iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(POLICY))
        s3: Any = boto3.client(
            "s3", "us-east-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b"
        )
        s3.create_bucket(Bucket="answers")
        for name in KEYS_IN_S3:
            s3.put_object(Bucket="answers", Key=name, Body=name.encode())
        authenticate(url)
        yield url, sm.Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def invoke(name: str, url: str, credentials: sm.Credentials) -> sm.InvokeEndpointOutput:
    call = sm.InvokeEndpoint(
        endpoint_name="churn",
        body=b"1,2,3",
        content_type="text/csv",
        custom_attributes="a=b; c  =d",
    )
    if name == "trio":

        async def main() -> sm.InvokeEndpointOutput:
            async with on_trio.AsyncClient(
                region="us-east-1", endpoint_url=url, credentials=credentials
            ) as client:
                return await client.call(call)

        output: sm.InvokeEndpointOutput = trio.run(main)
        return output
    settings = Settings(region="us-east-1", endpoint_url=url, credentials=credentials)
    with (
        sockets.Client(**settings)
        if name == "sockets"
        else on_urllib3.Client(**settings) as blocking
    ):
        return blocking.call(call)


@pytest.mark.parametrize("name", ["sockets", "urllib3", "trio"])
def test_moto_accepts_our_signature_and_no_other(
    moto: tuple[str, sm.Credentials], name: str
) -> None:
    url, credentials = moto
    assert invoke(name, url, credentials).body
    with pytest.raises(sm.ServiceError) as refused:
        invoke(name, url, sm.Credentials(credentials.access_key_id, "wrong"))
    assert refused.value.status == 403


def read(url: str, credentials: sm.Credentials, location: str) -> bytes | None:
    config = sm.Config(region="us-east-1", s3_endpoint_url=url)
    io = sockets.SocketIO.reading()
    io.configure(credentials, ProviderContext({}, home="/", clock=time, random=lambda: 0.0), None)
    reader = ObjectReader(config, time, ClockSkew())
    found = sm.run(reader.get(location, Deadline(time, 10.0)), io)
    return None if found is None else found.body


@pytest.mark.parametrize("key", KEYS_IN_S3)
def test_moto_accepts_our_signature_for_s3_and_no_other(
    moto: tuple[str, sm.Credentials], key: str
) -> None:
    url, credentials = moto
    assert read(url, credentials, f"s3://answers/{key}") == key.encode()
    with pytest.raises(sm.ServiceError) as refused:
        read(url, credentials.replace(secret_access_key="wrong"), f"s3://answers/{key}")
    assert (refused.value.status, refused.value.code) == (403, "SignatureDoesNotMatch")


def test_missing_object_reads_as_none_and_missing_bucket_raises(
    moto: tuple[str, sm.Credentials],
) -> None:
    url, credentials = moto
    assert read(url, credentials, "s3://answers/later") is None
    with pytest.raises(sm.ServiceError, match="NoSuchBucket"):
        read(url, credentials, "s3://nowhere-at-all/later")


graphic = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def botocore_requests() -> tuple[Any, list[Any]]:
    """Return a botocore client, and the requests that it would have sent."""
    seen: list[Any] = []
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    client: Any = boto3.client(
        "sagemaker-runtime",
        "us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=config,
    )

    def keep(request: Any, **_: object) -> None:
        seen.append(request)
        raise InterruptedError

    client.meta.events.register("before-send.sagemaker-runtime", keep)
    return client, seen


@given(
    body=st.binary(max_size=50),
    attributes=graphic,
    target=graphic,
    component=st.from_regex("[a-zA-Z0-9]{1,63}", fullmatch=True),
)
def test_botocore_builds_the_same_request(
    botocore_requests: tuple[Any, list[Any]],
    body: bytes,
    attributes: str,
    target: str,
    component: str,
) -> None:
    client, seen = botocore_requests
    with pytest.raises(InterruptedError):
        client.invoke_endpoint(
            EndpointName="e-1",
            Body=body,
            ContentType="text/csv",
            CustomAttributes=attributes,
            TargetModel=target,
            InferenceComponentName=component,
            SessionId="NEW_SESSION",
        )
    theirs = seen.pop()
    ours = sm.InvokeEndpoint(
        endpoint_name="e-1",
        body=body,
        content_type="text/csv",
        custom_attributes=attributes,
        target_model=target,
        inference_component_name=component,
        session_id="NEW_SESSION",
    ).request(sm.Config(region="us-east-1").url)
    added_later = (
        "user-agent",
        "x-amz-date",
        "authorization",
        "content-length",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
    )
    sent = {
        name.lower(): value
        for name, value in theirs.headers.items()
        if name.lower() not in added_later
    }
    assert {name.lower(): value.encode() for name, value in ours.headers} == {
        k: v if isinstance(v, bytes) else v.encode() for k, v in sent.items()
    }
    assert (ours.method, ours.url, ours.body) == (theirs.method, theirs.url, theirs.body or b"")


legal = st.from_regex(r"[!-~](?:[ -~]{0,200}[!-~])?", fullmatch=True)


@pytest.fixture(scope="module")
def local() -> Iterator[tuple[smruntime_local.Endpoint, sockets.Client]]:
    with (
        smruntime_local.serve() as endpoint,
        sockets.Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
    ):
        yield endpoint, client


@profile(max_examples=150)
@given(attributes=legal)
def test_each_valid_custom_attribute_survives_a_round_trip(
    local: tuple[smruntime_local.Endpoint, sockets.Client], attributes: str
) -> None:
    """Send it through a server that verifies the signature, blanks included."""
    output = local[1].invoke_endpoint(endpoint_name="echo", body=b"", custom_attributes=attributes)
    assert output.custom_attributes == attributes
    assert json.loads(output.body)["custom_attributes"] == attributes
