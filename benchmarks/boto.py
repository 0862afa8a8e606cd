"""Subjects of botocore, for the environment where it is installed."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import Any

from counting import Files, Frames
from measuring import Members, MemoryGrowth, Subject
from server import BODY, EVENTS, HEADERS, PART
from work import (
    KEYS,
    REGION,
    SERVICE,
    TARGET,
    URL,
    camel_case,
    header_fields,
    large_answer_members,
    large_members,
    members,
    parameters,
)


def client(url: str, verify: str | None = None) -> Any:
    """Return a client as applications make it, without retries."""
    session = import_module("botocore.session").Session()
    key, secret, token = KEYS
    return session.create_client(
        "sagemaker-runtime",
        region_name=REGION,
        endpoint_url=url,
        verify=verify,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=import_module("botocore.config").Config(retries={"total_max_attempts": 1}),
    )


def invoke(url: str, verify: str | None = None) -> Callable[[Members], object]:
    """Return one call, its body read to the end."""
    made = client(url, verify)
    return lambda fresh: made.invoke_endpoint(**fresh)["Body"].read()


def sign() -> Subject:
    """Sign requests that are ready."""
    auth, credentials = import_module("botocore.auth"), import_module("botocore.credentials")
    request_class = import_module("botocore.awsrequest").AWSRequest
    signer = auth.SigV4Auth(credentials.Credentials(*KEYS), SERVICE, REGION)

    def request() -> object:
        fresh = members()
        headers, body = header_fields(fresh), fresh["body"]
        return request_class(method="POST", url=URL + TARGET, headers=headers, data=body)

    return Subject(signer.add_auth, request)


def without_io() -> Subject:
    """Call; a handler answers where botocore would send."""
    made = client(URL)
    answer = import_module("botocore.awsrequest").AWSResponse
    raw = import_module("urllib3").HTTPResponse

    def respond(request: Any, **_: object) -> Any:
        stub = raw(io.BytesIO(BODY), headers=dict(HEADERS), preload_content=False)
        return answer(request.url, 200, dict(HEADERS), stub)

    made.meta.events.register("before-send.sagemaker-runtime.InvokeEndpoint", respond)
    return Subject(lambda fresh: made.invoke_endpoint(**fresh)["Body"].read(), parameters)


def call(url: str) -> Subject:
    """Call."""
    return Subject(invoke(url), parameters)


def tls_call(url: str, bundle: str) -> Subject:
    """Call through TLS."""
    return Subject(invoke(url, bundle), parameters)


def upload_memory(url: str) -> MemoryGrowth:
    """Send a long body, and look at memory."""
    return _memory(url, lambda: camel_case(large_members()))


def download_memory(url: str) -> MemoryGrowth:
    """Receive a long body, and look at memory."""
    return _memory(url, lambda: camel_case(large_answer_members()))


def _memory(url: str, prepare: Callable[[], Members]) -> MemoryGrowth:
    call = invoke(url)
    call(parameters())
    return MemoryGrowth(call, prepare)


def decode() -> Subject:
    """Decode an event stream that is in memory."""
    buffer = import_module("botocore.eventstream").EventStreamBuffer

    def call(data: bytes) -> None:
        decoder = buffer()
        events = 0
        for start in range(0, len(data), 1 << 16):
            decoder.add_data(data[start : start + (1 << 16)])
            events += sum(1 for _ in decoder)
        assert events == EVENTS

    stream = PART * EVENTS
    return Subject(call, lambda: stream)


def stream(url: str) -> Subject:
    """Receive an event stream."""
    made = client(url)

    def call(fresh: Members) -> None:
        events = sum(1 for _ in made.invoke_endpoint_with_response_stream(**fresh)["Body"])
        assert events == EVENTS

    return Subject(call, parameters)


def frames(url: str) -> Frames:
    """Count the Python frames that one call enters."""
    return Frames(invoke(url), parameters)


def files(url: str) -> Files:
    """Count the files of botocore and urllib3 that one call enters."""
    return Files(invoke(url), parameters, ("botocore", "urllib3"))
