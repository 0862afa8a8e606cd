"""The transports for httpx and httpx2, driven by these libraries without any SDK."""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio

import smruntime_core as sm
import smruntime_local
from smruntime_transports import AsyncClient, Client, urllib3

from . import sdk_models
from .sdk_models import TEXT, make_async_client, make_client, serve_models, settings_for

URL = "http://sagemaker/v1/chat/completions"
HELLO = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
ENDLESS = {**HELLO, "model": "endless", "stream": True}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with serve_models() as running:
        yield running


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param)


def transport_of(library: Any, client: Client, endpoint_name: Any = str, **members: Any) -> Any:
    module = importlib.import_module(f"smruntime_transports.openai.{library.__name__}")
    return module.SageMakerTransport(client, endpoint_name, **members)


def async_transport_of(library: Any, client: AsyncClient, **members: Any) -> Any:
    module = importlib.import_module(f"smruntime_transports.openai.{library.__name__}")
    return module.AsyncSageMakerTransport(client, str, **members)


@pytest.mark.parametrize("client_type", [Client, urllib3.Client])
def test_whole_and_streamed_answers(
    endpoint: smruntime_local.Endpoint, library: Any, client_type: type[Client]
) -> None:
    with client_type(**settings_for(endpoint)) as client:
        transport = transport_of(library, client)
        with library.Client(transport=transport) as http:
            answer = http.post(URL, json=HELLO)
            assert answer.json()["choices"][0]["message"]["content"] == TEXT
            assert answer.headers["x-amzn-requestid"] == answer.headers["x-request-id"]
            streamed = http.post(URL, json={**HELLO, "stream": True})
            assert streamed.headers["content-type"] == "text/event-stream"
            assert streamed.content.count(b"data: ") == 7
        # closed by `with`, as by an SDK that closes its client after a call
        with library.Client(transport=transport) as http:
            assert http.post(URL, json=HELLO).status_code == 200


def test_leaving_a_stream_closes_its_connection(
    endpoint: smruntime_local.Endpoint, library: Any
) -> None:
    with make_client(endpoint) as client:
        http = library.Client(transport=transport_of(library, client))
        with http.stream("POST", URL, json=ENDLESS) as answer:
            assert next(answer.iter_bytes())
        assert sdk_models.left_early.wait(10)


def test_timeouts_of_the_library_limit_each_wait(
    endpoint: smruntime_local.Endpoint, library: Any
) -> None:
    with make_client(endpoint) as client:
        http = library.Client(transport=transport_of(library, client))
        slow = library.Timeout(5, read=0.2)
        seen = endpoint.requests_seen
        endpoint.script("chat", smruntime_local.Delay(1))
        with pytest.raises(library.ReadTimeout, match=r"0.2 s.*maybe sent.*response=0.2"):
            http.post(URL, json=HELLO, timeout=slow)
        stalled = {"X-Amzn-SageMaker-Custom-Attributes": "fault=stall:1@2"}
        streamed = {**HELLO, "stream": True}
        with (
            http.stream("POST", URL, json=streamed, headers=stalled, timeout=slow) as answer,
            pytest.raises(library.ReadTimeout, match=r"idle=0.2"),
        ):
            answer.read()
        steady = {"X-Amzn-SageMaker-Custom-Attributes": "delay=0.1"}
        assert http.post(URL, json=streamed, headers=steady, timeout=slow).status_code == 200
        assert endpoint.requests_seen - seen == 3
        short = transport_of(library, client.with_options(timeout=0.2))
        with pytest.raises(library.ReadTimeout, match="total"):
            library.Client(transport=short).post(URL, json=streamed, headers=steady, timeout=60)


def test_refused_connection_is_a_connect_error(library: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = Client(
            region="eu-west-1",
            endpoint_url=f"http://127.0.0.1:{unused.getsockname()[1]}",
            credentials=sm.Credentials("AKIDEXAMPLE", "secret"),
            retries=sm.RetryPolicy(base_delay=0),
        )
        with pytest.raises(library.ConnectError, match="not sent") as found:
            library.Client(transport=transport_of(library, client)).post(URL, json=HELLO)
        assert isinstance(found.value.__cause__, sm.DispatchFailure)


def test_missing_credentials_are_an_answer_with_401(
    endpoint: smruntime_local.Endpoint, library: Any
) -> None:
    def no_credentials() -> sm.Credentials:
        raise sm.CredentialsError("the vault is closed")

    with Client(
        region="eu-west-1", endpoint_url=endpoint.url, credentials=no_credentials
    ) as client:
        answer = library.Client(transport=transport_of(library, client)).post(URL, json=HELLO)
    assert answer.status_code == 401
    assert "the vault is closed" in answer.json()["error"]["message"]


def test_retry_that_an_sdk_announces_is_not_sent(
    endpoint: smruntime_local.Endpoint, library: Any
) -> None:
    with make_client(endpoint) as client:
        http = library.Client(transport=transport_of(library, client))
        seen = endpoint.requests_seen
        endpoint.script("chat", smruntime_local.Delay(1))
        for retry in ("0", "1", "2"):
            headers = {"x-stainless-retry-count": retry}
            with pytest.raises(library.ReadTimeout):
                http.post(URL, json=HELLO, headers=headers, timeout=0.2)
        endpoint.script("chat", *[sm.ServiceUnavailable("busy")] * 3)
        for retry in ("0", "1"):
            headers = {"x-stainless-retry-count": retry}
            assert http.post(URL, json=HELLO, headers=headers).status_code == 503
        assert endpoint.requests_seen - seen == 4
        assert http.post(URL, json=HELLO).status_code == 200


def test_session_continues_by_argument_or_header_field(library: Any) -> None:
    with smruntime_local.serve() as endpoint, make_client(endpoint) as client:
        with client.session("chat") as session:
            kept = transport_of(library, client, "echo", session=session)
            answer = library.Client(transport=kept).post(URL, json=HELLO)
            assert answer.json()["session_id"] == session.id
        http = library.Client(transport=transport_of(library, client, "echo"))
        header = {"X-Amzn-SageMaker-Session-Id": "s-1"}
        assert http.post(URL, json=HELLO, headers=header).json()["session_id"] == "s-1"
        closed = library.Client(transport=kept).post(URL, json=HELLO)
        assert closed.status_code == 400
        assert "session: must be open" in closed.text


def test_threads_share_a_transport(endpoint: smruntime_local.Endpoint, library: Any) -> None:
    with make_client(endpoint) as client:
        http = library.Client(transport=transport_of(library, client, "echo"))
        answers: dict[int, str] = {}

        def call(number: int) -> None:
            attributes = {"X-Amzn-SageMaker-Custom-Attributes": f"call={number}"}
            for _ in range(5):
                answer = http.post(URL, json=HELLO, headers=attributes)
                answers[number] = answer.headers["x-amzn-sagemaker-custom-attributes"]

        threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == {number: f"call={number}" for number in range(8)}


def test_client_of_the_other_kind_is_refused(library: Any) -> None:
    with pytest.raises(sm.ConstructionError, match="AsyncSageMakerTransport takes AsyncClient"):
        # on purpose
        transport_of(library, AsyncClient(region="eu-west-1"))  # type: ignore[arg-type]
    with pytest.raises(sm.ConstructionError, match="SageMakerTransport takes Client"):
        # on purpose
        async_transport_of(library, Client(region="eu-west-1"))  # type: ignore[arg-type]


# Async.


def run_asyncio(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


LOOPS: dict[str, Callable[[Callable[[], Awaitable[None]]], None]] = {
    "asyncio": run_asyncio,
    "trio": trio.run,
}


async def sleep(loop: str, seconds: float) -> None:
    await (trio.sleep(seconds) if loop == "trio" else asyncio.sleep(seconds))


async def call_within(loop: str, seconds: float, call: Callable[[], Awaitable[object]]) -> bool:
    """Return whether `call` was cancelled after `seconds`."""
    if loop == "trio":
        with trio.move_on_after(seconds) as scope:
            await call()
        return scope.cancelled_caught
    try:
        async with asyncio.timeout(seconds):
            await call()
    except TimeoutError:
        return True
    return False


# httpx leaves generators of its own unfinished, which trio warns of
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("loop", LOOPS)
def test_async_answers_failures_and_cancellation(
    endpoint: smruntime_local.Endpoint, library: Any, loop: str
) -> None:
    async def work() -> None:
        async with make_async_client(endpoint) as client:
            http = library.AsyncClient(transport=async_transport_of(library, client))
            answer = await http.post(URL, json=HELLO)
            assert answer.json()["choices"][0]["message"]["content"] == TEXT
            streamed = await http.post(URL, json={**HELLO, "stream": True})
            assert streamed.content.endswith(b"data: [DONE]\n\n")
            refused = await http.post(URL.replace("chat/completions", "files"), json=HELLO)
            assert refused.status_code == 404

            seen = endpoint.requests_seen
            for retry in ("0", "1"):
                endpoint.script("chat", *[smruntime_local.Delay(1)] * (retry == "0"))
                headers = {"x-stainless-retry-count": retry}
                with pytest.raises(library.ReadTimeout):
                    await http.post(URL, json=HELLO, headers=headers, timeout=0.2)
            attributes = {"X-Amzn-SageMaker-Custom-Attributes": "fault=truncate@2"}
            with pytest.raises(library.RemoteProtocolError):
                await http.post(URL, json={**HELLO, "stream": True}, headers=attributes)

            endpoint.script("chat", smruntime_local.Delay(2))
            started = time.monotonic()
            assert await call_within(loop, 0.1, lambda: http.post(URL, json=HELLO, timeout=60))
            assert time.monotonic() - started < 1.5
            assert (await http.post(URL, json=HELLO)).status_code == 200
            assert endpoint.requests_seen - seen == 4
            async with http.stream("POST", URL, json=ENDLESS) as endless:
                async for _ in endless.aiter_bytes():
                    break
            for _ in range(100):
                if sdk_models.left_early.is_set():
                    break
                await sleep(loop, 0.1)
            assert sdk_models.left_early.is_set()

    LOOPS[loop](work)


def test_one_async_transport_serves_several_event_loops(
    endpoint: smruntime_local.Endpoint, library: Any
) -> None:
    client = make_async_client(endpoint)
    transport = async_transport_of(library, client)
    answers: list[Any] = []

    async def work() -> None:
        for _ in range(3):
            async with library.AsyncClient(transport=transport) as http:
                answer = await http.post(URL, json=HELLO)
                answers.append(json.loads(answer.content)["usage"])
                await http.post(URL, json={**HELLO, "stream": True})

    run_asyncio(work)  # one after the other
    threads = [threading.Thread(target=run_asyncio, args=(work,)) for _ in range(3)]
    for thread in threads:
        thread.start()  # and several at once
    for thread in threads:
        thread.join()
    client.close()
    assert answers == [sdk_models.USAGE] * 12
