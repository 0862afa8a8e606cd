"""The async twin, shaped like aiobotocore: `get_session().create_client(...)`.

    async with get_session().create_client("sagemaker-runtime") as client:
        answer = await client.invoke_endpoint(EndpointName="iris", Body=b"5.1,3.5,1.4,0.2")
        async with answer["Body"] as body:
            print(await body.read())

It runs on asyncio and on trio.
"""

from __future__ import annotations

import os
from io import BytesIO
from types import TracebackType
from typing import Unpack

from smruntime_core import ConstructionError, Runtime, SmRuntimeError

from ..client import AsyncClient
from ..client._boundary import without_internals
from . import _types
from ._answers import async_answer, streamed_answer, whole_answer
from ._body import AioStreamingBody
from ._calls import BaseClient, construction_exception
from ._config import ClientArguments, make_settings, region_of_config
from ._event_stream import AioEventStream
from ._parameters import ASYNC, STREAM, WHOLE
from ._session import require_service

__all__ = [
    "AioEventStream",
    "AioSageMakerRuntimeClient",
    "AioSession",
    "AioStreamingBody",
    "ClientCreatorContext",
    "get_session",
]


class AioSageMakerRuntimeClient(BaseClient):
    """A client whose calls are awaited; see `SageMakerRuntimeClient`."""

    def __init__(self, client: AsyncClient, runtime: Runtime, config: object = None) -> None:
        super().__init__(client, runtime, config)
        self._client = client

    async def invoke_endpoint(
        self, **members: Unpack[_types.InvokeEndpointInput]
    ) -> _types.InvokeEndpointOutput[AioStreamingBody]:
        """Return the answer of a model, received completely."""
        maker = self._exception_maker(WHOLE, members)
        try:
            output = await self._client.call(WHOLE.make(members))
        except SmRuntimeError as error:
            del members
            raise maker(error) from error
        return whole_answer(
            output, AioStreamingBody(BytesIO(output.body), len(output.body)), self._max_attempts
        )

    async def invoke_endpoint_async(
        self, **members: Unpack[_types.InvokeEndpointAsyncInput]
    ) -> _types.InvokeEndpointAsyncOutput:
        """Return where the answer to a queued request will be stored."""
        maker = self._exception_maker(ASYNC, members)
        try:
            return async_answer(await self._client.call(ASYNC.make(members)), self._max_attempts)
        except SmRuntimeError as error:
            del members
            raise maker(error) from error

    async def invoke_endpoint_with_response_stream(
        self, **members: Unpack[_types.InvokeEndpointWithResponseStreamInput]
    ) -> _types.InvokeEndpointWithResponseStreamOutput[AioEventStream]:
        """Return the head of a streamed answer; `async for` over its `Body`."""
        maker = self._exception_maker(STREAM, members)
        try:
            stream = await self._client.stream(STREAM.make(members))
        except SmRuntimeError as error:
            del members
            raise maker(error) from error
        stream_maker = self._exception_maker(STREAM, members, streaming=True)
        return streamed_answer(
            stream.output, AioEventStream(stream, stream_maker), self._max_attempts
        )

    async def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        self._client.close()

    async def __aenter__(self) -> AioSageMakerRuntimeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.close()


class ClientCreatorContext:
    """A client that `async with` makes and closes."""

    def __init__(self, arguments: ClientArguments, profile: str | None) -> None:
        self._arguments = arguments
        self._profile = profile
        self._made_client: AioSageMakerRuntimeClient | None = None

    async def __aenter__(self) -> AioSageMakerRuntimeClient:
        try:
            client = AsyncClient(**make_settings(self._arguments, self._profile))
            runtime = await client._ready()
        except ConstructionError as refusal:
            raise without_internals(construction_exception(refusal, self._profile)) from None
        self._made_client = AioSageMakerRuntimeClient(client, runtime, self._arguments.config)
        return self._made_client

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._made_client is not None:
            await self._made_client.close()


class AioSession:
    """What makes clients, as aiobotocore's session; `profile` names a profile under ~/.aws."""

    def __init__(self, profile: str | None = None) -> None:
        self._profile = profile

    def create_client(
        self,
        service_name: str,
        region_name: str | None = None,
        api_version: str | None = None,
        use_ssl: bool | None = True,
        verify: bool | str | os.PathLike[str] | None = None,
        endpoint_url: str | None = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        config: object = None,
        aws_account_id: str | None = None,
    ) -> ClientCreatorContext:
        """Return what `async with` opens, with the arguments of `smruntime_transports.boto.client`.

        Entering raises the errors of that function.
        """
        require_service(service_name)
        arguments = ClientArguments(
            region_name or region_of_config(config),
            api_version,
            use_ssl,
            verify,
            endpoint_url,
            aws_access_key_id,
            aws_secret_access_key,
            aws_session_token,
            config,
        )
        return ClientCreatorContext(arguments, self._profile)


def get_session() -> AioSession:
    """Return a new session."""
    return AioSession()
