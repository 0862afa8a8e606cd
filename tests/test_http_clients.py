"""The typed clients over the HTTP library of the caller: what works, what is sent, what fails.

The contract is played for the faults that `docs/faults.md` shows as passed; `make fault-table` and
`make test-all` play all of it.
"""

from __future__ import annotations

import asyncio
import builtins
import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.http_exceptions
import anyio
import httpx
import httpx2
import pytest
import requests
import trustme
import urllib3
import urllib3.exceptions

import smruntime_core as sm
import smruntime_local
from smruntime_core.effects import Send
from smruntime_core.testing import CONTRACT
from smruntime_transports import AsyncClient, Client
from smruntime_transports.http_clients import EXCEPTIONS, explain
from smruntime_transports.http_clients import aiohttp as over_aiohttp
from smruntime_transports.http_clients import httpx as over_httpx
from smruntime_transports.http_clients import httpx2 as over_httpx2
from smruntime_transports.http_clients import requests as over_requests
from smruntime_transports.http_clients import urllib3 as over_urllib3

from .callers import CREDENTIALS, IRIS
from .library_ios import AWAITED_LIBRARIES, BLOCKING_LIBRARIES, OVER_LIBRARIES, read_passed_faults
from .matrix import run, run_all
from .servers import OK, Peer, acting, scripted

IN_CI = ("over httpx", "over async httpx", "over requests")
# A server that closes or resets a connection while a request leaves: what a library reports depends
# on which comes first.
RACING = {"12", "14"}
LIBRARIES = [*BLOCKING_LIBRARIES, *AWAITED_LIBRARIES]
BIG = bytes(range(256)) * 4096  # longer than one piece
ROOT = Path(__file__).parents[1]


def settings_of(endpoint: smruntime_local.Endpoint) -> dict[str, Any]:
    return {
        "region": endpoint.region,
        "endpoint_url": endpoint.url,
        "s3_endpoint_url": endpoint.url,
        "credentials": endpoint.credentials,
    }


def at(url: str, **settings: Any) -> dict[str, Any]:
    return {"region": "us-east-1", "endpoint_url": url, "credentials": CREDENTIALS, **settings}


def use(
    library: str,
    settings: dict[str, Any],
    blocking: Callable[[Client], Any],
    awaited: Callable[[AsyncClient], Any],
) -> Any:
    """Return what `blocking` or `awaited` does with a client over `library`."""
    if library in BLOCKING_LIBRARIES:
        with BLOCKING_LIBRARIES[library](**settings) as client:
            return blocking(client)
    make, loop = AWAITED_LIBRARIES[library]

    async def main() -> Any:
        async with make(**settings) as client:
            return await awaited(client)

    return loop.run(main)


def call(library: str, settings: dict[str, Any], operation: sm.InvokeEndpoint = IRIS) -> Any:
    return use(library, settings, lambda c: c.call(operation), lambda c: c.call(operation))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve(models={"mirror": lambda call: bytes(call.body)}) as served:
        yield served


# ── the contract ──


def test_contract_holds_but_for_what_the_library_lets_through() -> None:
    passed = {library: read_passed_faults(library) for library in IN_CI}
    pairs = [
        (library, scenario)
        for library in IN_CI
        for scenario in CONTRACT
        if scenario.fault in passed[library] - RACING
    ]
    matrix = run_all(pairs, OVER_LIBRARIES)
    late = [pair for pair in pairs if matrix.runs[pair[0], str(pair[1])].wrong]
    assert len(pairs) > 600
    assert len(late) < 20, {str(pair[1]) for pair in late}
    again = [run(*pair, OVER_LIBRARIES) for pair in late]  # alone: a busy machine makes calls late
    assert not [
        f"{pair[0]}, {pair[1]}: {played.wrong}"
        for pair, played in zip(late, again, strict=True)
        if played.wrong
    ]
    assert not matrix.left


# ── every feature of the typed client ──


@pytest.mark.parametrize("library", LIBRARIES)
def test_call_is_retried_after_a_busy_answer(
    library: str, endpoint: smruntime_local.Endpoint
) -> None:
    operation = sm.InvokeEndpoint("flaky", body=b"again", target_model=library.replace(" ", "-"))
    output = call(library, settings_of(endpoint), operation)
    assert output.metadata.attempts[-1].outcome == "ok"
    assert len(output.metadata.attempts) > 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_error_of_the_model_is_typed(library: str, endpoint: smruntime_local.Endpoint) -> None:
    operation = sm.InvokeEndpoint("iris", body=b"five,three", content_type="text/csv")
    with pytest.raises(sm.ModelError):
        call(library, settings_of(endpoint), operation)


PROMPT = sm.InvokeEndpointWithResponseStream(
    "ngram",
    body=b'{"prompt": "The import", "max_tokens": 12, "seed": 7}',
    content_type="application/json",
    accept="text/plain",
)


# httpx's generators are nested; trio complains of the inner ones, which only httpx could close
@pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("library", LIBRARIES)
def test_stream_is_read_as_it_arrives_and_may_be_left_early(
    library: str, endpoint: smruntime_local.Endpoint
) -> None:
    """The library's client has one connection: leaving a stream must give it back."""

    def blocking(client: Client) -> tuple[str, bytes]:
        with client.stream(PROMPT.replace(custom_attributes="delay=0.2")) as stream:
            next(stream.text())
        with client.stream(PROMPT) as stream:
            text = "".join(stream.text())
        return text, client.invoke_endpoint("mirror", body=b"after").body

    async def awaited(client: AsyncClient) -> tuple[str, bytes]:
        async with client.stream(PROMPT.replace(custom_attributes="delay=0.2")) as stream:
            await anext(aiter(stream.text()))
        async with client.stream(PROMPT) as stream:
            text = "".join([part async for part in stream.text()])
        return text, (await client.invoke_endpoint("mirror", body=b"after")).body

    text, after = use(library, settings_of(endpoint), blocking, awaited)
    assert len(text.split()) > 5
    assert after == b"after"


@pytest.mark.parametrize("library", LIBRARIES)
def test_session_and_job(library: str, endpoint: smruntime_local.Endpoint) -> None:
    def blocking(client: Client) -> tuple[bytes, bytes]:
        with client.session("chat") as session:
            said = session.invoke(body=b"hello").body
        return said, client.invoke_endpoint_async(**job).result(timeout=20).body

    async def awaited(client: AsyncClient) -> tuple[bytes, bytes]:
        async with client.session("chat") as session:
            said = (await session.invoke(body=b"hello")).body
        accepted = await client.invoke_endpoint_async(**job)
        return said, (await accepted.result(timeout=20)).body

    endpoint.put("s3://measurements/today.csv", b"5.1,3.5,1.4,0.2")
    job: dict[str, Any] = {
        "endpoint_name": "iris",
        "input_location": "s3://measurements/today.csv",
        "content_type": "text/csv",
        "accept": "application/json",
    }
    said, answer = use(library, settings_of(endpoint), blocking, awaited)
    assert said
    assert b"setosa" in answer


@pytest.mark.parametrize("library", LIBRARIES)
def test_bodies_from_files_and_large_ones(
    library: str, endpoint: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"skipped" + BIG)
    settings = settings_of(endpoint)
    with path.open("rb") as file:
        file.seek(7)
        assert call(library, settings, sm.InvokeEndpoint("mirror", body=file)).body == BIG
    pieces = sm.InvokeEndpoint("mirror", body=iter([BIG, b"end"]))
    assert call(library, settings, pieces).body == BIG + b"end"
    view = sm.InvokeEndpoint("mirror", body=memoryview(bytearray(BIG)))
    assert call(library, settings, view).body == BIG


@pytest.mark.parametrize("library", LIBRARIES)
def test_file_that_shrinks_during_the_call_is_an_error_of_ours(
    library: str, tmp_path: Path
) -> None:
    class Shrinking(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            return super().read(size) if self.reads < 8 else b""

    with scripted(OK) as server, pytest.raises(sm.ConstructionError, match="shorter"):
        call(library, at(server.url), sm.InvokeEndpoint("e", body=Shrinking(BIG * 3)))


# ── what is sent ──


@pytest.mark.parametrize("library", LIBRARIES)
def test_request_is_sent_as_it_was_signed(library: str) -> None:
    with scripted(OK) as server:
        call(library, at(server.url))
        head = server.requests[0].partition(b"\r\n\r\n")[0].decode()
    line, *fields = head.split("\r\n")
    assert line == "POST /endpoints/iris/invocations HTTP/1.1"
    names = sorted(field.partition(":")[0].lower() for field in fields)
    allowed = ["accept-encoding"] if library == "over requests" else []
    assert names == sorted(
        [
            *("amz-sdk-invocation-id", "amz-sdk-request", "authorization", "content-length"),
            *("content-type", "host", "user-agent", "x-amz-date", "x-amz-security-token"),
            *allowed,
        ]
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_url_is_sent_as_it_was_signed(library: str) -> None:
    paths = ["/a%20b/%C3%A9%27(~)*", "/a+b/c%2Fd", "/a//b", "/x?versionId=a%2Bb&c="]

    def request(server: Any, path: str) -> Send:
        return Send(sm.Request("GET", server.url + path), 5.0)

    with scripted(*[OK] * len(paths)) as server:

        def blocking(client: Client) -> None:
            for path in paths:
                send(client, request(server, path))

        async def awaited(client: AsyncClient) -> None:
            for path in paths:
                await send(client, request(server, path))

        use(library, at(server.url), blocking, awaited)
        sent = [request.split(b" ")[1].decode() for request in server.requests]
    assert sent == paths


def session_with_proxy(url: str) -> requests.Session:
    session = requests.Session()
    session.proxies = {"http": url, "https": url}
    return session


PROXIED: dict[str, tuple[Callable[[str], Any], Callable[[Any], object]]] = {
    "httpx": (lambda url: httpx.Client(proxy=url), over_httpx.HttpxIO),
    "httpx2": (lambda url: httpx2.Client(proxy=url), over_httpx2.HttpxIO),
    "requests": (session_with_proxy, over_requests.RequestsIO),
    "urllib3": (urllib3.ProxyManager, over_urllib3.Urllib3IO),
    "async httpx": (lambda url: httpx.AsyncClient(proxy=url), over_httpx.AsyncHttpxIO),
    "async httpx2": (lambda url: httpx2.AsyncClient(proxy=url), over_httpx2.AsyncHttpxIO),
    "aiohttp": (lambda url: aiohttp.ClientSession(proxy=url), over_aiohttp.AiohttpIO),
}


@pytest.mark.parametrize("library", PROXIED)
def test_calls_use_the_proxy_of_the_client_and_credentials_do_not(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's credentials must not travel through a proxy."""
    make, make_io = PROXIED[library]
    keys = {"AccessKeyId": "AKIDOFCONTAINER", "SecretAccessKey": "secret", "Token": "token"}
    document = json.dumps({**keys, "Expiration": "2099-01-01T00:00:00Z"}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(document), document)

    async def call_async() -> bytes:
        async with make(proxy.url) as library_client:
            client = AsyncClient(io=make_io(library_client), **settings)
            return bytes((await client.call(IRIS)).body)

    def call_blocking() -> bytes:
        with make(proxy.url) as library_client:
            return Client(io=make_io(library_client), **settings).call(IRIS).body

    settings: dict[str, Any] = {"region": "us-east-1", "endpoint_url": "http://sagemaker.invalid"}
    with scripted(OK) as proxy, scripted(answer) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/role")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        is_async = "async" in library or library == "aiohttp"
        assert (asyncio.run(call_async()) if is_async else call_blocking()) == b"abc"
    assert container.requests[0].startswith(b"GET /role HTTP/1.1")
    (proxied,) = proxy.requests
    assert proxied.startswith(b"POST http://sagemaker.invalid/endpoints/iris/invocations HTTP/1.1")
    assert b"Credential=AKIDOFCONTAINER/" in proxied


@pytest.mark.parametrize("library", LIBRARIES)
def test_location_outside_s3_is_refused(library: str) -> None:
    request = Send(sm.Request("GET", "https://elsewhere.example/x"), public=True)
    with pytest.raises(sm.ConstructionError, match=r"location.*without `io`"):
        use(
            library,
            at("http://127.0.0.1:9"),
            lambda c: send(c, request),
            lambda c: send(c, request),
        )


def send(client: Any, effect: Send) -> Any:
    """Answer one effect with the IO under a client."""
    return client._given_io.send(effect)


# ── time limits ──


def pausing(*steps: bytes | float) -> Callable[[Peer], None]:
    def act(peer: Peer) -> None:
        peer.read()
        for step in steps:
            if isinstance(step, float):
                time.sleep(step)
            else:
                peer.send(step)
        peer.idle()

    return act


NINE = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"


@pytest.mark.parametrize("library", LIBRARIES)
def test_pause_in_a_body_is_limited_by_idle_alone(library: str) -> None:
    """`timeouts.response` ends with the head, in libraries with one limit for every read too."""
    patient = at("", timeouts=sm.Timeouts(response=0.4, idle=5.0))
    with acting(pausing(NINE + b"abc", 0.8, b"defghi")) as server:
        assert call(library, {**patient, "endpoint_url": server.url}).body == b"abcdefghi"
    hasty = at("", timeouts=sm.Timeouts(response=5.0, idle=0.4))
    with acting(pausing(NINE + b"abc")) as server, pytest.raises(sm.DispatchFailure) as caught:
        call(library, {**hasty, "endpoint_url": server.url})
    failure = caught.value
    found = (failure.kind, failure.phase, failure.delivery, failure.status)
    assert found == ("timeout", "body", "answered", 200)


@pytest.mark.parametrize("library", LIBRARIES)
def test_timeout_of_the_head_is_maybe_sent_and_not_retried(library: str) -> None:
    settings = at("", timeouts=sm.Timeouts(response=0.3))
    with acting(pausing()) as server, pytest.raises(sm.DispatchFailure) as caught:
        call(library, {**settings, "endpoint_url": server.url})
    failure = caught.value
    assert (failure.kind, failure.phase, failure.delivery) == ("timeout", "head", "maybe_sent")
    assert len(failure.metadata.attempts) == 1


@pytest.mark.parametrize("library", AWAITED_LIBRARIES)
def test_cancelled_call_leaves_no_task_and_frees_the_connection(library: str) -> None:
    make, loop = AWAITED_LIBRARIES[library]

    async def main(url: str) -> bytes:
        before = loop.tasks()
        async with make(**at(url)) as client:
            with anyio.move_on_after(0.3):
                await client.call(IRIS)
            output = await client.call(IRIS)
        assert loop.tasks() == before
        return bytes(output.body)

    with scripted(5.0, OK, OK) as server:
        server_url = server.url
        assert loop.run(partial(main, server_url)) == b"abc"


# ── what fails ──


@pytest.mark.parametrize("library", LIBRARIES)
def test_refused_connection_is_not_sent_and_retried(library: str) -> None:
    with scripted() as server:
        url = server.url
    retries = sm.RetryPolicy(base_delay=0.0)
    with pytest.raises(sm.DispatchFailure) as caught:
        call(library, at(url, retries=retries))
    failure = caught.value
    assert (failure.kind, failure.phase, failure.delivery) == ("refused", "connect", "not_sent")
    assert len(failure.metadata.attempts) == 3


@pytest.mark.parametrize("library", LIBRARIES)
def test_unknown_host_fails_in_phase_resolve(library: str) -> None:
    with pytest.raises(sm.DispatchFailure) as caught:
        call(library, at("http://no-such-host.invalid", retries=sm.RetryPolicy(max_attempts=1)))
    assert (caught.value.phase, caught.value.delivery) == ("resolve", "not_sent")


@pytest.mark.parametrize("library", LIBRARIES)
def test_untrusted_certificate_is_not_sent(library: str, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with scripted(OK, tls=context) as server:
        with pytest.raises(sm.DispatchFailure) as caught:
            call(library, at(server.url))
        assert not server.requests
    failure = caught.value
    assert (failure.kind, failure.phase, failure.delivery) == ("tls", "tls", "not_sent")
    assert len(failure.metadata.attempts) == 1


@pytest.mark.parametrize(
    ("client", "io", "remedy"),
    [
        (Client, over_httpx.AsyncHttpxIO(httpx.AsyncClient()), "or use AsyncClient"),
        (AsyncClient, over_httpx.HttpxIO(httpx.Client()), "or use Client"),
        (AsyncClient, over_requests.RequestsIO(requests.Session()), "or use Client"),
        (AsyncClient, over_urllib3.Urllib3IO(urllib3.PoolManager()), "or use Client"),
    ],
)
def test_io_of_the_other_kind_is_refused_before_anything_is_sent(
    client: Callable[..., Any], io: object, remedy: str
) -> None:
    with pytest.raises(sm.ConstructionError, match=remedy):
        client(io=io, region="us-east-1")


def test_page_has_the_table_of_exceptions() -> None:
    page = (ROOT / "docs" / "your-own-transport.md").read_text("utf-8")
    rows = [
        f"| `{name}` | {row.kind} | {row.phase or '–'} | {row.delivery or '–'} |"
        for name, row in EXCEPTIONS.items()
    ]
    assert page.rstrip().splitlines()[-len(rows) :] == rows


def test_every_exception_of_the_table_exists() -> None:
    """Each name is that of a class of some library, so a misspelt row fails."""
    modules = (builtins, socket, ssl, http.client, httpx, httpx2, urllib3.exceptions, aiohttp)
    named = {name for module in modules for name in vars(module)} | set(
        dir(aiohttp.http_exceptions)
    )
    assert set(EXCEPTIONS) - named == set()


def test_failure_that_the_caller_is_handling_is_no_cause() -> None:
    """Otherwise a call inside an `except` block could count as not sent."""
    try:
        raise ConnectionRefusedError
    except ConnectionRefusedError:
        try:
            raise httpx.ReadError("cut")
        except httpx.ReadError as error:
            failure = explain(error)
    assert isinstance(failure, sm.DispatchFailure)
    assert (failure.kind, failure.delivery) == ("reset", "maybe_sent")


@pytest.mark.parametrize(
    ("io_class", "wrong", "expected"),
    [
        (over_httpx.HttpxIO, object(), "an httpx.Client"),
        (over_httpx.AsyncHttpxIO, httpx.Client(), "an httpx.AsyncClient"),
        (over_httpx2.HttpxIO, httpx.Client(), "an httpx2.Client"),
        (over_requests.RequestsIO, requests, "a requests.Session"),
        (over_urllib3.Urllib3IO, None, "a urllib3.PoolManager"),
        (over_aiohttp.AiohttpIO, None, "an aiohttp.ClientSession"),
    ],
)
def test_wrong_client_is_refused_when_the_io_is_made(
    io_class: Callable[[Any], object], wrong: object, expected: str
) -> None:
    with pytest.raises(sm.ConstructionError, match=f"must be {expected}"):
        io_class(wrong)
