"""Use the `httpx.AsyncClient` that you have under the typed client.

The client decides what to send, signs it, and retries; httpx moves the bytes, with your proxies,
certificates, mocks, event hooks and instrumentation. httpx cannot say whether a request had left
when a write failed, so such a failure counts as `maybe_sent`, and is not retried unless the call is
`idempotent`. `docs/your-own-transport.md` has the same for requests, urllib3, aiohttp and others.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_csv, as_json
from smruntime_transports import AsyncClient
from smruntime_transports.http_clients.httpx import AsyncHttpxIO


async def main() -> None:
    sent: list[str] = []

    async def log(request: httpx.Request) -> None:
        sent.append(request.url.path)

    with smruntime_local.serve() as endpoint:
        async with (
            httpx.AsyncClient(trust_env=False, event_hooks={"request": [log]}) as http,
            AsyncClient(
                io=AsyncHttpxIO(http),
                region=endpoint.region,
                endpoint_url=endpoint.url,
                credentials=endpoint.credentials,
            ) as client,
        ):
            flower = as_csv([[5.1, 3.5, 1.4, 0.2]], accept="application/json")
            answer: Any = (await client.invoke_endpoint("iris", **flower)).json()
            print(answer["predictions"][0]["label"])

            output = await client.invoke_endpoint("flaky", body=b"again")
            print("attempts:", [attempt.outcome for attempt in output.metadata.attempts])

            prompt = as_json({"prompt": "The import", "max_tokens": 12}, accept="text/plain")
            async with client.invoke_endpoint_with_response_stream("ngram", **prompt) as stream:
                async for text in stream.text():
                    print(text, end="", flush=True)

            try:
                async with client.invoke_endpoint_with_response_stream(
                    "ngram", **prompt, custom_attributes="fault=close@3"
                ) as stream:
                    await stream.read()
            except sm.DispatchFailure as failure:
                print(f"\nbroke off: {failure.kind} in phase {failure.phase}")

            async with client.invoke_endpoint_with_response_stream(
                "ngram", **prompt, custom_attributes="delay=0.5"
            ) as stream:
                await anext(aiter(stream))  # one event; leaving closes the connection
        print(len(sent), "requests through httpx")


if __name__ == "__main__":
    asyncio.run(main())
