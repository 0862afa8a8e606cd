"""A request of an SDK performed with a client: what the transports for httpx and httpx2 share.

`library` is the module httpx or httpx2, whose exceptions have the same names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, Self, TypeAlias, TypeVar, cast

from smruntime_core import (
    ConstructionError,
    InvokeEndpoint,
    InvokeEndpointWithResponseStreamOutput,
    Request,
    Response,
    Runtime,
    SmRuntimeError,
    Timeouts,
    run,
    run_async,
)
from smruntime_core.effects import Flow

from ..client import AsyncClient, AsyncResponseStream, Client, ResponseStream
from ..client._client_calls import AwaitedCalls, BlockingCalls, CallClient
from ._answers import Headers, TransportFailure, answer_error, answer_output, make_headers
from ._events import EventUnwrapper
from ._failures import FailureMemory
from ._request_mapping import CallMembers, EndpointName, Plan, RequestMapping

if TYPE_CHECKING:
    from collections.abc import Callable

Streamed: TypeAlias = "ResponseStream[InvokeEndpointWithResponseStreamOutput]"
AsyncStreamed: TypeAlias = "AsyncResponseStream[InvokeEndpointWithResponseStreamOutput]"
StreamT = TypeVar("StreamT")
RawHeaders: TypeAlias = "list[tuple[bytes, bytes]]"

EVENT_STREAM_TYPE = "text/event-stream"


class LibraryHeaders(Protocol):
    """Header fields of httpx and httpx2."""

    def multi_items(self) -> list[tuple[str, str]]: ...


class LibraryRequest(Protocol):
    """A request of httpx and httpx2."""

    @property
    def method(self) -> str: ...
    @property
    def url(self) -> object: ...
    @property
    def headers(self) -> LibraryHeaders: ...
    @property
    def extensions(self) -> Any: ...
    def read(self) -> bytes: ...
    async def aread(self) -> bytes: ...


class OpenStream(NamedTuple, Generic[StreamT]):
    """A streamed answer that has begun."""

    library: ModuleType
    headers: Headers
    stream: StreamT
    unwrapper: EventUnwrapper


class EventBytes:
    """The body of a streamed answer; errors are raised as exceptions of the library."""

    def __init__(self, answer: OpenStream[Streamed]) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        library, _, stream, unwrapper = self._answer
        try:
            for part in stream.bytes():
                if events := unwrapper.receive_data(part):
                    yield events
            yield unwrapper.receive_eof()
        except SmRuntimeError as error:
            yield _end_stream(library, unwrapper, error)

    def close(self) -> None:
        """Close the connection unless the answer was read to its end."""
        self._answer.stream.close()


class AsyncEventBytes:
    """The same, read by `async for`; unlike an async generator it needs no closing."""

    def __init__(self, answer: OpenStream[AsyncStreamed]) -> None:
        self._answer = answer
        self._parts = answer.stream.bytes()
        self._has_ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        library, _, _, unwrapper = self._answer
        try:
            while not self._has_ended:
                part = await anext(self._parts, None)
                self._has_ended = part is None
                events = unwrapper.receive_eof() if part is None else unwrapper.receive_data(part)
                if events:
                    return events
        except SmRuntimeError as error:
            self._has_ended = True
            return _end_stream(library, unwrapper, error)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection unless the answer was read to its end."""
        self._answer.stream.close()


class _Calls:
    """The calls of one client; the conversation is that of both kinds of clients."""

    def __init__(
        self,
        library: ModuleType,
        client: Client | AsyncClient,
        endpoint_name: EndpointName,
        members: CallMembers,
    ) -> None:
        self._library = library
        self._client = client
        self._mapping = RequestMapping(endpoint_name, members)
        self._failures = FailureMemory()

    def _flow(self, request: LibraryRequest, body: bytes) -> Flow[Response | OpenStream[Any]]:
        """Return the answer to a request; raises the library's exception if there is none."""
        plan = self._mapping.plan(_to_request(request, body))
        if isinstance(plan, Response):
            return plan
        failure, cause = self._failures.find(plan), None
        if failure is None:
            try:
                return (yield from self._call(plan, request))
            except SmRuntimeError as error:
                failure, cause = self._failures.keep(plan, answer_error(error, plan.dialect)), error
        if isinstance(failure, Response):
            return failure
        raise _make_error(self._library, failure) from cause

    def _call(self, plan: Plan, request: LibraryRequest) -> Flow[Response | OpenStream[Any]]:
        """Make the call of a plan, within the time limits of the request."""
        runtime: Runtime = yield from CallClient(self._client._ready)
        timeouts = _read_timeouts(request, runtime.options.timeouts)
        client, operation = self._client.with_options(timeouts=timeouts), plan.operation
        if isinstance(operation, InvokeEndpoint):
            return answer_output((yield from CallClient(lambda: client.call(operation))))
        stream: Streamed | AsyncStreamed = yield from CallClient(lambda: client.stream(operation))
        headers = make_headers(EVENT_STREAM_TYPE, stream.metadata)
        unwrapper = EventUnwrapper(stream.content_type, plan.dialect)
        return OpenStream(self._library, headers, stream, unwrapper)


class Calls(_Calls):
    """The calls of a sync client."""

    def __init__(
        self, library: ModuleType, client: Client, endpoint_name: EndpointName, members: CallMembers
    ) -> None:
        if not isinstance(client, Client):
            raise ConstructionError("client", "a Client; AsyncSageMakerTransport takes AsyncClient")
        super().__init__(library, client, endpoint_name, members)

    def perform(self, request: LibraryRequest) -> Response | OpenStream[Streamed]:
        """Return the answer to a request; raises the library's exception if there is none."""
        return run(self._flow(request, request.read()), BlockingCalls())


class AsyncCalls(_Calls):
    """The calls of an async client, on any number of event loops."""

    def __init__(
        self,
        library: ModuleType,
        client: AsyncClient,
        endpoint_name: EndpointName,
        members: CallMembers,
    ) -> None:
        if not isinstance(client, AsyncClient):
            raise ConstructionError("client", "an AsyncClient; SageMakerTransport takes Client")
        super().__init__(library, client, endpoint_name, members)

    async def perform(self, request: LibraryRequest) -> Response | OpenStream[AsyncStreamed]:
        """Return the answer to a request; raises the library's exception if there is none."""
        return await run_async(self._flow(request, await request.aread()), AwaitedCalls())


def encode_headers(headers: Headers) -> RawHeaders:
    """Return header fields as bytes: the libraries take text of ASCII only."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _to_request(request: LibraryRequest, body: bytes) -> Request:
    return Request(request.method, str(request.url), tuple(request.headers.multi_items()), body)


def _read_timeouts(request: LibraryRequest, timeouts: Timeouts) -> Timeouts:
    """Return the time limits of a request; the limit of the whole call is the client's.

    `read` limits each wait for bytes: for the head, and inside the body. There is no separate limit
    for `write`.
    """
    given = cast("Mapping[str, float | None] | None", request.extensions.get("timeout"))
    if not given:
        return timeouts
    read = given.get("read", timeouts.idle)
    return Timeouts(
        connect=given.get("connect", timeouts.connect),
        response=read,
        idle=read,
        pool=given.get("pool", timeouts.pool),
        total=timeouts.total,
    )


def _end_stream(library: ModuleType, unwrapper: EventUnwrapper, error: SmRuntimeError) -> bytes:
    """Return the event for the error that ended a stream; raises the library's exception."""
    ending = unwrapper.fail(error)
    if isinstance(ending, TransportFailure):
        raise _make_error(library, ending) from error
    return ending


def _make_error(library: ModuleType, failure: TransportFailure) -> Exception:
    error_type = cast("Callable[[str], Exception]", getattr(library, failure.error_name))
    return error_type(failure.message)
