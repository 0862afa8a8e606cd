"""Calls through nginx, which terminates TLS, closes and refuses, and through tinyproxy.

Both are in front of the local endpoint. They are started where they are installed; with
SMRUNTIME_REAL_PARTS=1, as on the build server, they must be.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

import smruntime_local
from smruntime_core import (
    DispatchFailure,
    InvokeEndpoint,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    RetryPolicy,
    ServiceError,
)

from .callers import Performer, Step
from .servers import OK, Peer, acting

THRICE = RetryPolicy(base_delay=0.0)
ECHO = InvokeEndpoint(endpoint_name="echo", body=b"1,2,3")
PASSWORD = "hush-hush"

NGINX = """
daemon off; master_process off; pid {where}/pid; error_log {where}/error.log;
events {{}}
http {{
  access_log off; client_body_temp_path {where}/a; proxy_temp_path {where}/b;
  fastcgi_temp_path {where}/c; uwsgi_temp_path {where}/d; scgi_temp_path {where}/e;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {where}/server.pem; ssl_certificate_key {where}/server.pem;
    ssl_protocols TLSv1.2 TLSv1.3; keepalive_requests 2; client_max_body_size 1m;
    location /endpoints/cut/ {{ return 444; }}
    location /endpoints/half/ {{ proxy_pass http://127.0.0.1:{dying}; proxy_buffering off; }}
    location / {{
      proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host;
      proxy_buffering off;
    }}
  }}
}}
"""
TINYPROXY = """
Port {port}
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 60
MaxClients 50
{auth}
"""


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if found is None:
        if os.environ.get("SMRUNTIME_REAL_PARTS") == "1":
            pytest.fail(f"{name} must be installed here")
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


@contextmanager
def running(port: int, *line: str) -> Iterator[None]:
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                with socket.socket() as probe:
                    if not probe.connect_ex(("127.0.0.1", port)):
                        break
                assert process.poll() is None, f"{line[0]} ended with status {process.returncode}"
                time.sleep(0.05)
            yield
        finally:
            while process.poll() is None:  # tinyproxy misses a signal as it begins to wait
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Any]:
    with smruntime_local.serve() as served:
        yield served


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def half(peer: Peer) -> None:
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


@pytest.fixture(scope="module")
def nginx(
    endpoint: Any, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Yield the URL of an nginx with TLS, two requests a connection and bodies up to 1 MB.

    It closes the connection on the endpoint `cut`, and within the response on `half`.
    """
    binary, where, port = program("nginx"), tmp_path_factory.mktemp("nginx"), free_port()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        str(where / "server.pem")
    )
    with acting(half) as dying:
        text = NGINX.format(
            where=where, port=port, upstream=endpoint.url, dying=dying.url.rpartition(":")[2]
        )
        (where / "nginx.conf").write_text(text)
        with running(
            port,
            binary,
            "-p",
            str(where),
            "-c",
            str(where / "nginx.conf"),
            "-e",
            str(where / "error.log"),
        ):
            yield f"https://localhost:{port}"


@contextmanager
def tinyproxy(where: Path, auth: str = "") -> Iterator[str]:
    binary, port = program("tinyproxy"), free_port()
    (where / "tinyproxy.conf").write_text(TINYPROXY.format(port=port, auth=auth))
    with running(port, binary, "-d", "-c", str(where / "tinyproxy.conf")):
        yield f"127.0.0.1:{port}"


# ── nginx ──


def test_nginx_forwards_calls_with_valid_signatures(
    perform: Performer, nginx: str, endpoint: Any, trusting: ssl.SSLContext
) -> None:
    """More calls than it serves on one connection; the endpoint verifies the signatures."""
    outcomes = perform(nginx, *[Step(ECHO)] * 5, credentials=endpoint.credentials, tls=trusting)
    assert all(isinstance(outcome, InvokeEndpointOutput) for outcome in outcomes), outcomes


def test_nginx_forwards_a_stream(
    perform: Performer, nginx: str, endpoint: Any, trusting: ssl.SSLContext
) -> None:
    told = InvokeEndpointWithResponseStream(endpoint_name="echo", body=b"once upon a time")
    parts, again = perform(
        nginx, Step(told), Step(told), credentials=endpoint.credentials, tls=trusting
    )
    assert b"".join(parts)
    assert not isinstance(again, Exception), again


def test_nginx_that_closes_without_a_response_is_not_retried(
    perform: Performer, nginx: str, endpoint: Any, trusting: ssl.SSLContext
) -> None:
    step = Step(InvokeEndpoint(endpoint_name="cut", body=b"1"))
    (outcome,) = perform(
        nginx, step, credentials=endpoint.credentials, tls=trusting, retries=THRICE
    )
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("closed", "head", "maybe_sent")
    assert len(outcome.metadata.attempts) == 1


def test_nginx_that_loses_its_upstream_truncates_the_response(
    perform: Performer, nginx: str, endpoint: Any, trusting: ssl.SSLContext
) -> None:
    step = Step(InvokeEndpoint(endpoint_name="half", body=b"1"))
    (outcome,) = perform(
        nginx, step, credentials=endpoint.credentials, tls=trusting, retries=THRICE
    )
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("truncated", "body", "answered")


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_nginx_refuses_25_mb_with_413(
    perform: Performer,
    nginx: str,
    endpoint: Any,
    trusting: ssl.SSLContext,
    tmp_path: Path,
    kind: str,
) -> None:
    (tmp_path / "big").write_bytes(bytes(25_000_000))
    with (tmp_path / "big").open("rb") as file:
        step = Step(
            InvokeEndpoint(endpoint_name="echo", body=file if kind == "file" else bytes(25_000_000))
        )
        refused, taken = perform(
            nginx, step, Step(ECHO), credentials=endpoint.credentials, tls=trusting, retries=THRICE
        )
    assert isinstance(refused, ServiceError), refused
    assert refused.status == 413
    assert len(refused.metadata.attempts) == 1
    assert isinstance(taken, InvokeEndpointOutput), taken


# ── tinyproxy ──


def test_tinyproxy_tunnels_tls_to_nginx(
    perform: Performer, nginx: str, endpoint: Any, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    with tinyproxy(tmp_path) as where:
        outcomes = perform(
            nginx,
            *[Step(ECHO)] * 3,
            credentials=endpoint.credentials,
            tls=trusting,
            proxy=f"http://{where}",
        )
    assert all(isinstance(outcome, InvokeEndpointOutput) for outcome in outcomes), outcomes


def test_tinyproxy_tunnels_plain_http(perform: Performer, endpoint: Any, tmp_path: Path) -> None:
    with tinyproxy(tmp_path) as where:
        (outcome,) = perform(
            endpoint.url, Step(ECHO), credentials=endpoint.credentials, proxy=f"http://{where}"
        )
    assert isinstance(outcome, InvokeEndpointOutput), outcome


def test_tinyproxy_refuses_a_wrong_password_once(
    perform: Performer, endpoint: Any, tmp_path: Path
) -> None:
    with tinyproxy(tmp_path, f"BasicAuth me {PASSWORD}") as where:
        settings = {"credentials": endpoint.credentials, "retries": THRICE}
        (right,) = perform(
            endpoint.url, Step(ECHO), proxy=f"http://me:{PASSWORD}@{where}", **settings
        )
        assert isinstance(right, InvokeEndpointOutput), right
        for user in ("", f"other:{PASSWORD}@"):
            (wrong,) = perform(endpoint.url, Step(ECHO), proxy=f"http://{user}{where}", **settings)
            assert isinstance(wrong, DispatchFailure), wrong
            assert (wrong.phase, wrong.delivery, len(wrong.metadata.attempts)) == (
                "proxy",
                "not_sent",
                1,
            )
            assert PASSWORD not in str(wrong)


def test_unknown_host_behind_tinyproxy_fails_before_the_request_is_sent(
    perform: Performer, tmp_path: Path
) -> None:
    with tinyproxy(tmp_path) as where:
        (outcome,) = perform(
            "https://absent.invalid", proxy=f"http://{where}", retries=RetryPolicy(max_attempts=1)
        )
    assert isinstance(outcome, DispatchFailure)
    assert (outcome.phase, outcome.delivery) == ("proxy", "not_sent")


def test_upload_stops_when_refused_through_tinyproxy(perform: Performer, tmp_path: Path) -> None:
    def act(peer: Peer) -> None:
        peer.read_part(1_000_000)
        peer.send(OK.replace(b"200 OK", b"413 x"))
        peer.idle()

    with acting(act) as stage, tinyproxy(tmp_path) as where:
        step = Step(InvokeEndpoint(endpoint_name="e", body=bytes(25_000_000)))
        (outcome,) = perform(stage.url, step, proxy=f"http://{where}", retries=THRICE)
        assert len(stage.requests) == stage.connections == 1
    assert isinstance(outcome, ServiceError), outcome
    assert outcome.status == 413
