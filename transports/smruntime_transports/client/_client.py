"""The front doors, written once for every transport: options in, the operations as typed methods.

An operation is a frozen record, so its members are written once, there; `method` gives them back as the keyword
arguments of a method, with their types, to readers, `help()` and type checkers alike.
"""

from __future__ import annotations

import copy
import os
import random
import re
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, Concatenate, ParamSpec, Protocol, Self, TypeAlias, TypedDict, TypeVar, Unpack, cast

from smruntime_core import (
    AsyncIO,
    Config,
    ConstructionError,
    Credentials,
    Flow,
    GetCredentials,
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStreamOutput,
    Operation,
    Output,
    RetryPolicy,
    Runtime,
    SyncIO,
    Timeouts,
    run,
    run_async,
)
from smruntime_core.config._settings import Configuration, config_of, configuration
from smruntime_core.conversation._options import Changes, Options, changed
from smruntime_core.conversation._sessions import CLOSING, OPENING
from smruntime_core.credentials import World, provider_of
from smruntime_core.credentials._provider import Freezing, Given
from smruntime_core.effects import Contents, ReadFile
from smruntime_core.notices import Notice

from ..connect._tls import is_context
from ._boundary import async_boundary, boundary, without_internals
from ._jobs import AsyncJob, Job
from ._logging import logging_observer
from ._sessions import AsyncSession, InSession, Session
from ._streams import AsyncResponseStream, Opening, ResponseStream

if TYPE_CHECKING:
    from smruntime_core.credentials import ProviderLike

Observer: TypeAlias = Callable[[Notice], object]
P = ParamSpec("P")
ClientT = TypeVar("ClientT", bound="_Shared")
OperationT = TypeVar("OperationT", bound=Operation[Output])
ResultT = TypeVar("ResultT")
OutputT = TypeVar("OutputT", bound=Output)


class Settings(TypedDict, total=False):
    """What every client takes; what is left out is looked for in the environment and the shared files, as boto3 does.

    Where to call: `region`, `endpoint_url` (wins over the region's host), `use_fips`, `use_dualstack`; `s3_endpoint_url` for the answers
    of asynchronous invocations. As whom: `credentials` (`Credentials`, a provider of `smruntime_core.credentials`, a callable, or a
    session or credentials object of botocore), or a
    `profile` of the shared files. How patiently: `timeouts`, `retries`. `observe` is told what happens.
    """

    region: str | None
    endpoint_url: str | None
    s3_endpoint_url: str | None
    use_fips: bool | None
    use_dualstack: bool | None
    credentials: ProviderLike | None
    profile: str | None
    timeouts: Timeouts | None
    retries: RetryPolicy | None
    observe: Observer | None


class Configurable(Protocol):
    """An IO that learns at the first call where its credentials come from and which certificates it
    trusts.
    """

    def configure(self, credentials: ProviderLike | None, world: World, ca_bundle: str | None) -> object: ...


class Setup:
    """What one client and all its copies share: the settings, and once they are worked out, the conversation.

    What is given is checked at once; the rest waits for the first call, since finding it may take I/O. Raises `ConstructionError`.
    """

    def __init__(self, settings: Settings) -> None:
        credentials = settings.get("credentials")
        if credentials is not None:
            provider_of(credentials)
        if not (settings.get("observe") is None or callable(settings.get("observe"))):
            raise ConstructionError("observe", "a callable of one notice")
        if not isinstance(settings.get("profile"), str | None):
            raise ConstructionError("profile", "the name of a profile")
        self._settings = settings
        self._credentials = credentials
        self.retries = settings.get("retries") or RetryPolicy()
        Options(retries=self.retries)
        self.runtime: Runtime | None = None
        self.lock = threading.Lock()
        known = self._config(Configuration(profile="", region=settings.get("region") or "unknown"))
        self.where = known.url if settings.get("region") is not None else ""

    def prepare(self, io: Configurable) -> Flow[Runtime]:
        """The conversation, its settings found by asking `io` for files; raises `ConstructionError`."""
        settings = self._settings
        world = this_process(settings.get("profile"))
        found = yield from look(world)
        retries = self.retries
        if found.max_attempts is not None and settings.get("retries") is None:
            retries = retries.replace(max_attempts=found.max_attempts)
        config = self._config(found)
        world.region = config.region
        io.configure(self._credentials, world, found.ca_bundle)
        self.where = config.url
        return Runtime(
            config,
            clock=time,
            random=random.random,
            retries=retries,
            lock=threading.Lock(),
            observe=both(settings.get("observe"), logging_observer()),
            app_id=found.app_id,
        )

    def _config(self, found: Configuration) -> Config:
        settings = self._settings
        return config_of(
            found,
            region=settings.get("region"),
            endpoint_url=settings.get("endpoint_url"),
            s3_endpoint_url=settings.get("s3_endpoint_url"),
            use_fips=settings.get("use_fips"),
            use_dualstack=settings.get("use_dualstack"),
            timeouts=settings.get("timeouts"),
        )


def this_process(profile: str | None) -> World:
    """What a flow may know of this process."""
    home, windows = os.path.expanduser("~"), sys.platform == "win32"
    return World(os.environ, home=home, windows=windows, clock=time, random=random.random, profile=profile)


def look(world: World) -> Flow[Configuration]:
    """The flow that finds the settings."""
    return configuration(world.environ, profile=world.profile, home=world.home, windows=world.windows)


def both(one: Observer | None, other: Observer | None) -> Observer | None:
    """Tell each of two observers, if there are any."""
    if one is None or other is None:
        return one or other

    def observe(notice: Notice) -> None:
        one(notice)
        other(notice)

    return observe


def method(operation: Callable[P, OperationT], do: Callable[[ClientT, OperationT], ResultT]) -> Callable[Concatenate[ClientT, P], ResultT]:
    """Return a method of a client that makes `operation` of its keyword arguments and calls `do`
    with it.
    """

    def call(client: ClientT, /, *args: P.args, **members: P.kwargs) -> ResultT:
        try:
            made = operation(*args, **members)
        except (ConstructionError, TypeError) as refusal:  # TypeError: a misspelt member
            raise without_internals(refusal)  # noqa: B904 - it is the same error
        finally:
            del args, members
        return do(client, made)

    call.__doc__ = operation.__doc__
    call.__name__ = call.__qualname__ = re.sub("(?<!^)(?=[A-Z])", "_", operation.__name__).lower()
    # `inspect` follows this to the signature; a plain access of `__init__` is an error to mypy
    call.__dict__["__wrapped__"] = getattr(operation, "__init__")  # noqa: B009
    return call


class BlockingIO(SyncIO, Configurable, Protocol):
    """What a blocking client needs of its IO; it reads files besides."""

    def read_file(self, effect: ReadFile, /) -> Contents | None: ...


class AwaitedIO(AsyncIO, Configurable, Protocol):
    """What an asynchronous client needs of its IO."""

    def read_file(self, effect: ReadFile, /) -> Awaitable[Contents | None]: ...
    def shelter(self, do: Callable[[], Awaitable[None]], seconds: float) -> Awaitable[None]: ...


class _Shared:
    """What both colours of client keep. `Takes` is what a client is made with.

    A client that is pickled is made anew where it is unpickled, of the same settings and options, with nothing else: its own
    connections, tokens and clock. Credentials are not pickled; have them found there, by the environment or a profile.
    """

    Takes: ClassVar[type] = Settings
    Bound: ClassVar[tuple[str, ...]] = ()  # settings that belong to one process

    def __init__(self, settings: Settings) -> None:
        unknown = set(settings) - set(self.Takes.__annotations__)
        if unknown:
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
        self._settings = settings
        self._setup = Setup(settings)
        self._changes = Changes()
        self._runtime: Runtime | None = None

    def __copy__(self) -> Self:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __reduce__(self) -> tuple[object, ...]:
        for name, value in self._settings.items():
            if name in self.Bound or is_context(value):
                raise TypeError(f"a client whose {name!r} is a {type(value).__name__} cannot be pickled: that belongs to this process")
        if isinstance(provider_of(self._settings.get("credentials")), Given | Freezing):
            raise TypeError("credentials are not pickled, botocore's neither: have them found where the client is used")
        return _made_anew, (type(self), self._settings, self._changes)

    @boundary
    def with_options(self, **changes: Unpack[Changes]) -> Self:
        """The same client with other patience: `timeout` (seconds for a whole call), `retries`, `idempotent` (the model may run
        twice), `wait_for_capacity` (seconds), `extra_headers`, `progress` (told bytes sent and received), `max_body`
        (bytes of an answer). It shares connections and all else. Raises `ConstructionError`.
        """
        made = copy.copy(self)
        made._changes = self._changes.copy()
        made._changes.update(changes)
        made._runtime = None
        changed(Options(), made._changes)
        return made

    def __repr__(self) -> str:
        setup: Setup | None = self.__dict__.get("_setup")  # none yet, where its making was refused
        where = setup.where if setup else ""
        return f"<{type(self).__module__}.{type(self).__name__}{f' for {where}' if where else ''}>"

    def _use(self, runtime: Runtime) -> Runtime:
        self._setup.runtime = runtime
        self._runtime = runtime.with_options(**self._changes) if self._changes else runtime
        return self._runtime


def _made_anew(kind: type[_Shared], settings: Settings, changes: Changes) -> _Shared:
    made = cast("Callable[..., _Shared]", kind)(**settings)
    return made.with_options(**changes) if changes else made


class SyncClient(_Shared):
    """A client whose methods block. One client serves any number of threads."""

    def __init__(self, settings: Settings, io: BlockingIO) -> None:
        super().__init__(settings)
        self._io = io

    def _ready(self) -> Runtime:
        if self._runtime is not None:
            return self._runtime
        with self._setup.lock:
            return self._use(self._setup.runtime or run(self._setup.prepare(self._io), self._io))

    @boundary
    def credentials(self) -> Credentials:
        """Return current credentials, refreshing them if needed. Raises `CredentialsError`."""
        self._ready()
        return self._io.credentials(GetCredentials())

    @boundary
    def call(self, operation: Operation[OutputT]) -> OutputT:
        """Have `operation` done; raises `ServiceError`, `DispatchFailure` or `ResponseError` with every attempt listed."""
        return run(self._ready().call(operation), self._io)

    @boundary
    def stream(self, operation: InvokeEndpointWithResponseStream) -> ResponseStream[InvokeEndpointWithResponseStreamOutput]:
        """Have `operation` begun; use the result in a `with` block. Raises like `call` if no answer begins."""
        return ResponseStream(run(self._ready().stream(operation), self._io), self._io)

    @boundary
    def submit(self, operation: InvokeEndpointAsync) -> Job:
        """Have `operation` accepted; raises like `call`."""
        return Job(self.call(operation), self._io, self._ready())

    invoke_endpoint = method(InvokeEndpoint, call)
    invoke_endpoint_with_response_stream = method(InvokeEndpointWithResponseStream, stream)
    invoke_endpoint_async = method(InvokeEndpointAsync, submit)

    def session(self, endpoint_name: str, *, opening: bytes = OPENING, closing: bytes = CLOSING, **members: Unpack[InSession]) -> Session:
        """A stateful session with the container behind `endpoint_name`, open for the length of a `with` block.

        `opening` and `closing` are the bodies that open and close it (by default those that AWS's container library reads),
        `members` go into every call of the session.
        """
        return Session(self, endpoint_name, opening, closing, members)

    def close(self) -> None:
        """Close all connections. A call made afterwards opens new ones."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BaseAsyncClient(_Shared):
    """A client whose methods are awaited."""

    def __init__(self, settings: Settings, io: AwaitedIO) -> None:
        super().__init__(settings)
        self._io = io

    async def _ready(self) -> Runtime:
        if self._runtime is not None:
            return self._runtime
        prepared = self._setup.runtime
        if prepared is None:
            prepared = await run_async(self._setup.prepare(self._io), self._io)
        return self._use(self._setup.runtime or prepared)  # another task may have been faster

    @async_boundary
    async def credentials(self) -> Credentials:
        """Return current credentials; see `SyncClient.credentials`."""
        await self._ready()
        return await self._io.credentials(GetCredentials())

    @async_boundary
    async def call(self, operation: Operation[OutputT]) -> OutputT:
        """Have `operation` done; raises `ServiceError`, `DispatchFailure` or `ResponseError` with every attempt listed."""
        return await run_async((await self._ready()).call(operation), self._io)

    def stream(self, operation: InvokeEndpointWithResponseStream) -> Opening[InvokeEndpointWithResponseStreamOutput]:
        """Have `operation` begun by `async with` (or `await`). Raises like `call` if no answer begins."""

        @async_boundary
        async def begin() -> AsyncResponseStream[InvokeEndpointWithResponseStreamOutput]:
            flow = (await self._ready()).stream(operation)
            return AsyncResponseStream(await run_async(flow, self._io), self._io)

        return Opening(begin)

    @async_boundary
    async def submit(self, operation: InvokeEndpointAsync) -> AsyncJob:
        """Have `operation` accepted; raises like `call`."""
        return AsyncJob(await self.call(operation), self._io, await self._ready())

    invoke_endpoint = method(InvokeEndpoint, call)
    invoke_endpoint_with_response_stream = method(InvokeEndpointWithResponseStream, stream)
    invoke_endpoint_async = method(InvokeEndpointAsync, submit)

    async def shelter(self, do: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Have `do` done even if the task is being cancelled, for at most `seconds`."""
        await self._io.shelter(do, seconds)

    def session(
        self, endpoint_name: str, *, opening: bytes = OPENING, closing: bytes = CLOSING, **members: Unpack[InSession]
    ) -> AsyncSession:
        """A stateful session; see `SyncClient.session`."""
        return AsyncSession(self, endpoint_name, opening, closing, members)

    def close(self) -> None:
        """Close all connections; never waits."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
