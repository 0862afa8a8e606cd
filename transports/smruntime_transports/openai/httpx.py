"""Transports for httpx: OpenAI-style SDKs, unmodified, over InvokeEndpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Unpack

try:
    import httpx
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.openai.httpx needs httpx: pip install httpx"
    ) from _missing

from smruntime_core import Response

from ..client import AsyncClient, Client
from ._calls import AsyncCalls, AsyncOpenStream, Calls, OpenStream, encode_headers
from ._request_mapping import CallMembers, EndpointName

__all__ = ["AsyncSageMakerTransport", "SageMakerTransport"]


class SageMakerTransport(httpx.BaseTransport):
    """A transport of `httpx.Client` that calls a SageMaker endpoint with `client`.

        client          a `Client`, over sockets, urllib3 or an IO of yours
        endpoint_name   name of the endpoint, or a function from the request's `model` to it
        members         further members of each call, see `smruntime_transports.openai.CallMembers`

    Closing it does nothing, so an SDK may close it and use it again: close `client` instead.
    Raises `ConstructionError` for members that SageMaker would refuse.
    """

    def __init__(
        self, client: Client, endpoint_name: EndpointName, **members: Unpack[CallMembers]
    ) -> None:
        self._calls = Calls(httpx, client, endpoint_name, members)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer to one request; raises the `TransportError` of the same kind."""
        answer = self._calls.perform(request)
        headers = encode_headers(answer.headers)
        if isinstance(answer, Response):
            return httpx.Response(answer.status, headers=headers, content=answer.body)
        return httpx.Response(200, headers=headers, stream=_Body(self._calls, answer))


class _Body(httpx.SyncByteStream):
    def __init__(self, calls: Calls, answer: OpenStream) -> None:
        self._calls = calls
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._calls.read_parts(self._answer)

    def close(self) -> None:
        self._answer.stream.close()


class AsyncSageMakerTransport(httpx.AsyncBaseTransport):
    """A transport of `httpx.AsyncClient` on asyncio or trio; see `SageMakerTransport`.

    `client` is an `AsyncClient`. Cancelling a request closes its connection.
    """

    def __init__(
        self, client: AsyncClient, endpoint_name: EndpointName, **members: Unpack[CallMembers]
    ) -> None:
        self._calls = AsyncCalls(httpx, client, endpoint_name, members)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer to one request; raises the `TransportError` of the same kind."""
        answer = await self._calls.perform(request)
        headers = encode_headers(answer.headers)
        if isinstance(answer, Response):
            return httpx.Response(answer.status, headers=headers, content=answer.body)
        return httpx.Response(200, headers=headers, stream=_AsyncBody(self._calls, answer))


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, calls: AsyncCalls, answer: AsyncOpenStream) -> None:
        self._calls = calls
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._calls.read_parts(self._answer)

    async def aclose(self) -> None:
        self._answer.stream.close()
