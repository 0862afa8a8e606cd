"""Containers behind a URL: a server of this module plays the container, healthy or faulty."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import smruntime_local
from smruntime_core import (
    Credentials,
    InvokeEndpoint,
    ModelError,
    ModelStreamError,
    RetryPolicy,
    ServiceUnavailable,
)
from smruntime_local.models._backend import Backend
from smruntime_local.models._container import ContainerTimeout, Refusal
from smruntime_transports.sockets import Client

from .servers import scripted


class Container(BaseHTTPRequestHandler):
    """A container that behaves as the content type of the request says."""

    protocol_version = "HTTP/1.1"
    paused = threading.Event()

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/base/ping" else 404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers.get("Content-Type")
        if kind == "text/fail":
            self._answer(418, b"a teapot")
        elif kind == "text/stream":
            self._stream()
        else:
            seen = {name.lower(): value for name, value in self.headers.items()}
            self._answer(
                200, json.dumps({"path": self.path, "body": body.decode(), **seen}).encode()
            )

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "from=container")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"d\r\ndata: first\n\n\r\n")
        self.paused.wait(5)
        self.wfile.write(b"c\r\ndata: last\n\n\r\n0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def container() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Container)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/base"
    server.shutdown()
    server.server_close()


@contextmanager
def client_of(endpoint: smruntime_local.Endpoint) -> Iterator[Client]:
    once = RetryPolicy(max_attempts=1)
    with (
        endpoint,
        Client(
            region=endpoint.region,
            endpoint_url=endpoint.url,
            credentials=endpoint.credentials,
            retries=once,
        ) as client,
    ):
        yield client


def serve(url: str) -> smruntime_local.Endpoint:
    return smruntime_local.serve(backends={"mine": url})


def test_container_receives_the_headers_that_sagemaker_passes_on(container: str) -> None:
    with client_of(serve(container)) as client:
        answer = client.invoke_endpoint(
            endpoint_name="mine",
            body=b"1,2",
            content_type="text/csv",
            accept="application/json",
            custom_attributes="a=b",
            session_id="s",
            inference_id="i",
            target_model="m",
            target_variant="v",
        )
    seen = json.loads(answer.body)
    assert seen.pop("host") in container
    assert seen == {
        "path": "/base/invocations",
        "body": "1,2",
        "accept-encoding": "identity",
        "content-length": "3",
        "content-type": "text/csv",
        "accept": "application/json",
        "x-amzn-sagemaker-custom-attributes": "a=b",
        "x-amzn-sagemaker-session-id": "s",
        "x-amzn-sagemaker-inference-id": "i",
        "x-amzn-sagemaker-target-model": "m",
    }
    assert (answer.content_type, answer.custom_attributes) == ("application/json", "from=container")
    assert answer.invoked_production_variant == "AllTraffic"


def test_error_of_the_container_is_a_model_error(container: str) -> None:
    with (
        client_of(serve(container)) as client,
        pytest.raises(ModelError, match="a teapot") as caught,
    ):
        client.invoke_endpoint(endpoint_name="mine", body=b"", content_type="text/fail")
    assert (caught.value.original_status_code, caught.value.original_message) == (418, "a teapot")
    assert str(caught.value.log_stream_arn).endswith("/mine")


def test_streamed_parts_are_forwarded_as_they_arrive(container: str) -> None:
    Container.paused.clear()
    with (
        client_of(serve(container)) as client,
        client.invoke_endpoint_with_response_stream(
            endpoint_name="mine", body=b"", content_type="text/stream"
        ) as stream,
    ):
        events = stream.sse()
        assert (stream.content_type, next(events).data) == ("text/event-stream", "first")
        Container.paused.set()  # only now the container says the rest
        assert [event.data for event in events] == ["last"]


def test_container_that_does_not_listen_causes_a_warning_and_503() -> None:
    with socket.socket() as taken:
        taken.bind(
            ("127.0.0.1", 0)
        )  # bound and not listening: refuses, and no other process gets the port
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.warns(RuntimeWarning, match=r"mine at .* is not ready: it does not answer"):
            endpoint = serve(url)
        with client_of(endpoint) as client:
            for call in (client.invoke_endpoint, client.invoke_endpoint_with_response_stream):
                with pytest.raises(ServiceUnavailable, match="does not listen"):
                    call(endpoint_name="mine", body=b"")


@pytest.mark.parametrize("argument", ["backends", "endpoints"])
def test_warning_about_a_container_names_the_line_that_serves_it(argument: str) -> None:
    url = "http://127.0.0.1:9"
    model: Any = url if argument == "backends" else smruntime_local.EndpointConfig(model=url)
    models: dict[str, Any] = {argument: {"mine": model}}
    with pytest.warns(RuntimeWarning, match="not ready") as caught, smruntime_local.serve(**models):
        pass
    assert caught[0].filename == __file__


CALL = InvokeEndpoint(endpoint_name="e", body=b"1")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "closed connection without response"),
        (b"nonsense\r\n\r\n", "nonsense"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf", "cut short"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"4\r\nhalf\r\n",
            "IncompleteRead",
        ),
    ],
)
def test_incomplete_response_of_the_container_is_refused(answer: bytes, error: str) -> None:
    with scripted(answer) as server, pytest.raises(Refusal, match=error) as caught:
        list(Backend(server.url).respond(CALL).parts)
    assert caught.value.status == 0


def test_silent_container_times_out() -> None:
    with scripted(5.0) as server, pytest.raises(ContainerTimeout, match=r"0\.05 seconds"):
        Backend(server.url, timeout=0.05).respond(CALL)


def test_container_that_breaks_off_ends_the_stream_with_an_error() -> None:
    ping = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    attributes = b"X-Amzn-SageMaker-Custom-Attributes: caf\xe9\r\n"
    framing = b"Content-Length: 9\r\nConnection: close\r\n\r\n"
    half = b"HTTP/1.1 200 OK\r\n" + attributes + framing + b"half"
    with scripted(ping, half) as server:
        with pytest.warns(RuntimeWarning, match="it answers 503"):
            endpoint = serve(server.url)
        broken(endpoint)


def broken(endpoint: smruntime_local.Endpoint) -> None:
    with (
        client_of(endpoint) as client,
        client.invoke_endpoint_with_response_stream(endpoint_name="mine", body=b"") as stream,
    ):
        assert stream.custom_attributes is None  # no header of ours may say it
        events = stream.bytes()
        assert next(events) == b"half"
        with pytest.raises(ModelStreamError, match="cut short") as caught:
            next(events)
    assert caught.value.error_code == "StreamBroken"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("mine", "127.0.0.1:8080"),
        ("mine", "ftp://a"),
        ("mine", "http://"),
        ("mine", "http://a?b"),
        ("no_name", "http://127.0.0.1:1"),
    ],
)
def test_invalid_backend_url_is_refused(name: str, url: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        smruntime_local.serve(backends={name: url})


def test_command_line_prints_exports_and_stops_on_a_signal(container: str) -> None:
    command = [
        sys.executable,
        "-m",
        "smruntime_local",
        "--backend",
        f"mine={container}",
        "--cut",
        "bytes",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONWARNINGS": "error"}
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().removeprefix("export ").rstrip() for _ in range(6)]
            exported = dict(line.split("=", 1) for line in lines)
            credentials = Credentials(
                exported["AWS_ACCESS_KEY_ID"],
                exported["AWS_SECRET_ACCESS_KEY"],
                exported["AWS_SESSION_TOKEN"],
            )
            with Client(
                region=exported["AWS_REGION"],
                endpoint_url=exported["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"],
                credentials=credentials,
            ) as client:
                assert (
                    json.loads(client.invoke_endpoint(endpoint_name="mine", body=b"1").body)["body"]
                    == "1"
                )
                with client.invoke_endpoint_with_response_stream(
                    endpoint_name="chat", body=b"abc"
                ) as stream:
                    assert list(stream.bytes()) == [b"1", b" ", b"a", b"b", b"c", b"\n"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()


@pytest.mark.parametrize(
    "arguments", [["--backend", "mine"], ["--backend", "mine=nonsense"], ["--cut", "half"]]
)
def test_command_line_refuses_invalid_arguments(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "smruntime_local", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert "must be" in done.stderr
    assert "Traceback" not in done.stderr
