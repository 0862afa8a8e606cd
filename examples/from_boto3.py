"""From boto3 to here: the same calls with both, side by side, against one local endpoint.

    boto3                                  here
    boto3.client("sagemaker-runtime")      Client()
    EndpointName="iris", ContentType=...   "iris", content_type=...
    response["Body"].read()                output.body; output.json(), .text(), .csv()
    for event in response["Body"]: ...     for text in stream.text(), .lines(), .sse(), .json()
    ClientError, error.response["Error"]   ServiceError, error.code, error.message
    Config(read_timeout=, retries=)        Client(timeouts=Timeouts(...), retries=RetryPolicy(...))

Each pair of functions does the same; the program runs both and compares what they return. Without
boto3 it runs ours alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_json
from smruntime_transports import Client

try:
    import boto3
    import botocore.config
    import botocore.exceptions
except ImportError:
    boto3 = None

FLOWER = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
PROMPT = {"prompt": "The import", "max_tokens": 12, "seed": 7}


# One call.


def call_boto3(client: Any) -> object:
    response = client.invoke_endpoint(
        EndpointName="iris", Body=json.dumps(FLOWER), ContentType="application/json"
    )
    return json.loads(response["Body"].read())


def call_ours(client: Client) -> object:
    return client.invoke_endpoint("iris", **as_json(FLOWER)).json()


# A stream. A part can end inside a character or a line: with boto3 you join the parts yourself.


def stream_boto3(client: Any) -> object:
    response = client.invoke_endpoint_with_response_stream(
        EndpointName="ngram",
        Body=json.dumps(PROMPT),
        ContentType="application/json",
        Accept="application/jsonlines",
        CustomAttributes="cut=random:7",
    )
    tokens, unfinished = [], b""
    for event in response["Body"]:
        if "PayloadPart" in event:
            *lines, unfinished = (unfinished + event["PayloadPart"]["Bytes"]).split(b"\n")
            tokens += [json.loads(line)["token"] for line in lines]
    return tokens


def stream_ours(client: Client) -> object:
    with client.invoke_endpoint_with_response_stream(
        "ngram", **as_json(PROMPT, accept="application/jsonlines"), custom_attributes="cut=random:7"
    ) as stream:
        lines: list[Any] = list(stream.jsonl())
    return [line["token"] for line in lines]


# An error of the service.


def fail_boto3(client: Any) -> object:
    try:
        client.invoke_endpoint(EndpointName="nowhere", Body=b"1")
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return None


def fail_ours(client: Client) -> object:
    try:
        client.invoke_endpoint("nowhere", body=b"1")
    except sm.ServiceError as error:
        return error.code  # error.hint says what to do
    return None


# Retries: how many attempts a call took.


def retry_boto3(client: Any) -> object:
    response = client.invoke_endpoint(EndpointName="flaky", Body=b"1")
    return response["ResponseMetadata"]["RetryAttempts"] + 1


def retry_ours(client: Client) -> object:
    return len(client.invoke_endpoint("flaky", body=b"1").metadata.attempts)


PAIRS: dict[str, tuple[Callable[[Any], object], Callable[[Client], object]]] = {
    "one call": (call_boto3, call_ours),
    "a stream": (stream_boto3, stream_ours),
    "an error": (fail_boto3, fail_ours),
    "attempts": (retry_boto3, retry_ours),
}


def make_boto3_client(endpoint: smruntime_local.Endpoint) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        region_name=endpoint.region,
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.credentials.access_key_id,
        aws_secret_access_key=endpoint.credentials.secret_access_key,
        aws_session_token=endpoint.credentials.session_token,
        config=botocore.config.Config(
            read_timeout=70, retries={"mode": "standard", "total_max_attempts": 3}
        ),
    )


def make_our_client(endpoint: smruntime_local.Endpoint) -> Client:
    return Client(
        region=endpoint.region,
        endpoint_url=endpoint.url,
        credentials=endpoint.credentials,  # a boto3 session works as well
        timeouts=sm.Timeouts(response=70),
        retries=sm.RetryPolicy(max_attempts=3),
    )


def main() -> None:
    with smruntime_local.serve() as endpoint, make_our_client(endpoint) as our_client:
        boto3_client = make_boto3_client(endpoint) if boto3 else None
        for name, (with_boto3, with_ours) in PAIRS.items():
            ours = with_ours(our_client)
            print(f"{name:<10}{ours}")
            if boto3_client is None:
                print("          boto3 is not installed")
            else:
                assert with_boto3(boto3_client) == ours
                print("          the same with boto3")
        if boto3_client is not None:
            boto3_client.close()


if __name__ == "__main__":
    main()
