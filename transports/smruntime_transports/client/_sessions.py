"""Stateful sessions, open for the length of a `with` block."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Generic, Protocol, Self, TypedDict, TypeVar, Unpack

from smruntime_core import (
    NEW_SESSION,
    ConstructionError,
    DispatchFailure,
    InvokeEndpoint,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStreamOutput,
    Operation,
    Output,
    SmRuntimeError,
)
from smruntime_core.conversation import SessionId

from ._boundary import async_boundary, boundary
from ._streams import AsyncOnly, OpeningStream, ResponseStream

if TYPE_CHECKING:
    from datetime import datetime

ClientT = TypeVar("ClientT")
OutputT = TypeVar("OutputT", bound=Output)

CLOSING_TIME: Final = 5.0  # seconds that leaving a `with` block waits for the session to be closed


class SessionClient(Protocol):
    """A sync client, as far as a session uses it."""

    def call(self, operation: Operation[OutputT]) -> OutputT: ...
    def stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> ResponseStream[InvokeEndpointWithResponseStreamOutput]: ...
    def _with_time_limit(self, seconds: float) -> Self: ...


class AsyncSessionClient(Protocol):
    """An async client, as far as a session uses it."""

    def call(self, operation: Operation[OutputT]) -> Awaitable[OutputT]: ...
    def stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> OpeningStream[InvokeEndpointWithResponseStreamOutput]: ...
    async def _run_shielded(self, work: Callable[[], Awaitable[None]], seconds: float) -> None: ...


class SessionMembers(TypedDict, total=False):
    """The members of a call in a session: all but the endpoint, the session and the body."""

    content_type: str | None
    accept: str | None
    custom_attributes: str | None
    target_variant: str | None
    target_container_hostname: str | None
    inference_id: str | None
    inference_component_name: str | None
    prefix_aware_id: str | None


_JSON: Final[SessionMembers] = {"content_type": "application/json"}


class _SessionCalls(Generic[ClientT]):
    """The operations of one session; `id` and `expires` are known while it is open."""

    def __init__(
        self,
        client: ClientT,
        endpoint_name: str,
        opening: bytes,
        closing: bytes,
        members: SessionMembers,
    ) -> None:
        self._client = client
        self._endpoint_name = endpoint_name
        self._opening_body = opening
        self._closing_body = closing
        self._members = members
        self._session_id: SessionId | None = None

    @property
    def id(self) -> str:
        """The service's id of the session; raises `ConstructionError` if it is not open."""
        return self._require_open().id

    @property
    def expires(self) -> datetime | None:
        """When the session expires (aware); raises `ConstructionError` if it is not open."""
        return self._require_open().expires

    def __repr__(self) -> str:
        session = self._session_id
        state = "not open" if session is None else f"open until {session.expires}"
        return f"<{type(self).__name__} of endpoint {self._endpoint_name!r}, {state}>"

    def _require_open(self) -> SessionId:
        if self._session_id is None:
            block = "an `async with` block" if isinstance(self, AsyncOnly) else "a `with` block"
            raise ConstructionError("session", f"open: use it in {block}")
        return self._session_id

    def _require_closed(self) -> None:
        if self._session_id is not None:
            raise ConstructionError("session", "opened once", f"{self._session_id.id} is open")

    def _opening_call(self) -> InvokeEndpoint:
        return self._make_call(self._opening_body, NEW_SESSION, _JSON)

    def _take_closing(self) -> InvokeEndpoint | None:
        """Forget the session; return the operation that closes it, None if it was not open."""
        if self._session_id is None:
            return None
        closing_call = self._make_call(self._closing_body, self.id, _JSON)
        self._session_id = None
        return closing_call

    def _make_call(self, body: bytes, session_id: str, members: SessionMembers) -> InvokeEndpoint:
        all_members: SessionMembers = {**self._members, **members}
        return InvokeEndpoint(
            endpoint_name=self._endpoint_name, body=body, session_id=session_id, **all_members
        )

    def _streaming_call(
        self, body: bytes, members: SessionMembers
    ) -> InvokeEndpointWithResponseStream:
        all_members: SessionMembers = {**self._members, **members}
        return InvokeEndpointWithResponseStream(
            endpoint_name=self._endpoint_name, body=body, session_id=self.id, **all_members
        )


class Session(_SessionCalls[SessionClient]):
    """A session of a sync client.

    Leaving the `with` block closes it, within 5 s: a session that the server does not close by then
    expires by itself.
    """

    @boundary
    def invoke_endpoint(
        self, *, body: bytes, **members: Unpack[SessionMembers]
    ) -> InvokeEndpointOutput:
        """Invoke the container that holds this session; raises like `Client.call`."""
        return self._client.call(self._make_call(body, self.id, members))

    invoke = invoke_endpoint

    @boundary
    def invoke_endpoint_with_response_stream(
        self, *, body: bytes, **members: Unpack[SessionMembers]
    ) -> ResponseStream[InvokeEndpointWithResponseStreamOutput]:
        """Invoke the container and return its streamed response; raises like `Client.stream`."""
        return self._client.stream(self._streaming_call(body, members))

    @boundary
    def open(self) -> None:
        """Open the session, as `with` does; raises `ResponseError` if the container opens none."""
        self._require_closed()
        self._session_id = SessionId.of(self._client.call(self._opening_call()))

    @boundary
    def close(self) -> None:
        """Close the session if it is open; raises like `Client.call`."""
        self._close_with(self._client)

    def _close_with(self, client: SessionClient) -> None:
        closing_call = self._take_closing()
        if closing_call is not None:
            client.call(closing_call)

    @boundary
    def _close_in_time(self) -> None:
        closing_began = time.monotonic()
        try:
            self._close_with(self._client._with_time_limit(CLOSING_TIME))
        except DispatchFailure as failure:
            if failure.kind != "timeout" or time.monotonic() - closing_began < CLOSING_TIME:
                raise

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # the first failure is the one to raise
        with suppress(*(() if error is None else (SmRuntimeError,))):
            self._close_in_time()


class AsyncSession(AsyncOnly, _SessionCalls[AsyncSessionClient]):
    """A session of an async client; leaving the `async with` block closes it, as `Session`."""

    @async_boundary
    async def invoke_endpoint(
        self, *, body: bytes, **members: Unpack[SessionMembers]
    ) -> InvokeEndpointOutput:
        """Invoke the container that holds this session; raises like `AsyncClient.call`."""
        return await self._client.call(self._make_call(body, self.id, members))

    invoke = invoke_endpoint

    @boundary
    def invoke_endpoint_with_response_stream(
        self, *, body: bytes, **members: Unpack[SessionMembers]
    ) -> OpeningStream[InvokeEndpointWithResponseStreamOutput]:
        """Invoke the container and return its streamed response, which `async with` opens."""
        return self._client.stream(self._streaming_call(body, members))

    @async_boundary
    async def open(self) -> None:
        """Open the session, as `async with` does; raises `ResponseError` if none is opened."""
        self._require_closed()
        self._session_id = SessionId.of(await self._client.call(self._opening_call()))

    @async_boundary
    async def close(self) -> None:
        """Close the session if it is open; raises like `AsyncClient.call`."""
        closing_call = self._take_closing()
        if closing_call is not None:
            await self._client.call(closing_call)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # the first failure is the one to raise
        with suppress(*(() if error is None else (SmRuntimeError,))):
            await self._client._run_shielded(self.close, CLOSING_TIME)
