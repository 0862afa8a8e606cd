"""The contract of every transport, on real sockets and real TLS."""

from __future__ import annotations

import pkgutil
import ssl
from importlib import import_module
from typing import Any

import pytest
import trustme

import smruntime_transports
from smruntime_core import DispatchFailure, InvokeEndpoint, InvokeEndpointOutput
from smruntime_core.testing import CONTRACT, Scenario

from .callers import CALLERS, CONTRACTED, IRIS, LEFT_OUT, Caller
from .matrix import Matrix, run_all
from .servers import OK, scripted


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest) -> Matrix:
    """All scenarios that are asked for are played once, together, since most of them wait."""
    asked: list[Any] = [
        item
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_contract"
    ]
    return run_all(
        (item.callspec.params["contracted"], item.callspec.params["scenario"]) for item in asked
    )


@pytest.mark.parametrize("scenario", CONTRACT, ids=str)
@pytest.mark.parametrize("contracted", CONTRACTED)
def test_contract(matrix: Matrix, contracted: str, scenario: Scenario) -> None:
    assert not matrix.runs[contracted, str(scenario)].wrong


def test_every_transport_is_tested() -> None:
    adapters = {
        module.name
        for module in pkgutil.iter_modules(smruntime_transports.__path__)
        if module.name != "telemetry"  # it needs an extra that is not installed everywhere
        and hasattr(import_module(f"smruntime_transports.{module.name}"), "BaseClient")
    }
    assert {"sockets", "asyncio"} <= adapters <= {name.partition("-")[0] for name in CONTRACTED}
    if LEFT_OUT:
        pytest.skip("; ".join(f"{name}: {reason}" for name, reason in LEFT_OUT.items()))


def test_nothing_is_left_over(matrix: Matrix) -> None:
    assert not matrix.left


@pytest.fixture(params=CALLERS)
def call(request: pytest.FixtureRequest) -> Caller:
    return CALLERS[request.param]


def answer(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def failure(outcome: object) -> DispatchFailure:
    assert isinstance(outcome, DispatchFailure), outcome
    return outcome


def test_second_and_third_call_use_the_first_connection(call: Caller) -> None:
    with scripted(OK, OK, OK) as server:
        outcomes = call(server.url, IRIS, IRIS, IRIS)
        assert [o.body for o in outcomes if isinstance(o, InvokeEndpointOutput)] == [b"abc"] * 3
        assert server.connections == 1


def test_only_content_length_is_added_after_signing(call: Caller) -> None:
    with scripted(OK) as server:
        call(server.url)
        head = server.requests[0].partition(b"\r\n\r\n")[0].decode()
    line, *fields = head.split("\r\n")
    assert line == "POST /endpoints/iris/invocations HTTP/1.1"
    names = {field.partition(":")[0].lower() for field in fields}
    signed = {"host", "content-type", "x-amz-date", "x-amz-security-token"}
    unsigned = {"authorization", "user-agent", "amz-sdk-invocation-id", "amz-sdk-request"}
    assert names == signed | unsigned | {"content-length"}
    assert f"SignedHeaders={';'.join(sorted(signed, key=str))}" in head


def test_output_and_metadata(call: Caller) -> None:
    with scripted(
        answer(
            b"\xff\x00", "x-amzn-RequestId: q", "X-AMZN-SAGEMAKER-CUSTOM-ATTRIBUTES: a=b", "Date: x"
        )
    ) as server:
        (output,) = call(server.url)
    assert isinstance(output, InvokeEndpointOutput)
    assert (output.body, output.custom_attributes) == (b"\xff\x00", "a=b")
    assert (output.metadata.request_id, output.metadata.status) == ("q", 200)
    assert ("Date", "x") in output.metadata.headers
    assert [a.outcome for a in output.metadata.attempts] == ["ok"]


def test_refused_connection_is_not_sent_and_retried(call: Caller) -> None:
    with scripted() as server:
        url = server.url
    (outcome,) = call(url, attempts=3)
    failed = failure(outcome)
    assert (failed.kind, failed.phase, failed.delivery) == ("refused", "connect", "not_sent")
    assert len(failed.metadata.attempts) == 3


def test_unknown_host_fails_in_phase_resolve(call: Caller) -> None:
    (outcome,) = call("http://no-such-host.invalid")
    failed = failure(outcome)
    assert (failed.phase, failed.delivery) == ("resolve", "not_sent")


def test_large_body_both_ways(call: Caller) -> None:
    big = bytes(range(256)) * 8192
    with scripted(answer(big), OK) as server:
        (output,) = call(server.url, InvokeEndpoint(endpoint_name="e", body=memoryview(big)))
        assert server.requests[0].endswith(big)
    assert isinstance(output, InvokeEndpointOutput)
    assert output.body == big


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def test_tls_calls_share_a_connection(
    call: Caller, authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with scripted(OK, answer(b"y" * 300_000), tls=server_tls) as server:
        outcomes = call(server.url, IRIS, IRIS, tls=trusting)
        assert [len(o.body) for o in outcomes if isinstance(o, InvokeEndpointOutput)] == [
            3,
            300_000,
        ]
        assert server.connections == 1


def test_untrusted_certificate_is_never_retried(call: Caller, server_tls: ssl.SSLContext) -> None:
    with scripted(OK, tls=server_tls) as server:
        (outcome,) = call(server.url, attempts=3)
        assert not server.requests
    failed = failure(outcome)
    assert (failed.kind, failed.phase, failed.delivery) == ("tls", "tls", "not_sent")
    assert len(failed.metadata.attempts) == 1
