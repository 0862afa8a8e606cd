"""Transports for httpx: OpenAI-style SDKs, unmodified, over InvokeEndpoint."""

from __future__ import annotations

from typing import Unpack

try:
    import httpx
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.openai.httpx needs httpx: pip install httpx"
    ) from _missing

from smruntime_core import Response

from ..client import AsyncClient, Client
from ._calls import AsyncCalls, AsyncEventBytes, Calls, EventBytes, encode_headers
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
        return httpx.Response(200, headers=headers, stream=_Body(answer))


class _Body(EventBytes, httpx.SyncByteStream):
    """The body of a streamed answer."""


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
        return httpx.Response(200, headers=headers, stream=_AsyncBody(answer))


class _AsyncBody(AsyncEventBytes, httpx.AsyncByteStream):
    """The body of a streamed answer."""
