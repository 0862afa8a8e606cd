"""Stateful sessions, open for the length of a `with` block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypedDict, TypeVar, Unpack

from smruntime_core import (
    NEW_SESSION,
    ConstructionError,
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
from ._streams import OpeningStream, ResponseStream

if TYPE_CHECKING:
    from datetime import datetime

OutputT = TypeVar("OutputT", bound=Output)


FAREWELL = 5.0  # seconds to close a session in, though the task that used it is being cancelled


class Caller(Protocol):
    """A blocking client, as far as a session needs one."""

    def call(self, operation: Operation[OutputT]) -> OutputT: ...
    def stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> ResponseStream[InvokeEndpointWithResponseStreamOutput]: ...


class AsyncCaller(Protocol):
    """The same, awaited."""

    def call(self, operation: Operation[OutputT]) -> Awaitable[OutputT]: ...
    async def run_shielded(self, work: Callable[[], Awaitable[None]], seconds: float) -> None: ...
    def stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> OpeningStream[InvokeEndpointWithResponseStreamOutput]: ...


class SessionMembers(TypedDict, total=False):
    """The members of any call in a session: all but the endpoint, the session and the body."""

    content_type: str | None
    accept: str | None
    custom_attributes: str | None
    target_variant: str | None
    target_container_hostname: str | None
    inference_id: str | None
    inference_component_name: str | None
    prefix_aware_id: str | None


class _Named:
    """The calls of one session: `id` and `expires` (an aware time) are known while it is open."""

    def __init__(
        self, endpoint_name: str, opening: bytes, closing: bytes, members: SessionMembers
    ) -> None:
        self._endpoint_name = endpoint_name
        self._opening = opening
        self._closing = closing
        self._members = members
        self._named: SessionId | None = None

    @property
    def id(self) -> str:
        """What the service calls it; raises `ConstructionError` if it is not open."""
        return self._open().id

    @property
    def expires(self) -> datetime | None:
        """When the service will forget it; raises `ConstructionError` if it is not open."""
        return self._open().expires

    def _open(self) -> SessionId:
        if self._named is None:
            raise ConstructionError("session", "open: use it in a `with` block")
        return self._named

    def _not_open(self) -> None:
        if self._named is not None:
            raise ConstructionError("session", "opened once", f"{self._named.id} is open")

    def _first(self) -> InvokeEndpoint:
        return self._call(self._opening, NEW_SESSION, {"content_type": "application/json"})

    def _last(self) -> InvokeEndpoint:
        return self._call(self._closing, self.id, {"content_type": "application/json"})

    def _call(self, body: bytes, session_id: str, members: SessionMembers) -> InvokeEndpoint:
        given: SessionMembers = {**self._members, **members}
        return InvokeEndpoint(
            endpoint_name=self._endpoint_name, body=body, session_id=session_id, **given
        )

    def _streamed(self, body: bytes, members: SessionMembers) -> InvokeEndpointWithResponseStream:
        given: SessionMembers = {**self._members, **members}
        return InvokeEndpointWithResponseStream(
            endpoint_name=self._endpoint_name, body=body, session_id=self.id, **given
        )


class Session(_Named):
    """A session whose calls block. Leaving the `with` block closes it."""

    def __init__(
        self,
        client: Caller,
        endpoint_name: str,
        opening: bytes,
        closing: bytes,
        members: SessionMembers,
    ) -> None:
        super().__init__(endpoint_name, opening, closing, members)
        self._client = client

    @boundary
    def invoke_endpoint(
        self, *, body: bytes, **members: Unpack[SessionMembers]
    ) -> InvokeEndpointOutput:
        """Ask the container that keeps this session."""
        return self._client.call(self._call(body, self.id, members))

    invoke = invoke_endpoint

    @boundary
    def invoke_endpoint_with_response_stream(
        self, *, body: bytes, **members: Unpack[SessionMembers]
    ) -> ResponseStream[InvokeEndpointWithResponseStreamOutput]:
        """Ask it, and take the answer part by part."""
        return self._client.stream(self._streamed(body, members))

    @boundary
    def open(self) -> None:
        """Open it; `with` does. Raises `ResponseError` if the container opens none."""
        self._not_open()
        self._named = SessionId.of(self._client.call(self._first()))

    @boundary
    def close(self) -> None:
        """Close it, if it is open; `with` does."""
        if self._named is not None:
            last, self._named = self._last(), None
            self._client.call(last)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(
            *(() if error is None else (SmRuntimeError,))
        ):  # the first failure is the one to tell
            self.close()


class AsyncSession(_Named):
    """A session whose calls are awaited. Leaving the `async with` block closes it."""

    def __init__(
        self,
        client: AsyncCaller,
        endpoint_name: str,
        opening: bytes,
        closing: bytes,
        members: SessionMembers,
    ) -> None:
        super().__init__(endpoint_name, opening, closing, members)
        self._client = client

    @async_boundary
    async def invoke_endpoint(
        self, *, body: bytes, **members: Unpack[SessionMembers]
    ) -> InvokeEndpointOutput:
        """Ask the container that keeps this session."""
        return await self._client.call(self._call(body, self.id, members))

    invoke = invoke_endpoint

    @boundary
    def invoke_endpoint_with_response_stream(
        self, *, body: bytes, **members: Unpack[SessionMembers]
    ) -> OpeningStream[InvokeEndpointWithResponseStreamOutput]:
        """Ask it, and take the answer part by part."""
        return self._client.stream(self._streamed(body, members))

    @async_boundary
    async def open(self) -> None:
        """Open it; `async with` does. Raises `ResponseError` if the container opens none."""
        self._not_open()
        self._named = SessionId.of(await self._client.call(self._first()))

    @async_boundary
    async def close(self) -> None:
        """Close it, if it is open; `async with` does."""
        if self._named is not None:
            last, self._named = self._last(), None
            await self._client.call(last)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(
            *(() if error is None else (SmRuntimeError,))
        ):  # the first failure is the one to tell
            await self._client.run_shielded(self.close, FAREWELL)
