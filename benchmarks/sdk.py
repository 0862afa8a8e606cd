"""Subjects of OpenAI's SDK, for the environment where it is installed: `.venv-peer-openai`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from measuring import Subject
from work import CREDENTIAL_MEMBERS, REGION, SERVICE, fresh_members

ENDPOINT_NAME = "churn"


def make_subject(base_url: str, **http_settings: Any) -> Subject:
    """Return one chat completion, its content different each time."""
    http = import_module("httpx2").Client(**http_settings)
    openai_type = import_module("openai").OpenAI
    sdk = openai_type(http_client=http, base_url=base_url, api_key="-", max_retries=0)

    def call(messages: list[dict[str, str]]) -> object:
        return sdk.chat.completions.create(model=ENDPOINT_NAME, messages=messages)

    return Subject(
        call, lambda: [{"role": "user", "content": fresh_members()["body"].decode("latin-1")}]
    )


def over_transport(url: str, *library_folders: str) -> Subject:
    """Call over the transport of this library, which the folders contain."""
    sys.path += library_folders
    credentials = import_module("smruntime_core").Credentials(*CREDENTIAL_MEMBERS)
    client_type = import_module("smruntime_transports").Client
    client = client_type(region=REGION, endpoint_url=url, credentials=credentials)
    transports = import_module("smruntime_transports.openai.httpx2")
    return make_subject(
        "http://sagemaker", transport=transports.SageMakerTransport(client, ENDPOINT_NAME)
    )


def alone(url: str) -> Subject:
    """Call without a signature."""
    return make_subject(url)


def signed_by_botocore(url: str) -> Subject:
    """Call with a signature of botocore's."""
    credentials = import_module("botocore.credentials").Credentials(*CREDENTIAL_MEMBERS)
    signer = import_module("botocore.auth").SigV4Auth(credentials, SERVICE, REGION)
    request_type = import_module("botocore.awsrequest").AWSRequest

    def sign(request: Any) -> Any:
        signed_request = request_type(
            "POST",
            str(request.url),
            headers={"Content-Type": request.headers["Content-Type"]},
            data=request.read(),
        )
        signer.add_auth(signed_request)
        request.headers.update(dict(signed_request.headers.items()))
        return request

    return make_subject(f"{url}/endpoints/{ENDPOINT_NAME}", auth=sign)
