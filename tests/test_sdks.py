"""Unmodified SDKs over the transports, against containers that speak their formats.

`tools/test-sdks` runs this in environments with the SDKs; `make test-all` has all eight.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from hypothesis import given

import smruntime_local

from . import sdk_models
from .sdk_adapters import ADAPTERS, BASE_URL, HELLO, Adapter
from .sdk_models import FAULTS, TEXT, VECTOR, WORDS, make_async_client, serve_models
from .test_openai_mapping import cut, places, sse_streams, unwrap

pytestmark = pytest.mark.filterwarnings("default")  # those of the SDKs are not ours


def is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # the parent of a submodule
        return False


# The SDKs of this environment, or those that tools/test-sdks names.
NAMES = [name for name in os.environ.get("SMRUNTIME_SDKS", "").split(",") if name] or [
    name for name, adapter_type in ADAPTERS.items() if is_installed(adapter_type.package)
]
if not NAMES:
    pytest.skip("no SDK is in this environment; see tools/test-sdks", allow_module_level=True)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with serve_models() as running:
        yield running


MakeAdapter = Callable[..., Adapter]


@pytest.fixture(params=NAMES)
def make(request: pytest.FixtureRequest, endpoint: smruntime_local.Endpoint) -> Iterator[Any]:
    adapter_type = ADAPTERS[request.param]
    made: list[Adapter] = []

    def make_adapter(**members: Any) -> Adapter:
        made.append(adapter_type(endpoint, **members))
        return made[-1]

    yield make_adapter
    for adapter in made:
        adapter.__exit__()


@pytest.fixture
def adapter(make: MakeAdapter) -> Adapter:
    return make()


def catch(call: Callable[[], object]) -> BaseException:
    """Return what `call` raises."""
    try:
        result = call()
    except Exception as error:
        return error
    pytest.fail(f"no exception, but {result!r}")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def type_names(error: BaseException) -> list[str]:
    return [error_type.__name__ for error_type in type(error).__mro__]


def test_chat(adapter: Adapter) -> None:
    assert adapter.chat() == TEXT


def test_async_chat_on_one_loop_after_another(adapter: Adapter) -> None:
    for _ in range(2):
        assert asyncio.run(adapter.chat_async()) == TEXT


def test_stream(adapter: Adapter) -> None:
    assert [piece for piece in adapter.stream() if piece] == list(WORDS)


@pytest.mark.parametrize("cutting", ["bytes", "inside", "random:7"])
def test_stream_in_parts_cut_anywhere(make: MakeAdapter, cutting: str) -> None:
    adapter = make(custom_attributes=f"cut={cutting}")
    assert [piece for piece in adapter.stream() if piece] == list(WORDS)


def test_stream_of_json_lines(adapter: Adapter) -> None:
    if adapter.package == "anthropic":
        pytest.skip("these lines are in OpenAI's format")
    adapter.model = "lines"
    adapter.prepare()
    assert [piece for piece in adapter.stream() if piece] == list(WORDS)


def test_tool_call(adapter: Adapter) -> None:
    name, arguments = adapter.tool()
    decoded = json.loads(arguments) if isinstance(arguments, str) else arguments
    assert (name, decoded) == ("weather", {"city": "Oslo"})


def test_usage(adapter: Adapter) -> None:
    assert adapter.usage() == 12


def test_embeddings(adapter: Adapter) -> None:
    if not adapter.can_embed:
        pytest.skip(f"{adapter.package} has no embeddings")
    assert adapter.embed() == VECTOR


@pytest.mark.parametrize("fault", FAULTS)
def test_error_is_of_the_sdk_s_type_and_not_retried_twice(
    adapter: Adapter, endpoint: smruntime_local.Endpoint, fault: str
) -> None:
    raised, status, request_count = FAULTS[fault]
    seen = endpoint.requests_seen
    endpoint.script(adapter.model, *[raised] * request_count)
    error = catch(adapter.chat)
    assert endpoint.requests_seen - seen == request_count
    found = next((e for e in chain(error) if adapter.errors[status] in type_names(e)), None)
    assert found is not None, [type_names(each) for each in chain(error)]
    statuses = [getattr(each, "status_code", None) for each in chain(error)]
    assert status in statuses
    answers = [getattr(each, "response", None) for each in chain(error)]
    request_ids = [answer.headers.get("x-request-id") for answer in answers if answer is not None]
    assert any(request_ids), "an exception of the chain has the answer with the request id"
    if raised.hint is not None and "container" not in fault:
        assert raised.hint in str(error)


@pytest.mark.parametrize("fault", ["ModelStreamError@2", "InternalStreamFailure@2", "error@2"])
def test_error_in_mid_stream(
    make: MakeAdapter, endpoint: smruntime_local.Endpoint, fault: str
) -> None:
    adapter = make(custom_attributes=f"fault={fault}")
    check_stream_error(adapter, endpoint, adapter.errors["failed"])


@pytest.mark.parametrize("fault", ["truncate@2", "close@2", "flip@2"])
def test_truncated_or_damaged_stream(
    make: MakeAdapter, endpoint: smruntime_local.Endpoint, fault: str
) -> None:
    adapter = make(custom_attributes=f"fault={fault}")
    check_stream_error(adapter, endpoint, adapter.errors["broken"])


def check_stream_error(
    adapter: Adapter, endpoint: smruntime_local.Endpoint, expected_type: str
) -> None:
    seen, pieces = endpoint.requests_seen, list[str]()
    error = catch(lambda: pieces.extend(adapter.stream()))
    assert any(expected_type in type_names(each) for each in chain(error)), [
        type_names(each) for each in chain(error)
    ]
    assert endpoint.requests_seen - seen == 1
    assert "".join(pieces) == "" or TEXT.startswith("".join(pieces))


def test_timeout_runs_the_model_once(make: MakeAdapter, endpoint: smruntime_local.Endpoint) -> None:
    adapter = make(timeout=0.3)
    seen = endpoint.requests_seen
    endpoint.script(adapter.model, smruntime_local.Delay(1))
    error = catch(adapter.chat)
    assert any(adapter.errors["timeout"] in type_names(each) for each in chain(error)), [
        type_names(each) for each in chain(error)
    ]
    assert endpoint.requests_seen - seen == 1


def test_cancellation_returns_at_once(adapter: Adapter, endpoint: smruntime_local.Endpoint) -> None:
    seen = endpoint.requests_seen

    async def cancel() -> float:
        assert await adapter.chat_async()
        endpoint.script(adapter.model, smruntime_local.Delay(3))
        task = asyncio.ensure_future(adapter.chat_async())
        await asyncio.sleep(0.3)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    calls_before = 2 if adapter.package == "instructor" else 1  # its `chat_async` makes two calls
    assert asyncio.run(cancel()) < 1
    assert endpoint.requests_seen - seen == calls_before + 1


def test_leaving_a_stream_ends_the_model(adapter: Adapter) -> None:
    if adapter.package == "anthropic":
        pytest.skip("the endless model speaks OpenAI's format")
    adapter.model = "endless"
    adapter.prepare()
    sdk_models.left_early.clear()
    pieces = cast("Any", adapter.stream())
    assert next(pieces)
    pieces.close()
    del pieces
    for _ in range(40):
        gc.collect()  # LiteLLM and llama-index leave their response to the garbage collector
        if sdk_models.left_early.wait(0.5):
            break
    assert sdk_models.left_early.is_set()


@pytest.mark.skipif("openai on httpx2" not in NAMES, reason="of openai and anthropic only")
@given(sse_streams(), places)
def test_sdks_read_the_same_events_however_a_stream_is_cut(
    content: bytes, part_cuts: list[int]
) -> None:
    pieces = unwrap(cut(content, part_cuts))
    ended = content if content.endswith(b"\n\n") else content + b"\n\n"
    for module in ("openai._streaming", "anthropic._streaming"):
        decoder_type: Any = importlib.import_module(module).SSEDecoder
        expected = [read(event) for event in decoder_type().iter_bytes(iter([ended]))]
        found = [read(event) for event in decoder_type().iter_bytes(iter(pieces))]
        assert found == expected, module


def read(event: Any) -> tuple[object, ...]:
    return event.event, event.data, event.id


@pytest.mark.skipif("strands" not in NAMES, reason="of strands only")
def test_strands_may_close_its_client(endpoint: smruntime_local.Endpoint) -> None:
    http: Any = importlib.import_module("httpx")
    transports: Any = importlib.import_module("smruntime_transports.openai.httpx")
    model_type: Any = importlib.import_module("strands.models.openai").OpenAIModel

    async def ask() -> None:
        async with make_async_client(endpoint) as client:
            transport = transports.AsyncSageMakerTransport(client, str)
            for _ in range(2):
                arguments = {
                    "base_url": BASE_URL,
                    "api_key": "-",
                    "http_client": http.AsyncClient(transport=transport),
                }
                model = model_type(client_args=arguments, model_id="chat")
                messages = [{"role": "user", "content": [{"text": "hi"}]}]
                assert [event async for event in model.stream(messages)]
                assert arguments["http_client"].is_closed

    asyncio.run(ask())


@pytest.mark.skipif("openai on httpx" not in NAMES, reason="of openai only")
def test_openai_lists_models_and_answers_responses_and_completions(
    endpoint: smruntime_local.Endpoint,
) -> None:
    with ADAPTERS["openai on httpx"](endpoint) as adapter:
        sdk = adapter.sdk
        assert [model.id for model in sdk.models.list()] == list(sdk_models.MODELS)
        assert sdk.models.retrieve("chat").id == "chat"
        assert sdk.responses.create(model="responses", input="hi").output_text == TEXT
        events = sdk.responses.create(model="responses", input="hi", stream=True)
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert deltas == list(WORDS)
        assert sdk.completions.create(model="completions", prompt="a").choices[0].text == TEXT
        chunks = sdk.completions.create(model="completions", prompt="a", stream=True)
        assert "".join(chunk.choices[0].text for chunk in chunks) == TEXT
        header = {"X-Amzn-SageMaker-Custom-Attributes": "trace=1"}
        sdk.chat.completions.create(model="chat", messages=HELLO, extra_headers=header)
        assert endpoint.calls[-1].custom_attributes == "trace=1"
        seen, error = endpoint.requests_seen, catch(sdk.files.list)
        assert type(error).__name__ == "NotFoundError"
        assert "SageMaker passes only the body" in str(error)
        upload = catch(lambda: sdk.files.create(file=b"x", purpose="batch"))
        assert type(upload).__name__ == "NotFoundError"
        assert endpoint.requests_seen == seen


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("openai")])
def test_async_openai_on_trio(endpoint: smruntime_local.Endpoint, name: str) -> None:
    import trio

    with ADAPTERS[name](endpoint) as adapter:

        async def work() -> None:
            assert await adapter.chat_async() == TEXT
            chunks = await adapter.async_sdk.chat.completions.create(
                model="chat", messages=HELLO, stream=True
            )
            text = [chunk.choices[0].delta.content async for chunk in chunks]
            assert "".join(filter(None, text)) == TEXT
            endpoint.script("chat", smruntime_local.Delay(3))
            seen = endpoint.requests_seen
            with trio.move_on_after(0.3) as scope:
                await adapter.chat_async()
            assert scope.cancelled_caught
            assert endpoint.requests_seen - seen == 1

        trio.run(work)
