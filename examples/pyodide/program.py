"""The core in a browser's Python: an IO over `fetch`. `run.py` and `run.mjs` start it.

The core has no dependencies and opens no socket, so it runs where there are none. A page would get
short-lived credentials from its own server; SageMaker Runtime sends no CORS headers, so a page also
needs a proxy that adds them (`signing_host=` is for that).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from typing import Any

import js  # Pyodide's: the global objects of JavaScript
from pyodide.ffi import JsException, to_js

import smruntime_core as sm
from smruntime_core.codecs import as_csv, as_json
from smruntime_core.effects import GetCredentials, Open, Receive, Send, Sleep, StreamingResponse
from smruntime_core.payload import TextDecoder


class FetchBody:
    """A response body that is still to be read."""

    def __init__(self, response: Any, controller: Any) -> None:
        self.reader = response.body.getReader()
        self.abort = controller.abort


class FetchIO:
    def __init__(self, credentials: sm.Credentials) -> None:
        self._credentials = credentials

    async def credentials(self, effect: GetCredentials) -> sm.Credentials:
        return self._credentials

    async def sleep(self, effect: Sleep) -> None:
        await asyncio.sleep(effect.seconds)

    async def send(self, effect: Send) -> sm.Response:
        opened = await self.open(effect)
        parts = []
        while part := await self.receive(Receive(opened.body, phases=effect.phases)):
            parts.append(part)
        return sm.Response(opened.status, opened.headers, b"".join(parts))

    async def open(self, effect: Open | Send) -> StreamingResponse:
        controller = js.AbortController.new()
        request = {
            "method": effect.request.method,
            "headers": dict(effect.request.headers),
            "body": effect.request.body,
            "redirect": "manual",
            "signal": controller.signal,
        }
        options = to_js(request, dict_converter=js.Object.fromEntries)
        seconds = effect.timeout or effect.phases.response
        try:
            async with asyncio.timeout(seconds):
                response = await js.fetch(effect.request.url, options)
        except TimeoutError as error:
            controller.abort()
            raise sm.DispatchFailure(
                f"no response in {seconds} s", kind="timeout", phase="head", delivery="maybe_sent"
            ) from error
        except JsException as error:  # fetch does not say what went wrong
            raise sm.DispatchFailure(
                str(error), kind="closed", phase="head", delivery="maybe_sent"
            ) from error
        headers = tuple((str(name), str(value)) for name, value in response.headers)
        return StreamingResponse(response.status, headers, FetchBody(response, controller))

    async def receive(self, effect: Receive) -> bytes:
        assert isinstance(effect.body, FetchBody)
        try:
            async with asyncio.timeout(effect.timeout or effect.phases.idle):
                piece = await effect.body.reader.read()
        except (TimeoutError, JsException) as error:
            effect.body.abort()
            raise sm.DispatchFailure(
                str(error) or "no data in time",
                kind="timeout" if isinstance(error, TimeoutError) else "closed",
                phase="body",
                delivery="answered",
            ) from error
        return b"" if piece.done else piece.value.to_bytes()


async def main() -> None:
    credentials = sm.Credentials(
        os.environ["AWS_ACCESS_KEY_ID"],
        os.environ["AWS_SECRET_ACCESS_KEY"],
        os.environ["AWS_SESSION_TOKEN"],
    )
    io = FetchIO(credentials)
    config = sm.Config(
        region=os.environ["AWS_REGION"],
        endpoint_url=os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"],
    )
    runtime = sm.Runtime(config, clock=time, random=random.random)
    print(f"Python {sys.version.split()[0]} on {sys.platform}")

    flower = as_csv([[5.1, 3.5, 1.4, 0.2]], accept="application/json")
    output = await sm.run_async(runtime.call(sm.InvokeEndpoint("iris", **flower)), io)
    print(output.json())

    flaky = sm.InvokeEndpoint("flaky", body=b"again")
    output = await sm.run_async(runtime.call(flaky), io)
    print("attempts:", [attempt.outcome for attempt in output.metadata.attempts])

    prompt = as_json({"prompt": "The import", "max_tokens": 12, "seed": 7}, accept="text/plain")
    question = sm.InvokeEndpointWithResponseStream("ngram", **prompt)
    stream = await sm.run_async(runtime.stream(question), io)
    decoder = TextDecoder()
    pieces: list[str] = []
    while True:
        pieces += stream.decoded(decoder)
        if stream.ended:
            break
        await sm.run_async(stream.more(), io)
    print(len(pieces), "pieces:", "".join(pieces))
