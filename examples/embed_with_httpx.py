"""Drive the flow over httpx: an IO that sends with the `httpx.AsyncClient` that you have.

The flow decides what to send, signs it, and retries; httpx moves the bytes, with your proxies,
certificates, mocks and instrumentation. The IO answers `Send`, `Open` and `Receive`; `AsyncClient`
answers the other effects (credentials, sleeping, files) on the running event loop.

httpx sends the request as it was signed only if it is made by `httpx.Request`, not by
`client.build_request`, which adds the client's own headers and parameters. httpx cannot say whether
a request had left when a write failed, so such a failure counts as `maybe_sent`, and is not
retried unless the call is `idempotent`. This IO reads whole bodies, whatever `max_body` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_csv, as_json
from smruntime_core.effects import Open, Receive, Send, StreamingResponse
from smruntime_core.errors import Delivery, Kind, Phase
from smruntime_transports import AsyncClient

# from the most specific: what broke, in which phase, and whether the request may have arrived
FAILURES: dict[type[httpx.HTTPError], tuple[Kind, Phase, Delivery]] = {
    httpx.PoolTimeout: ("timeout", "pool", "not_sent"),
    httpx.ConnectTimeout: ("timeout", "connect", "not_sent"),
    httpx.ConnectError: ("refused", "connect", "not_sent"),
    httpx.ProxyError: ("refused", "proxy", "not_sent"),
    httpx.WriteError: ("reset", "send", "maybe_sent"),
    httpx.WriteTimeout: ("timeout", "send", "maybe_sent"),
    httpx.ReadTimeout: ("timeout", "head", "maybe_sent"),
    httpx.HTTPError: ("closed", "head", "maybe_sent"),
}


def make_failure(error: httpx.HTTPError) -> sm.DispatchFailure:
    kind, phase, delivery = next(
        failure for error_type, failure in FAILURES.items() if isinstance(error, error_type)
    )
    message = str(error) or type(error).__name__
    return sm.DispatchFailure(message, kind=kind, phase=phase, delivery=delivery)


class HttpxBody:
    """A response body that is still to be read."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.parts: AsyncIterator[bytes] = response.aiter_raw()
        self.closing: asyncio.Task[None] | None = None

    def abort(self) -> None:
        if not self.response.is_closed and self.closing is None:
            self.closing = asyncio.ensure_future(self.response.aclose())


class HttpxIO:
    """An IO over the caller's `httpx.AsyncClient`, which stays the caller's to close."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def send(self, effect: Send) -> sm.Response:
        response = await self._start(effect)
        try:
            async with asyncio.timeout(effect.timeout):
                body = b"".join([part async for part in response.aiter_raw()])
        except (httpx.HTTPError, TimeoutError) as error:
            raise body_failure(error, response.status_code) from error
        finally:
            await response.aclose()
        return sm.Response(response.status_code, read_headers(response), body)

    async def open(self, effect: Open) -> StreamingResponse:
        response = await self._start(effect)
        return StreamingResponse(response.status_code, read_headers(response), HttpxBody(response))

    async def receive(self, effect: Receive) -> bytes:
        assert isinstance(effect.body, HttpxBody)
        try:
            async with asyncio.timeout(effect.timeout):
                return await anext(effect.body.parts, b"")
        except (httpx.HTTPError, TimeoutError) as error:
            raise body_failure(error, effect.body.response.status_code) from error

    async def _start(self, effect: Send | Open) -> httpx.Response:
        """Send the request unchanged and return the response when its head is complete."""
        phases = effect.phases
        limits = {
            "connect": phases.connect,
            "pool": phases.pool,
            "read": phases.response,
            "write": phases.idle,
        }
        request = httpx.Request(
            effect.request.method,
            effect.request.url,
            headers=list(effect.request.headers),
            content=bytes(effect.request.body),
            extensions={"timeout": limits},
        )
        try:
            async with asyncio.timeout(effect.timeout):
                return await self._client.send(request, stream=True, follow_redirects=False)
        except TimeoutError as error:
            raise sm.DispatchFailure(
                "no response in time", kind="timeout", phase="head", delivery="maybe_sent"
            ) from error
        except httpx.HTTPError as error:
            raise make_failure(error) from error


def read_headers(response: httpx.Response) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw
    )


def body_failure(error: Exception, status: int) -> sm.DispatchFailure:
    """Return the error of a body that broke off after the head had arrived."""
    kind: Kind = "timeout" if isinstance(error, TimeoutError | httpx.TimeoutException) else "closed"
    message = str(error) or type(error).__name__
    return sm.DispatchFailure(message, kind=kind, phase="body", delivery="answered", status=status)


async def main() -> None:
    sent: list[str] = []

    async def log(request: httpx.Request) -> None:
        sent.append(request.url.path)

    with smruntime_local.serve() as endpoint:
        async with (
            httpx.AsyncClient(trust_env=False, event_hooks={"request": [log]}) as http,
            AsyncClient(
                io=HttpxIO(http),
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
