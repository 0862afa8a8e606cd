"""The sync client."""

from __future__ import annotations

from io import BytesIO
from typing import Unpack

from smruntime_core import ConstructionError, SmRuntimeError

from ..client import Client
from ..client._boundary import without_internals
from . import _types
from ._answers import async_answer, streamed_answer, whole_answer
from ._body import StreamingBody
from ._calls import BaseClient, construction_exception
from ._config import ClientArguments, make_settings
from ._event_stream import EventStream
from ._parameters import ASYNC, STREAM, WHOLE


class SageMakerRuntimeClient(BaseClient):
    """A client with the methods of boto3's; threads may share it.

    Made by `client` and `Session.client`. Raises the exceptions of `exceptions`.
    """

    def __init__(self, client: Client, config: object = None) -> None:
        super().__init__(client, client._ready(), config)
        self._client = client

    def invoke_endpoint(
        self, **members: Unpack[_types.InvokeEndpointInput]
    ) -> _types.InvokeEndpointOutput[StreamingBody]:
        """Return the answer of a model, received completely."""
        maker = self._exception_maker(WHOLE, members)
        try:
            output = self._client.call(WHOLE.make(members))
        except SmRuntimeError as error:
            del members
            raise maker(error) from error
        return whole_answer(
            output, StreamingBody(BytesIO(output.body), len(output.body)), self._max_attempts
        )

    def invoke_endpoint_async(
        self, **members: Unpack[_types.InvokeEndpointAsyncInput]
    ) -> _types.InvokeEndpointAsyncOutput:
        """Return where the answer to a queued request will be stored."""
        maker = self._exception_maker(ASYNC, members)
        try:
            return async_answer(self._client.call(ASYNC.make(members)), self._max_attempts)
        except SmRuntimeError as error:
            del members
            raise maker(error) from error

    def invoke_endpoint_with_response_stream(
        self, **members: Unpack[_types.InvokeEndpointWithResponseStreamInput]
    ) -> _types.InvokeEndpointWithResponseStreamOutput[EventStream]:
        """Return the head of a streamed answer; iterate over its `Body`."""
        maker = self._exception_maker(STREAM, members)
        try:
            stream = self._client.stream(STREAM.make(members))
        except SmRuntimeError as error:
            del members
            raise maker(error) from error
        stream_maker = self._exception_maker(STREAM, members, streaming=True)
        body = EventStream(stream, stream_maker)
        return streamed_answer(stream.output, body, self._max_attempts)

    def close(self) -> None:
        """Close all connections; a later call opens new ones."""
        self._client.close()


def make_client(
    arguments: ClientArguments, profile: str | None = None, botocore_session: object = None
) -> SageMakerRuntimeClient:
    """Return a client; raises `NoRegionError`, `ProfileNotFound` or `ConstructionError`."""
    try:
        settings = make_settings(arguments, profile, botocore_session)
        return SageMakerRuntimeClient(Client(**settings), arguments.config)
    except ConstructionError as refusal:
        del arguments
        raise without_internals(construction_exception(refusal, profile)) from None
