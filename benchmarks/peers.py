"""What the figures are measured against: botocore, a bare socket and a bare h11 cycle, all doing the same work.

botocore and h11 are imported by name when asked for, so that the figures that do not need them still run without.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

from server import ANSWER, BODY, HEADERS

import smruntime_core as sm

REGION = "eu-west-1"
URL = "https://runtime.sagemaker.eu-west-1.amazonaws.com"
CREDENTIALS = sm.Credentials("AKIDEXAMPLEEXAMPLE00", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE" + "x" * 283)
SCOPE = sm.Scope(REGION, "sagemaker")
BYTES = b"0.1,0.25,7;" * 9 + b"\n"  # 100 bytes
MEMBERS: dict[str, Any] = {  # with Host, date and token: eight header fields to sign
    "endpoint_name": "churn",
    "body": BYTES,
    "content_type": "text/csv",
    "accept": "application/json",
    "custom_attributes": "trace=1f6b2c; tier=gold",
    "target_variant": "AllTraffic",
    "inference_id": "order-20260101-000042",
}
PARAMETERS = {name.title().replace("_", ""): value for name, value in MEMBERS.items()}  # as botocore calls them


def botocore_signer() -> tuple[Callable[[], Any], Callable[[Any], object]]:
    """Makes a fresh `AWSRequest`, and signs one."""
    request_class = import_module("botocore.awsrequest").AWSRequest
    credentials = import_module("botocore.credentials").Credentials(
        CREDENTIALS.access_key_id, CREDENTIALS.secret_access_key, CREDENTIALS.session_token
    )
    signer = import_module("botocore.auth").SigV4Auth(credentials, SCOPE.service, SCOPE.region)
    request = sm.InvokeEndpoint(**MEMBERS).request(URL)
    headers = dict(request.headers)

    def fresh() -> Any:
        return request_class(method=request.method, url=request.url, headers=headers, data=request.body)

    return fresh, signer.add_auth


def botocore_credentials() -> Callable[[], object]:
    """Credentials of botocore's that it would refresh, asked for."""
    module = import_module("botocore.credentials")
    expiry = module._local_now() + module.datetime.timedelta(hours=10)
    kept: Any = module.RefreshableCredentials("A", "s", "t", expiry, lambda: None, "peer")
    get: Callable[[], object] = kept.get_frozen_credentials
    return get


def botocore_client(endpoint_url: str) -> Any:
    """A client as its users make it, but with one connection and no retries."""
    session = import_module("botocore.session").Session()
    config = import_module("botocore.config").Config(retries={"total_max_attempts": 1})
    return session.create_client(
        "sagemaker-runtime",
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id=CREDENTIALS.access_key_id,
        aws_secret_access_key=CREDENTIALS.secret_access_key,
        aws_session_token=CREDENTIALS.session_token,
        config=config,
    )


def botocore_call(endpoint_url: str) -> Callable[[], object]:
    """One call by botocore, its body read to the end."""
    client = botocore_client(endpoint_url)
    return lambda: client.invoke_endpoint(**PARAMETERS)["Body"].read()  # noqa: PLW0108 - not the same: a new body each time


def botocore_stream(endpoint_url: str) -> Callable[[], int]:
    """One streamed call by botocore, its events counted."""
    client = botocore_client(endpoint_url)
    parameters = {name: value for name, value in PARAMETERS.items() if name != "TargetModel"}
    return lambda: sum(1 for _ in client.invoke_endpoint_with_response_stream(**parameters)["Body"])


def botocore_decoder(stream: bytes) -> Callable[[], int]:
    """botocore's reading of an event stream, without I/O."""
    buffer = import_module("botocore.eventstream").EventStreamBuffer

    def decode() -> int:
        made = buffer()
        count = 0
        for start in range(0, len(stream), 1 << 16):
            made.add_data(stream[start : start + (1 << 16)])
            count += sum(1 for _ in made)
        return count

    return decode


def botocore_without_io() -> Callable[[], object]:
    """The same, answered by a handler where botocore would send."""
    client = botocore_client(URL)
    answer = import_module("botocore.awsrequest").AWSResponse
    raw = import_module("urllib3").HTTPResponse

    def respond(request: Any, **_: object) -> Any:
        return answer(request.url, 200, dict(HEADERS), raw(io.BytesIO(BODY), headers=dict(HEADERS), preload_content=False))

    client.meta.events.register("before-send.sagemaker-runtime.InvokeEndpoint", respond)
    return lambda: client.invoke_endpoint(**PARAMETERS)["Body"].read()  # noqa: PLW0108 - not the same: a new body each time


def connect(port: int) -> socket.socket:
    """A blocking connection to the benchmark's server."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def signed_head(port: int) -> tuple[str, str, list[tuple[str, str]]]:
    """Method, target and header fields of a signed call, as a client sends them."""
    authority = f"127.0.0.1:{port}"
    request = sm.InvokeEndpoint(**MEMBERS).request(f"http://{authority}")
    signed = sm.sign(request, CREDENTIALS, SCOPE, now=1.8e9).headers
    fields = [("host", authority), *request.headers, *signed, ("content-length", str(len(BYTES)))]
    return request.method, request.url.removeprefix(f"http://{authority}"), fields


def raw_exchange(port: int) -> Callable[[], object]:
    """The bytes of a signed call out, the bytes of its answer in, and nothing else."""
    method, target, fields = signed_head(port)
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    message = head.encode() + BYTES
    connection = connect(port)

    def exchange() -> None:
        connection.sendall(message)
        missing = len(ANSWER)
        while missing:
            missing -= len(connection.recv(1 << 16))

    return exchange


def h11_cycle(port: int) -> Callable[[], object]:
    """The same exchange with h11 writing the request and reading the answer."""
    h11: Any = import_module("h11")
    method, target, fields = signed_head(port)
    protocol = h11.Connection(our_role=h11.CLIENT)
    connection = connect(port)

    def cycle() -> bytes:
        head = protocol.send(h11.Request(method=method, target=target, headers=fields))
        connection.sendall(head + protocol.send(h11.Data(data=BYTES)) + protocol.send(h11.EndOfMessage()))
        body = b""
        while True:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                protocol.receive_data(connection.recv(1 << 16))
            elif type(event) is h11.Data:
                body += event.data
            elif type(event) is h11.EndOfMessage:
                protocol.start_next_cycle()
                return body

    return cycle
