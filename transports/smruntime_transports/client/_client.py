"""The typed clients: settings in, the operations as methods.

    Client        sync     without `io`: connections of `smruntime_transports.sockets`
    AsyncClient   async    without `io`: connections of the adapter for the running event loop

The members of an operation are declared once, on its record in the core; `operation_method` turns them into the keyword arguments of a
method, for `help()` and type checkers alike. A call runs the flow that `Runtime` makes on the client's IO.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar, Concatenate, ParamSpec, Protocol, Self, TypeVar, Unpack, cast

from smruntime_core import (
    AsyncIO,
    ConstructionError,
    Credentials,
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStreamOutput,
    Operation,
    Output,
    Runtime,
    SyncIO,
    run,
    run_async,
)
from smruntime_core.conversation import (
    CLOSING_BODY,
    OPENING_BODY,
    OptionChanges,
    Options,
    apply_changes,
)
from smruntime_core.credentials import holds_keys, make_provider
from smruntime_core.effects import FileContents, GetCredentials, ReadFile

from ..connect._tls import is_context
from ..system._io import BlockingSystem
from ..wire._wire import Wire
from ..wire._wire_settings import WireSettings
from ._boundary import async_boundary, boundary, without_internals
from ._default_io import CustomIO, load_io, load_system, running_adapter
from ._jobs import AsyncJob, Job
from ._sessions import AsyncSession, Session, SessionMembers
from ._settings import Settings, WireClientSettings, describe
from ._setup import Configurable, Setup
from ._streams import AsyncResponseStream, OpeningIO, OpeningStream, ResponseStream

P = ParamSpec("P")
ClientT = TypeVar("ClientT", bound="BaseClient")
OperationT = TypeVar("OperationT", bound=Operation[Output])
ResultT = TypeVar("ResultT")
OutputT = TypeVar("OutputT", bound=Output)


def operation_method(
    operation: Callable[P, OperationT], perform: Callable[[ClientT, OperationT], ResultT]
) -> Callable[Concatenate[ClientT, P], ResultT]:
    """Return a method of a client that makes `operation` of its keyword arguments and calls `perform` with it."""

    def method(client: ClientT, /, *args: P.args, **members: P.kwargs) -> ResultT:
        try:
            made = operation(*args, **members)
        except (ConstructionError, TypeError) as refusal:  # TypeError: a misspelt member
            raise without_internals(refusal)  # noqa: B904 - it is the same error
        finally:
            del args, members
        return perform(client, made)

    method.__doc__ = operation.__doc__
    method.__name__ = method.__qualname__ = re.sub(
        "(?<!^)(?=[A-Z])", "_", operation.__name__
    ).lower()
    # `inspect` follows this to the signature; a plain access of `__init__` is an error to mypy
    method.__dict__["__wrapped__"] = getattr(operation, "__init__")  # noqa: B009
    return method


class BlockingIO(SyncIO, Configurable, Protocol):
    """The methods of an IO that `Client` itself calls."""

    def read_file(self, effect: ReadFile, /) -> FileContents | None: ...


class AwaitedIO(AsyncIO, Configurable, Protocol):
    """The methods of an IO that `AsyncClient` itself calls."""

    def read_file(self, effect: ReadFile, /) -> Awaitable[FileContents | None]: ...
    def run_shielded(
        self, work: Callable[[], Awaitable[None]], seconds: float
    ) -> Awaitable[None]: ...


class BaseClient:
    """What sync and async clients have in common.

    A pickled client is made anew from its settings and options, with connections, retry quota and clock correction of its own.
    Credentials are not pickled: let them be found by the environment or a profile.
    """

    _settings_type: ClassVar[type] = WireClientSettings
    _settings_of_process: ClassVar[tuple[str, ...]] = ("io",)  # they cannot be pickled

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__doc__ = f"{cls.__doc__ or ''}\n    Settings, all by keyword:\n\n{describe(cls._settings_type)}\n"

    def __init__(self, settings: Settings, io: object = None) -> None:
        unknown = set(settings) - set(self._settings_type.__annotations__)
        if unknown:
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
        if io is not None and (misplaced := set(settings) & set(WireSettings.__annotations__)):
            raise ConstructionError(
                min(misplaced),
                "left out: it configures connections of this library, and `io` brings its own",
            )
        self._wire = self._make_wire(settings) if io is None else None
        self._settings = settings
        self._given_io = io
        self._setup = Setup(settings)
        self._changes = OptionChanges()
        self._runtime: Runtime | None = None

    def _make_wire(self, settings: Settings) -> Wire:
        return Wire(time.monotonic, cast("WireSettings", settings))

    def close(self) -> None:
        """Close all connections; a later call opens new ones. Never waits."""
        owner = self._wire or self._given_io
        close = getattr(owner, "close", None)
        if callable(close):
            close()

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __reduce__(self) -> tuple[object, ...]:
        for name, value in {"io": self._given_io, **self._settings}.items():
            if value is not None and (name in self._settings_of_process or is_context(value)):
                raise TypeError(
                    f"a client whose {name!r} is a {type(value).__name__} cannot be pickled: that belongs to this process"
                )
        if holds_keys(make_provider(self._settings.get("credentials"))):
            raise TypeError(
                "credentials are not pickled, botocore's neither: have them found where the client is used"
            )
        return _restore, (type(self), self._settings, self._changes)

    @boundary
    def with_options(self, **changes: Unpack[OptionChanges]) -> Self:
        """Return this client with other options for its calls; it shares connections and all else.

            timeout             seconds for a whole call with its retries, None for no limit
            retries             `RetryPolicy`
            idempotent          True if the model may run twice: then what may have been sent is sent again
            wait_for_capacity   seconds to wait for a model or inference component that is starting
            extra_headers       further headers to sign and send
            progress            callable that receives the bytes sent and received so far
            max_body            most bytes of an answer, None for no limit

        Raises `ConstructionError`.
        """
        made = copy.copy(self)
        made._changes = self._changes.copy()
        made._changes.update(changes)
        made._runtime = None
        apply_changes(Options(), made._changes)
        return made

    def __repr__(self) -> str:
        setup: Setup | None = self.__dict__.get("_setup")  # absent if a setting was refused
        where = f" for {setup.config.url}" if setup and setup.config else ""
        return f"<{type(self).__module__}.{type(self).__name__}{where}>"

    def _use(self, runtime: Runtime) -> Runtime:
        self._setup.runtime = runtime
        self._runtime = runtime.with_options(**self._changes) if self._changes else runtime
        return self._runtime


def _restore(kind: type[BaseClient], settings: Settings, changes: OptionChanges) -> BaseClient:
    made = cast("Callable[..., BaseClient]", kind)(**settings)
    return made.with_options(**changes) if changes else made


class Client(BaseClient):
    """A client of SageMaker Runtime whose methods block; threads may share it.

    `io` does the work: any object with a method for each effect, see `smruntime_core.effects`. Without one, the client has connections of
    its own. Settings that cannot work raise `ConstructionError`; nothing is opened before the first call.
    """

    @boundary
    def __init__(self, *, io: object = None, **settings: Unpack[WireClientSettings]) -> None:
        super().__init__(settings, io)
        self._io = self._make_io()

    def _make_io(self) -> BlockingIO:
        if self._wire is not None:
            return cast("BlockingIO", load_io("sockets", self._wire))
        return cast("BlockingIO", CustomIO(self._given_io, BlockingSystem()))

    def _ready(self) -> Runtime:
        if self._runtime is not None:
            return self._runtime
        with self._setup.lock:
            return self._use(self._setup.runtime or run(self._setup.prepare(self._io), self._io))

    @boundary
    def credentials(self) -> Credentials:
        """Return current credentials, refreshing them if needed; raises `CredentialsError`."""
        self._ready()
        return self._io.credentials(GetCredentials())

    @boundary
    def call(self, operation: Operation[OutputT]) -> OutputT:
        """Perform `operation`; raises `ServiceError`, `DispatchFailure` or `ResponseError`, each with every attempt in `metadata`."""
        return run(self._ready().call(operation), self._io)

    @boundary
    def stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> ResponseStream[InvokeEndpointWithResponseStreamOutput]:
        """Begin `operation` and return its answer, to be used in a `with` block; raises like `call` if no answer begins."""
        opening = OpeningIO(self._io)
        try:
            return ResponseStream(run(self._ready().stream(operation), opening), self._io)
        except BaseException:  # an interrupt may come when the stream is open already
            opening.abort()
            raise

    @boundary
    def submit(self, operation: InvokeEndpointAsync) -> Job:
        """Submit an asynchronous invocation; raises like `call`."""
        return Job(self.call(operation), self._io, self._ready())

    invoke_endpoint = operation_method(InvokeEndpoint, call)
    invoke_endpoint_with_response_stream = operation_method(
        InvokeEndpointWithResponseStream, stream
    )
    invoke_endpoint_async = operation_method(InvokeEndpointAsync, submit)

    def session(
        self,
        endpoint_name: str,
        *,
        opening: bytes = OPENING_BODY,
        closing: bytes = CLOSING_BODY,
        **members: Unpack[SessionMembers],
    ) -> Session:
        """Return a stateful session with the container behind `endpoint_name`, open for the length of a `with` block.

        `opening` and `closing` are the bodies that open and close it (by default those that AWS's container library reads);
        `members` go into every call of the session.
        """
        return Session(self, endpoint_name, opening, closing, members)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(BaseClient):
    """A client of SageMaker Runtime whose methods are awaited, on asyncio or trio.

    `io` does the work: any object with an async method for each effect, see `smruntime_core.effects`. Without one, the client has
    connections of its own, on the event loop of its first call. Cancelling a call anywhere closes its connection and leaks nothing.
    Settings that cannot work raise `ConstructionError`.
    """

    _adapter: ClassVar[str | None] = None  # the one for the running event loop

    @boundary
    def __init__(self, *, io: object = None, **settings: Unpack[WireClientSettings]) -> None:
        super().__init__(settings, io)

    @property
    def _io(self) -> AwaitedIO:
        """The IO, made at the first call of this client or a copy: only then an event loop runs."""
        if self._setup.io is None:
            self._setup.io = self._make_io()
        return cast("AwaitedIO", self._setup.io)

    def _make_io(self) -> AwaitedIO:
        adapter = self._adapter or running_adapter()
        if self._wire is not None:
            return cast("AwaitedIO", load_io(adapter, self._wire))
        return cast("AwaitedIO", CustomIO(self._given_io, load_system(adapter)))

    async def _ready(self) -> Runtime:
        if self._runtime is not None:
            return self._runtime
        prepared = self._setup.runtime
        if prepared is None:
            prepared = await run_async(self._setup.prepare(self._io), self._io)
        return self._use(self._setup.runtime or prepared)  # another task may have been faster

    @async_boundary
    async def credentials(self) -> Credentials:
        """Return current credentials; see `Client.credentials`."""
        await self._ready()
        return await self._io.credentials(GetCredentials())

    @async_boundary
    async def call(self, operation: Operation[OutputT]) -> OutputT:
        """Perform `operation`; raises `ServiceError`, `DispatchFailure` or `ResponseError`, each with every attempt in `metadata`."""
        return await run_async((await self._ready()).call(operation), self._io)

    def stream(
        self, operation: InvokeEndpointWithResponseStream
    ) -> OpeningStream[InvokeEndpointWithResponseStreamOutput]:
        """Return the answer of `operation`, which `async with` (or `await`) begins; raises like `call` if no answer begins."""

        @async_boundary
        async def begin() -> AsyncResponseStream[InvokeEndpointWithResponseStreamOutput]:
            flow = (await self._ready()).stream(operation)
            return AsyncResponseStream(await run_async(flow, self._io), self._io)

        return OpeningStream(begin)

    @async_boundary
    async def submit(self, operation: InvokeEndpointAsync) -> AsyncJob:
        """Submit an asynchronous invocation; raises like `call`."""
        return AsyncJob(await self.call(operation), self._io, await self._ready())

    invoke_endpoint = operation_method(InvokeEndpoint, call)
    invoke_endpoint_with_response_stream = operation_method(
        InvokeEndpointWithResponseStream, stream
    )
    invoke_endpoint_async = operation_method(InvokeEndpointAsync, submit)

    async def run_shielded(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
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
