"""A program written against mypy_boto3_sagemaker_runtime; the tests put our client in its place.

`tests/test_boto_typed.py` replaces the import and checks the types of both versions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
from botocore.config import Config
from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient
from mypy_boto3_sagemaker_runtime.type_defs import (
    InvokeEndpointAsyncOutputTypeDef,
    InvokeEndpointInputTypeDef,
    ResponseMetadataTypeDef,
    ResponseStreamTypeDef,
)


def make_client(url: str) -> SageMakerRuntimeClient:
    return boto3.client(
        "sagemaker-runtime",
        region_name="eu-west-1",
        endpoint_url=url,
        config=Config(read_timeout=70, retries={"mode": "standard", "total_max_attempts": 3}),
    )


def score(client: SageMakerRuntimeClient, row: str) -> float:
    members: InvokeEndpointInputTypeDef = {
        "EndpointName": "churn",
        "Body": row,
        "ContentType": "text/csv",
    }
    answer = client.invoke_endpoint(**members)
    log(answer["ResponseMetadata"])
    return float(json.loads(answer["Body"].read())["score"])


def log(metadata: ResponseMetadataTypeDef) -> None:
    print(metadata["HTTPStatusCode"], metadata["RetryAttempts"], metadata["HTTPHeaders"])


def submit(client: SageMakerRuntimeClient, location: str) -> InvokeEndpointAsyncOutputTypeDef:
    return client.invoke_endpoint_async(
        EndpointName="churn", InputLocation=location, InvocationTimeoutSeconds=60
    )


def tell(client: SageMakerRuntimeClient, prompt: bytes) -> Iterator[str]:
    answer = client.invoke_endpoint_with_response_stream(EndpointName="llm", Body=prompt)
    for event in answer["Body"]:
        yield text_of(event)


def text_of(event: ResponseStreamTypeDef) -> str:
    part = event.get("PayloadPart")
    return part.get("Bytes", b"").decode() if part else ""


def main(url: str) -> None:
    client = make_client(url)
    try:
        print(score(client, "1,2,3"), *tell(client, b"Once"))
        print(submit(client, "s3://bucket/key")["OutputLocation"])
    except client.exceptions.ModelError as error:
        print(error.response.get("Error", {}).get("Code"), error.operation_name)
    print(client.meta.region_name, client.can_paginate("invoke_endpoint"))
    client.close()
