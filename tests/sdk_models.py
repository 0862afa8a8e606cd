"""Containers that speak the formats of OpenAI and Anthropic, and an endpoint that has them.

SageMaker drops the path, so each format is an endpoint of its own: `chat`, `completions`,
`embeddings`, `responses` and `messages`; `lines` is `chat` with a stream of JSON lines, as DJL
sends it, and `failing` answers with the error that the call asks for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import smruntime_core as sm
import smruntime_local
from smruntime_core.payload import ServerSentEvent, encode_sse
from smruntime_local import Call
from smruntime_transports import AsyncClient, Client, Settings

WORDS: Final = ("The ", "sea ", "is ", "naïve", " 海.")
TEXT: Final = "".join(WORDS)
USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
VECTOR: Final = [0.25, -0.5, 1.0]
EVENT_STREAM: Final = "text/event-stream"

left_early = threading.Event()  # a stream was closed before its end


def _sse(document: object, event: str = "message") -> bytes:
    return encode_sse(ServerSentEvent(json.dumps(document, ensure_ascii=False), event=event))


def _tool_call(request: Any) -> dict[str, object] | None:
    """Return a call of the first tool of a request without a tool's answer, else None."""
    tools, messages = request.get("tools"), request["messages"]
    if not tools or messages[-1]["role"] == "tool":
        return None
    name = tools[0]["function"]["name"]
    properties = tools[0]["function"]["parameters"].get("properties", {})
    arguments = {
        key: 3 if value.get("type") in ("integer", "number") else "Oslo"
        for key, value in properties.items()
    }
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


def _chat_chunks(request: Any) -> Iterator[dict[str, object]]:
    head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "chat"}
    tool_call = _tool_call(request)
    if tool_call is not None:
        deltas: list[dict[str, object]] = [
            {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **tool_call}]}
        ]
    else:
        deltas = [{"role": "assistant", "content": word} for word in WORDS]
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    reason = "tool_calls" if tool_call else "stop"
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    if request.get("stream_options", {}).get("include_usage"):
        yield {**head, "choices": [], "usage": USAGE}


def _whole_chat(request: Any) -> dict[str, object]:
    tool_call = _tool_call(request)
    message: dict[str, object] = {"role": "assistant", "content": None if tool_call else TEXT}
    if tool_call:
        message["tool_calls"] = [tool_call]
    reason = "tool_calls" if tool_call else "stop"
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "chat",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": USAGE,
    }


def _stream_events(parts: Iterator[bytes]) -> Generator[bytes]:
    try:
        yield from parts
    except GeneratorExit:
        left_early.set()
        raise


def chat(call: Call) -> object:
    request: Any = call.json()
    if not request.get("stream"):
        return _whole_chat(request)
    left_early.clear()
    events = [*map(_sse, _chat_chunks(request)), b"data: [DONE]\n\n"]
    return _stream_events(iter(events))


def endless(call: Call) -> object:
    """Return a chat that goes on until the caller leaves."""

    def repeat() -> Iterator[bytes]:
        first_chunk = next(_chat_chunks(call.json()))
        while True:
            yield _sse(first_chunk)

    left_early.clear()
    return _stream_events(repeat())


def lines(call: Call) -> object:
    request: Any = call.json()
    return _chat_chunks(request) if request.get("stream") else _whole_chat(request)


def completions(call: Call) -> object:
    request: Any = call.json()
    head = {"id": "t-1", "object": "text_completion", "created": 1, "model": "completions"}
    choice = {"index": 0, "logprobs": None}
    if not request.get("stream"):
        whole = {**choice, "text": TEXT, "finish_reason": "stop"}
        return {**head, "choices": [whole], "usage": USAGE}
    pieces = [{**head, "choices": [{**choice, "text": w, "finish_reason": None}]} for w in WORDS]
    return iter([*map(_sse, pieces), b"data: [DONE]\n\n"])


def embeddings(call: Call) -> object:
    request: Any = call.json()
    inputs = request["input"] if isinstance(request["input"], list) else [request["input"]]
    data = [
        {"object": "embedding", "index": index, "embedding": VECTOR} for index in range(len(inputs))
    ]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return {"object": "list", "data": data, "model": "embeddings", "usage": usage}


def responses(call: Call) -> object:
    request: Any = call.json()
    text = {"type": "output_text", "text": TEXT, "annotations": []}
    message = {
        "type": "message",
        "id": "m-1",
        "role": "assistant",
        "status": "completed",
        "content": [text],
    }
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    usage_details = {
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    whole = {
        "id": "r-1",
        "object": "response",
        "created_at": 1,
        "model": "responses",
        "status": "completed",
        "output": [message],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": {**usage, **usage_details},
    }
    if not request.get("stream"):
        return whole
    place = {"item_id": "m-1", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.output_text.delta", "sequence_number": number, "delta": word, **place}
        for number, word in enumerate(WORDS)
    ]
    events.append({"type": "response.completed", "sequence_number": 9, "response": whole})
    return iter([_sse(event, event["type"]) for event in events])


def messages(call: Call) -> object:
    request: Any = call.json()
    usage = {"input_tokens": 7, "output_tokens": 5}
    head = {
        "id": "msg-1",
        "type": "message",
        "role": "assistant",
        "model": "messages",
        "stop_sequence": None,
    }
    tools = request.get("tools")
    content: dict[str, object] = {"type": "text", "text": TEXT}
    if tools:
        tool_input = {"city": "Oslo"}
        content = {"type": "tool_use", "id": "t-1", "name": tools[0]["name"], "input": tool_input}
    stop_reason = "tool_use" if tools else "end_turn"
    if not request.get("stream"):
        return {**head, "content": [content], "stop_reason": stop_reason, "usage": usage}
    started: dict[str, object] = {**head, "content": [], "stop_reason": None, "usage": usage}
    empty = {**content, "input": {}} if tools else {**content, "text": ""}
    deltas: list[dict[str, object]] = [{"type": "text_delta", "text": word} for word in WORDS]
    if tools:
        deltas = [{"type": "input_json_delta", "partial_json": '{"city": "Oslo"}'}]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": None},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]
    return iter([_sse(event, event["type"]) for event in events])


MODELS: Final = {
    "chat": chat,
    "endless": endless,
    "lines": lines,
    "completions": completions,
    "embeddings": embeddings,
    "responses": responses,
    "messages": messages,
}


@contextmanager
def serve_models() -> Iterator[smruntime_local.Endpoint]:
    """Serve the models, each at the endpoint of its name."""
    with smruntime_local.serve(models=MODELS) as endpoint:
        yield endpoint


def settings_for(endpoint: smruntime_local.Endpoint) -> Settings:
    """Return the settings of a client that loses no time between attempts."""
    return Settings(
        region=endpoint.region,
        endpoint_url=endpoint.url,
        credentials=endpoint.credentials,
        retries=sm.RetryPolicy(base_delay=0, throttling_delay=0, capacity=10**6),
    )


def make_client(endpoint: smruntime_local.Endpoint) -> Client:
    return Client(**settings_for(endpoint))


def make_async_client(endpoint: smruntime_local.Endpoint) -> AsyncClient:
    return AsyncClient(**settings_for(endpoint))


def model_error(status: int, message: str) -> sm.ModelError:
    """Return the error with which SageMaker relays one of the container."""
    error = sm.ModelError(
        f'Received client error ({status}) from primary with message "{message}". See '
        "https://example.com in account 123456789012 for more information."
    )
    error.original_status_code, error.original_message = status, message
    return error


# What the service answers, the status that an SDK sees, and the requests that the client makes:
# three where it retries, one elsewhere.
FAULTS: Final[dict[str, tuple[sm.ServiceError, int, int]]] = {
    "400 by the container": (model_error(400, '{"error": {"message": "bad"}}'), 400, 1),
    "400 by the service": (sm.ValidationError("Endpoint x of account 1 not found."), 400, 1),
    "403": (sm.ServiceError("no", code="AccessDeniedException", status=403), 403, 1),
    "424": (model_error(0, "the container gave no answer"), 424, 1),
    "429 by the container": (model_error(429, '{"error": {"message": "slow down"}}'), 429, 1),
    "429 by the service": (
        sm.ServiceError("slow down", code="ThrottlingException", status=429),
        429,
        3,
    ),
    "500": (sm.InternalFailure("broken"), 500, 3),
    "503": (sm.ServiceUnavailable("busy"), 503, 3),
}
