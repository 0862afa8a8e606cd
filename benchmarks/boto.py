"""Subjects of botocore, for the environment where it is installed."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import Any

from counting import Files, Frames
from measuring import Members, MemoryGrowth, Subject
from server import ANSWER_BODY, ANSWER_HEADERS, EVENT_COUNT, EVENT_STREAM
from work import (
    CREDENTIAL_MEMBERS,
    REGION,
    REQUEST_TARGET,
    SERVICE,
    SERVICE_URL,
    botocore_names,
    botocore_parameters,
    fresh_members,
    large_answer_members,
    large_members,
    member_headers,
)


def make_client(url: str, verify: str | None = None) -> Any:
    """Return a client as applications make it, without retries."""
    session = import_module("botocore.session").Session()
    key_id, secret_key, session_token = CREDENTIAL_MEMBERS
    return session.create_client(
        "sagemaker-runtime",
        region_name=REGION,
        endpoint_url=url,
        verify=verify,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret_key,
        aws_session_token=session_token,
        config=import_module("botocore.config").Config(retries={"total_max_attempts": 1}),
    )


def invoke(url: str, verify: str | None = None) -> Callable[[Members], object]:
    """Return one call, its body read to the end."""
    botocore_client = make_client(url, verify)
    return lambda call_members: botocore_client.invoke_endpoint(**call_members)["Body"].read()


def sign() -> Subject:
    """Sign requests that are ready."""
    credentials = import_module("botocore.credentials").Credentials(*CREDENTIAL_MEMBERS)
    signer = import_module("botocore.auth").SigV4Auth(credentials, SERVICE, REGION)
    request_class = import_module("botocore.awsrequest").AWSRequest

    def make_request() -> object:
        call_members = fresh_members()
        headers, body = member_headers(call_members), call_members["body"]
        url = SERVICE_URL + REQUEST_TARGET
        return request_class(method="POST", url=url, headers=headers, data=body)

    return Subject(signer.add_auth, make_request)


def without_io() -> Subject:
    """Call; a handler answers where botocore would send."""
    botocore_client = make_client(SERVICE_URL)
    response_class = import_module("botocore.awsrequest").AWSResponse
    raw_response_class = import_module("urllib3").HTTPResponse

    def respond(request: Any, **_: object) -> Any:
        raw_response = raw_response_class(
            io.BytesIO(ANSWER_BODY), headers=dict(ANSWER_HEADERS), preload_content=False
        )
        return response_class(request.url, 200, dict(ANSWER_HEADERS), raw_response)

    botocore_client.meta.events.register("before-send.sagemaker-runtime.InvokeEndpoint", respond)
    return Subject(
        lambda call_members: botocore_client.invoke_endpoint(**call_members)["Body"].read(),
        botocore_parameters,
    )


def call(url: str) -> Subject:
    """Call."""
    return Subject(invoke(url), botocore_parameters)


def tls_call(url: str, bundle: str) -> Subject:
    """Call through TLS."""
    return Subject(invoke(url, bundle), botocore_parameters)


def upload_memory(url: str) -> MemoryGrowth:
    """Send a long body, and look at memory."""
    return _memory(url, lambda: botocore_names(large_members()))


def download_memory(url: str) -> MemoryGrowth:
    """Receive a long body, and look at memory."""
    return _memory(url, lambda: botocore_names(large_answer_members()))


def _memory(url: str, prepare: Callable[[], Members]) -> MemoryGrowth:
    call = invoke(url)
    call(botocore_parameters())
    return MemoryGrowth(call, prepare)


def decode() -> Subject:
    """Decode an event stream that is in memory."""
    buffer_class = import_module("botocore.eventstream").EventStreamBuffer

    def call(stream_bytes: bytes) -> None:
        decoder = buffer_class()
        event_count = 0
        for start in range(0, len(stream_bytes), 1 << 16):
            decoder.add_data(stream_bytes[start : start + (1 << 16)])
            event_count += sum(1 for _ in decoder)
        assert event_count == EVENT_COUNT

    return Subject(call, lambda: EVENT_STREAM)


def stream(url: str) -> Subject:
    """Receive an event stream."""
    botocore_client = make_client(url)

    def call(call_members: Members) -> None:
        answer = botocore_client.invoke_endpoint_with_response_stream(**call_members)
        event_count = sum(1 for _ in answer["Body"])
        assert event_count == EVENT_COUNT

    return Subject(call, botocore_parameters)


def frames(url: str) -> Frames:
    """Count the Python frames that one call enters."""
    return Frames(invoke(url), botocore_parameters)


def files(url: str) -> Files:
    """Count the files of botocore and urllib3 that one call enters."""
    return Files(invoke(url), botocore_parameters, ("botocore", "urllib3"))
