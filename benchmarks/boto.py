"""botocore doing the same work, in the environment where it is installed. Each function makes a subject."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from measuring import Subject
from server import BODY, EVENTS, HEADERS, PART
from work import FIELDS, KEYS, PARAMETERS, REGION, SERVICE, TARGET, URL


def client(url: str) -> Any:
    """A client as its users make it, but with one connection and no retries."""
    session = import_module("botocore.session").Session()
    config = import_module("botocore.config").Config(retries={"total_max_attempts": 1})
    key, secret, token = KEYS
    return session.create_client(
        "sagemaker-runtime",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=config,
    )


def sign() -> Subject:
    """`SigV4Auth.add_auth` on fresh requests."""
    request_class = import_module("botocore.awsrequest").AWSRequest
    signer = import_module("botocore.auth").SigV4Auth(import_module("botocore.credentials").Credentials(*KEYS), SERVICE, REGION)
    return Subject(signer.add_auth, lambda: request_class(method="POST", url=URL + TARGET, headers=dict(FIELDS), data=PARAMETERS["Body"]))


def without_io() -> Subject:
    """A call, answered by a handler where botocore would send."""
    made = client(URL)
    answer = import_module("botocore.awsrequest").AWSResponse
    raw = import_module("urllib3").HTTPResponse

    def respond(request: Any, **_: object) -> Any:
        return answer(request.url, 200, dict(HEADERS), raw(io.BytesIO(BODY), headers=dict(HEADERS), preload_content=False))

    made.meta.events.register("before-send.sagemaker-runtime.InvokeEndpoint", respond)
    return Subject(lambda: made.invoke_endpoint(**PARAMETERS)["Body"].read())  # noqa: PLW0108 - not the same: a new body each time


def call(url: str) -> Subject:
    """A call, its body read to the end."""
    made = client(url)
    return Subject(lambda: made.invoke_endpoint(**PARAMETERS)["Body"].read())  # noqa: PLW0108 - not the same: a new body each time


def stream(url: str) -> Subject:
    """A streamed call, its events counted."""
    made = client(url)

    def count() -> None:
        events = sum(1 for _ in made.invoke_endpoint_with_response_stream(**PARAMETERS)["Body"])
        assert events == EVENTS

    return Subject(count)


def decode() -> Subject:
    """An event stream that is there, without I/O."""
    buffer = import_module("botocore.eventstream").EventStreamBuffer
    data = PART * EVENTS

    def count() -> None:
        made = buffer()
        events = 0
        for start in range(0, len(data), 1 << 16):
            made.add_data(data[start : start + (1 << 16)])
            events += sum(1 for _ in made)
        assert events == EVENTS

    return Subject(count)
