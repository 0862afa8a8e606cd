"""The typed clients: settings in, the operations as methods.

    Client        sync     without `io`: connections of `smruntime_transports.sockets`
    AsyncClient   async    without `io`: connections of the adapter for the running event loop

The members of an operation are declared once, on its record in the core; `takes_members` turns
them into the keyword arguments of a method, for `help()` and type checkers alike. A call makes a
flow with `Runtime` and runs it on the client's IO.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    ParamSpec,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    Unpack,
    cast,
)

from smruntime_core import (
    AsyncIO,
    ConstructionError,
    Credentials,
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStreamOutput,
    Operation,
    Output,
    Runtime,
    SyncIO,
    run,
    run_async,
)
from smruntime_core.conversation import CLOSING_BODY, OPENING_BODY, Deadline
from smruntime_core.effects import FileContents, Flow, GetCredentials, ReadFile

from ..system._io import BlockingSystem
from ._base_client import BaseClient
from ._boundary import async_boundary, boundary, without_internals
from ._default_io import (
    CustomIO,
    load_io,
    load_system,
    require_awaited,
    require_blocking,
    running_adapter,
)
from ._jobs import AsyncJob, Job, stored_output
from ._sessions import AsyncSession, Session, SessionMembers
from ._settings import WireClientSettings
from ._setup import ConfigurableIO
from ._streams import AsyncOnly, AsyncResponseStream, OpeningIO, OpeningStream, ResponseStream

if TYPE_CHECKING:
    from smruntime_core.effects import BinaryFile
    from smruntime_core.values import Body

UploadInput: TypeAlias = "Body | BinaryFile | Iterator[bytes]"
AsyncUploadInput: TypeAlias = "UploadInput | AsyncIterator[bytes]"
Parameters = ParamSpec("Parameters")
ClientT = TypeVar("ClientT", bound=BaseClient)
OperationT = TypeVar("OperationT", bound=Operation[Output])
ResultT = TypeVar("ResultT")
OutputT = TypeVar("OutputT", bound=Output)


def takes_members(
    operation: Callable[Parameters, OperationT],
) -> Callable[
    [Callable[[ClientT, OperationT], ResultT]], Callable[Concatenate[ClientT, Parameters], ResultT]
]:
    """Return a decorator: the method takes the members of `operation` as arguments."""

    def decorate(
        perform: Callable[[ClientT, OperationT], ResultT],
    ) -> Callable[Concatenate[ClientT, Parameters], ResultT]:
        @wraps(perform)
        def method(
            client: ClientT, /, *args: Parameters.args, **members: Parameters.kwargs
        ) -> ResultT:
            try:
                made_operation = operation(*args, **members)
            except (ConstructionError, TypeError) as refusal:  # TypeError: a misspelt member
                raise without_internals(refusal)  # noqa: B904 - it is the same error
            finally:
                del args, members
            return perform(client, made_operation)

        method.__doc__ = operation.__doc__
        # `inspect` shows the signature of this; mypy refuses a plain access of `__init__`
        method.__dict__["__wrapped__"] = getattr(operation, "__init__")  # noqa: B009
        return method

    return decorate


class ClientIO(SyncIO, ConfigurableIO, Protocol):
    """The methods of an IO that `Client` itself calls."""

    def read_file(self, effect: ReadFile, /) -> FileContents | None: ...


class AsyncClientIO(AsyncIO, ConfigurableIO, Protocol):
    """The methods of an IO that `AsyncClient` itself calls."""

    def read_file(self, effect: ReadFile, /) -> Awaitable[FileContents | None]: ...
    def run_shielded(
        self, work: Callable[[], Awaitable[None]], seconds: float
    ) -> Awaitable[None]: ...


def _upload_flow(
    runtime: Runtime, location: str, body: object, content_type: str | None
) -> Flow[str]:
    from smruntime_core.conversation import ObjectWriter  # 2 ms that few clients need

    timeouts, retries = runtime.options.timeouts, runtime.options.retries
    object_writer = ObjectWriter(runtime.config.replace(timeouts=timeouts), time, runtime.skew)
    deadline = Deadline(time, timeouts.total)
    return object_writer.put(
        location,
        body,
        deadline,
        content_type=content_type,
        retries=retries,
        longest_pause=runtime.longest_pause,
    )


class Client(BaseClient):
    """A sync client of SageMaker Runtime; threads may share it.

    Settings that cannot work raise `ConstructionError`; nothing is opened before the first call.
    """

    @boundary
    def __init__(self, *, io: object = None, **settings: Unpack[WireClientSettings]) -> None:
        super().__init__(settings, io)
        require_blocking(io)
        self._io = self._make_io()

    def _make_io(self) -> ClientIO:
        if self._wire is not None:
            return cast("ClientIO", load_io("sockets", self._wire))
        return cast("ClientIO", CustomIO(self._given_io, BlockingSystem()))

    def _ready(self) -> Runtime:
        """Return the runtime; the first call reads the settings in files."""
        if self._runtime is not None:
            return self._runtime
        with self._client_setup.prepare_lock:
            return self._adopt_runtime(
                self._client_setup.runtime or run(self._client_setup.prepare(self._io), self._io)
            )

    def _with_time_limit(self, seconds: float) -> Self:
        """Return a client with a limit of `seconds` for a call, itself if its limit is lower."""
        time_limit = self._ready().options.timeouts.total
        if time_limit is not None and time_limit <= seconds:
            return self
        return self.with_options(timeout=seconds)

    @boundary
    def credentials(self) -> Credentials:
        """Return current credentials, refreshing them if needed; raises `CredentialsError`."""
        self._ready()
        return self._io.credentials(GetCredentials())

    @boundary
    def call(self, operation: Operation[OutputT]) -> OutputT:
        """Perform `operation` and return its output.

        Raises `ServiceError`, `DispatchFailure` or `ResponseError`, with all attempts in
        `metadata`.
        """
        return run(self._ready().call(operation), self._io)

    @boundary
    def stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> ResponseStream[InvokeEndpointWithResponseStreamOutput]:
        """Begin `operation` and return its response, to be used in a `with` block.

        Raises like `call` if no response begins.
        """
        opening_io = OpeningIO(self._io)
        try:
            return ResponseStream(run(self._ready().stream(operation), opening_io), self._io)
        except BaseException:  # an interrupt may come when the stream is open already
            opening_io.abort()
            raise

    @boundary
    def submit(self, operation: InvokeEndpointAsync) -> Job:
        """Submit an asynchronous invocation and return it; raises like `call`."""
        return Job(self.call(operation), self)

    def job(
        self,
        output_location: str,
        failure_location: str | None = None,
        *,
        inference_id: str | None = None,
    ) -> Job:
        """Return the job of an invocation that was submitted elsewhere, by its stored locations.

        Raises `ConstructionError` for a location that is neither s3:// nor an http(s) URL.
        """
        return Job(stored_output(output_location, failure_location, inference_id), self)

    @boundary
    def upload_input(
        self, location: str, body: UploadInput, *, content_type: str | None = None
    ) -> str:
        """Put `body` into S3 as the input of an asynchronous invocation, and return `location`.

            location       s3://bucket/key, or the URL of an object in S3 of the client's region
            body           bytes, a binary file, or an iterator of bytes
            content_type   MIME type of the object

        It is signed with the client's credentials and retried as its options say. Raises
        `ConstructionError`, `ServiceError` with S3's code, or `DispatchFailure`.
        """
        runtime = self._ready()
        return run(_upload_flow(runtime, location, body, content_type), self._io)

    @takes_members(InvokeEndpoint)
    def invoke_endpoint(self, operation: InvokeEndpoint) -> InvokeEndpointOutput:
        return self.call(operation)

    @takes_members(InvokeEndpointWithResponseStream)
    def invoke_endpoint_with_response_stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> ResponseStream[InvokeEndpointWithResponseStreamOutput]:
        return self.stream(operation)

    @takes_members(InvokeEndpointAsync)
    def invoke_endpoint_async(self, operation: InvokeEndpointAsync) -> Job:
        return self.submit(operation)

    def session(
        self,
        endpoint_name: str,
        *,
        opening: bytes = OPENING_BODY,
        closing: bytes = CLOSING_BODY,
        **members: Unpack[SessionMembers],
    ) -> Session:
        """Return a stateful session with a container of an endpoint, for a `with` block.

        `opening` and `closing` are the bodies that open and close it (by default those that AWS's
        container library reads); `members` are added to every call of the session.
        """
        return Session(self, endpoint_name, opening, closing, members)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(AsyncOnly, BaseClient):
    """An async client of SageMaker Runtime, on asyncio or trio.

    Without `io` it has connections on the event loop of its first call. Cancelling a call closes
    its connection and leaks nothing. Settings that cannot work raise `ConstructionError`.
    """

    _adapter: ClassVar[str | None] = None  # the one for the running event loop

    @boundary
    def __init__(self, *, io: object = None, **settings: Unpack[WireClientSettings]) -> None:
        super().__init__(settings, io)
        require_awaited(io)

    @property
    def _io(self) -> AsyncClientIO:
        """The IO, made at the first call of this client or a copy, when an event loop runs."""
        if self._client_setup.io is None:
            self._client_setup.io = self._make_io()
        return cast("AsyncClientIO", self._client_setup.io)

    def _make_io(self) -> AsyncClientIO:
        adapter = self._adapter or running_adapter()
        if self._wire is not None:
            return cast("AsyncClientIO", load_io(adapter, self._wire))
        return cast("AsyncClientIO", CustomIO(self._given_io, load_system(adapter)))

    async def _ready(self) -> Runtime:
        if self._runtime is not None:
            return self._runtime
        prepared_runtime = self._client_setup.runtime
        if prepared_runtime is None:
            prepared_runtime = await run_async(self._client_setup.prepare(self._io), self._io)
        # another task may have been faster
        return self._adopt_runtime(self._client_setup.runtime or prepared_runtime)

    @async_boundary
    async def credentials(self) -> Credentials:
        """Return current credentials; see `Client.credentials`."""
        await self._ready()
        return await self._io.credentials(GetCredentials())

    @async_boundary
    async def call(self, operation: Operation[OutputT]) -> OutputT:
        """Perform `operation` and return its output; raises like `Client.call`."""
        return await run_async((await self._ready()).call(operation), self._io)

    def stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> OpeningStream[InvokeEndpointWithResponseStreamOutput]:
        """Return the response of `operation`, which `async with` (or `await`) begins.

        That raises like `call` if no response begins.
        """

        @async_boundary
        async def begin() -> AsyncResponseStream[InvokeEndpointWithResponseStreamOutput]:
            stream_flow = (await self._ready()).stream(operation)
            return AsyncResponseStream(await run_async(stream_flow, self._io), self._io)

        return OpeningStream(begin)

    @async_boundary
    async def submit(self, operation: InvokeEndpointAsync) -> AsyncJob:
        """Submit an asynchronous invocation and return it; raises like `call`."""
        return AsyncJob(await self.call(operation), self)

    def job(
        self,
        output_location: str,
        failure_location: str | None = None,
        *,
        inference_id: str | None = None,
    ) -> AsyncJob:
        """Return the job of an invocation that was submitted elsewhere; see `Client.job`."""
        return AsyncJob(stored_output(output_location, failure_location, inference_id), self)

    @async_boundary
    async def upload_input(
        self, location: str, body: AsyncUploadInput, *, content_type: str | None = None
    ) -> str:
        """Put `body` into S3 as the input of an asynchronous invocation; see `Client.upload_input`.

        `body` may be an async iterator of bytes, too.
        """
        runtime = await self._ready()
        return await run_async(_upload_flow(runtime, location, body, content_type), self._io)

    @takes_members(InvokeEndpoint)
    def invoke_endpoint(
        self, operation: InvokeEndpoint
    ) -> Coroutine[Any, Any, InvokeEndpointOutput]:
        return self.call(operation)

    @takes_members(InvokeEndpointWithResponseStream)
    def invoke_endpoint_with_response_stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> OpeningStream[InvokeEndpointWithResponseStreamOutput]:
        return self.stream(operation)

    @takes_members(InvokeEndpointAsync)
    def invoke_endpoint_async(
        self, operation: InvokeEndpointAsync
    ) -> Coroutine[Any, Any, AsyncJob]:
        return self.submit(operation)

    async def _run_shielded(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Run `work` for at most `seconds`, even if the current task is being cancelled."""
        await self._io.run_shielded(work, seconds)

    def session(
        self,
        endpoint_name: str,
        *,
        opening: bytes = OPENING_BODY,
        closing: bytes = CLOSING_BODY,
        **members: Unpack[SessionMembers],
    ) -> AsyncSession:
        """Return a stateful session; see `Client.session`."""
        return AsyncSession(self, endpoint_name, opening, closing, members)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
