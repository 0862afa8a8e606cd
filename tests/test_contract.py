"""The contract of every transport, on real sockets and real TLS: one suite, run over all of them."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from base64 import b64decode
from threading import Thread
from typing import Any

import pytest
import trustme

import smruntime_local
from smruntime_core import DispatchFailure, InvokeEndpoint, InvokeEndpointOutput, ServiceError, Timeouts
from smruntime_core._model import MAX_ERROR_BODY
from smruntime_transports import sockets
from smruntime_transports import urllib3 as on_urllib3

from . import servers
from .callers import CALLERS, IRIS, Caller
from .servers import OK, scripted


@pytest.fixture(params=CALLERS)
def call(request: pytest.FixtureRequest) -> Caller:
    return CALLERS[request.param]


def answer(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def failure(outcome: object) -> DispatchFailure:
    assert isinstance(outcome, DispatchFailure), outcome
    return outcome


def test_connection_is_kept(call: Caller) -> None:
    with scripted(OK, OK, OK) as server:
        outcomes = call(server.url, IRIS, IRIS, IRIS)
        assert [o.body for o in outcomes if isinstance(o, InvokeEndpointOutput)] == [b"abc"] * 3
        assert server.connections == 1


def test_sends_what_was_signed_and_only_frames_it(call: Caller) -> None:
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
    with scripted(answer(b"\xff\x00", "x-amzn-RequestId: q", "X-AMZN-SAGEMAKER-CUSTOM-ATTRIBUTES: a=b", "Date: x")) as server:
        (output,) = call(server.url)
    assert isinstance(output, InvokeEndpointOutput)
    assert (output.body, output.custom_attributes) == (b"\xff\x00", "a=b")
    assert (output.metadata.request_id, output.metadata.status) == ("q", 200)
    assert ("Date", "x") in output.metadata.headers
    assert [a.outcome for a in output.metadata.attempts] == ["ok"]


def test_chunked_answer_keeps_the_connection(call: Caller) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"
    with scripted(chunked, OK) as server:
        outcomes = call(server.url, IRIS, IRIS)
        assert [o.body for o in outcomes if isinstance(o, InvokeEndpointOutput)] == [b"abc", b"abc"]
        assert server.connections == 1


def test_retries_503_and_lists_attempts(call: Caller) -> None:
    busy = answer(b'{"Message":"busy"}', "x-amzn-ErrorType: ServiceUnavailable", status="503 x")
    with scripted(busy, OK) as server:
        (output,) = call(server.url, attempts=2)
    assert isinstance(output, InvokeEndpointOutput)
    assert [a.outcome for a in output.metadata.attempts] == ["ServiceUnavailable", "ok"]


def test_timeout_after_sending_runs_the_model_once(call: Caller) -> None:
    with scripted(3.0, OK) as server:
        begun = time.monotonic()
        (outcome,) = call(server.url, timeouts=Timeouts(response=0.3), attempts=3)
        assert time.monotonic() - begun < 2.0
        assert len(server.requests) == 1
    failed = failure(outcome)
    assert (failed.kind, failed.phase, failed.delivery) == ("timeout", "head", "maybe_sent")


def test_total_deadline_covers_all(call: Caller) -> None:
    with scripted(3.0, OK) as server:
        begun = time.monotonic()
        (outcome,) = call(server.url, timeouts=Timeouts(total=0.3), attempts=3)
        assert time.monotonic() - begun < 2.0
    assert failure(outcome).kind == "timeout"


def test_refused_connection_is_not_sent_and_retried(call: Caller) -> None:
    with scripted() as server:
        url = server.url
    (outcome,) = call(url, attempts=3)
    failed = failure(outcome)
    assert (failed.kind, failed.phase, failed.delivery) == ("refused", "connect", "not_sent")
    assert len(failed.metadata.attempts) == 3


def test_unknown_host(call: Caller) -> None:
    (outcome,) = call("http://no-such-host.invalid")
    failed = failure(outcome)
    assert (failed.phase, failed.delivery) == ("resolve", "not_sent")


def test_truncated_success_is_an_error_and_not_retried(call: Caller) -> None:
    cut = OK[:-1].replace(b"Content-Type", b"Connection: close\r\nContent-Type")
    with scripted(cut, OK) as server:
        (outcome,) = call(server.url, attempts=3)
        assert len(server.requests) == 1
    failed = failure(outcome)
    assert (failed.kind, failed.phase, failed.delivery, failed.status) == ("truncated", "body", "answered", 200)


def test_truncated_error_keeps_its_code(call: Caller) -> None:
    cut = answer(b'{"Message":"no"}', "Connection: close", "x-amzn-ErrorType: ValidationError", status="400 x")[:-4]
    with scripted(cut) as server:
        (outcome,) = call(server.url)
    assert isinstance(outcome, ServiceError)
    assert (outcome.code, outcome.status, outcome.truncated) == ("ValidationError", 400, True)


def test_huge_error_body_is_cut(call: Caller) -> None:
    with scripted(answer(b"x" * (3 * MAX_ERROR_BODY), status="500 x"), OK) as server:
        (outcome,) = call(server.url)
    assert isinstance(outcome, ServiceError)
    assert outcome.truncated
    assert len(outcome.body) == MAX_ERROR_BODY


def test_redirect_is_never_followed(call: Caller) -> None:
    with scripted(OK) as elsewhere, scripted(answer(b"", f"Location: {elsewhere.url}/x", status="307 x")) as server:
        (outcome,) = call(server.url)
        assert isinstance(outcome, ServiceError)
        assert outcome.status == 307
        assert not elsewhere.requests


def test_body_is_not_decompressed(call: Caller) -> None:
    with scripted(answer(b"\x1f\x8bnot really", "Content-Encoding: gzip")) as server:
        (output,) = call(server.url)
    assert isinstance(output, InvokeEndpointOutput)
    assert output.body == b"\x1f\x8bnot really"


def test_idle_connection_closed_by_the_server(call: Caller) -> None:
    """Seen at checkout or, if the end comes a moment later, mended by the free retry."""
    with scripted(OK.replace(b"Content-Type", b"X: Connection: close\r\nContent-Type"), OK) as server:
        outcomes = call(server.url, IRIS, IRIS)
    assert [o.body for o in outcomes if isinstance(o, InvokeEndpointOutput)] == [b"abc", b"abc"]


def test_large_body_both_ways(call: Caller) -> None:
    big = bytes(range(256)) * 8192
    with scripted(answer(big), OK) as server:
        (output,) = call(server.url, InvokeEndpoint(endpoint_name="e", body=memoryview(big)))
        assert server.requests[0].endswith(big)
    assert isinstance(output, InvokeEndpointOutput)
    assert output.body == big


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def test_tls(call: Caller, authority: trustme.CA, server_tls: ssl.SSLContext) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with scripted(OK, answer(b"y" * 300_000), tls=server_tls) as server:
        outcomes = call(server.url, IRIS, IRIS, tls=trusting)
        assert [len(o.body) for o in outcomes if isinstance(o, InvokeEndpointOutput)] == [3, 300_000]
        assert server.connections == 1


def test_untrusted_certificate_is_never_retried(call: Caller, server_tls: ssl.SSLContext) -> None:
    with scripted(OK, tls=server_tls) as server:
        (outcome,) = call(server.url, attempts=3)
        assert not server.requests
    failed = failure(outcome)
    assert (failed.kind, failed.phase, failed.delivery) == ("tls", "tls", "not_sent")
    assert len(failed.metadata.attempts) == 1


HOSTILE = {
    "bare CR": b"HTTP/1.1 200 OK\r\nA: b\rX: y\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "junk for a chunk's end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n",
    "folded field": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"ICY 200 OK\r\n\r\n",
    "a newer HTTP": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 S\r\n\r\n",
    "interim without end": b"HTTP/1.1 102 P\r\n\r\n" * 20,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answer_is_refused(call: Caller, name: str) -> None:
    with scripted(HOSTILE[name], OK) as server:
        (outcome,) = call(server.url, attempts=3)
        assert len(server.requests) == 1
    assert failure(outcome).kind == "protocol"


def test_leftover_never_reaches_the_next_caller(call: Caller) -> None:
    with scripted(OK + answer(b"POISON"), OK) as server:
        outcomes = call(server.url, IRIS, IRIS)
    assert [o.body for o in outcomes if isinstance(o, InvokeEndpointOutput)] == [b"abc", b"abc"]


def test_kept_connection_that_dies_gets_one_free_retry(call: Caller) -> None:
    with scripted(OK, servers.CLOSE, OK) as server:
        outcomes = call(server.url, IRIS, IRIS)
        assert server.connections == 2
    assert all(isinstance(o, InvokeEndpointOutput) for o in outcomes)
    assert [a.outcome for a in outcomes[1].metadata.attempts] == ["closed", "ok"]


def test_early_answer_is_seen_while_sending(call: Caller) -> None:
    too_big = answer(b"{}", status="413 x")
    with servers.raw_server(too_big, read=100_000) as url:
        (outcome,) = call(url, InvokeEndpoint(endpoint_name="e", body=bytes(30_000_000)))
    assert isinstance(outcome, ServiceError)
    assert outcome.status == 413


def test_server_that_takes_nothing_times_out(call: Caller) -> None:
    with servers.raw_server(b"", read=1) as url:
        begun = time.monotonic()
        (outcome,) = call(url, InvokeEndpoint(endpoint_name="e", body=bytes(30_000_000)), timeouts=Timeouts(idle=0.3))
        assert time.monotonic() - begun < 3.0
    failed = failure(outcome)
    assert (failed.kind, failed.phase, failed.delivery) == ("timeout", "send", "maybe_sent")


def echo(client: sockets.Client | on_urllib3.Client, text: str) -> bool:
    output = client.invoke_endpoint(endpoint_name="echo", body=text.encode())
    return b64decode(json.loads(output.body)["body"]) == text.encode()


BLOCKING: dict[str, Any] = {"sockets": sockets.Client, "urllib3": on_urllib3.Client}


@pytest.mark.parametrize("name", BLOCKING)
def test_threads_never_get_each_others_answers(name: str) -> None:
    with smruntime_local.serve() as endpoint:
        where = {"region": endpoint.region, "endpoint_url": endpoint.url, "credentials": endpoint.credentials}
        with BLOCKING[name](**where) as client:
            good: list[bool] = []
            threads = [Thread(target=lambda i=i: good.extend(echo(client, f"{i}-{k}") for k in range(50))) for i in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert good == [True] * 800


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("name", BLOCKING)
def test_a_forked_child_never_gets_its_parents_answers(name: str) -> None:
    program = """if True:
        import json, os, sys
        from base64 import b64decode
        import smruntime_core as sm
        from smruntime_transports import %s as transport
        keys = sm.Credentials(*sys.argv[2:5])
        with transport.Client(region="us-east-1", endpoint_url=sys.argv[1], credentials=keys) as client:
            def echo(text):
                output = client.invoke_endpoint(endpoint_name="echo", body=text.encode())
                return b64decode(json.loads(output.body)["body"]) == text.encode()
            assert echo("before")
            child = os.fork()
            good = all([echo(f"{child}-{k}") for k in range(60)])
            if not child:
                os._exit(not good)
            sys.exit(bool(os.waitpid(child, 0)[1]) or not good)
    """
    with smruntime_local.serve() as endpoint:
        keys = endpoint.credentials
        arguments = [endpoint.url, keys.access_key_id, keys.secret_access_key, keys.session_token or ""]
        line = [sys.executable, *(["-P"] if "-P" in sys.orig_argv else []), "-c", program % name, *arguments]
        assert subprocess.run(line, timeout=60, check=False).returncode == 0
