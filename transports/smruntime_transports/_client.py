"""The front doors, written once for every transport: options in, the operations as typed methods.

An operation is a frozen record, so its members are written once, there; `method` gives them back as the keyword
arguments of a method, with their types, to readers, `help()` and type checkers alike.
"""

from __future__ import annotations

import copy
import random
import threading
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Required, Self, TypedDict, TypeVar, Unpack

from smruntime_core import (
    AsyncIO,
    Config,
    ConstructionError,
    Credentials,
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
from smruntime_core._notices import Notice
from smruntime_core._options import Changes
from smruntime_core._sessions import CLOSING, OPENING

from ._jobs import AsyncJob, Job
from ._logs import logging_observer
from ._sessions import AsyncSession, InSession, Session
from ._streams import Opening, ResponseStream

P = ParamSpec("P")
ClientT = TypeVar("ClientT")
OperationT = TypeVar("OperationT")
ResultT = TypeVar("ResultT")
OutputT = TypeVar("OutputT", bound=Output)


class Settings(TypedDict, total=False):
    """What every client takes: where to call (`endpoint_url` wins over the region's host), as whom, how patiently."""

    region: Required[str]
    endpoint_url: str | None
    credentials: Required[Credentials]
    timeouts: Timeouts | None
    retries: RetryPolicy | None
    observe: Callable[[Notice], object] | None


def build(settings: Settings) -> tuple[Runtime, Credentials]:
    """The conversation that `settings` ask for, and what it signs with; raises `ConstructionError`."""
    credentials = settings.get("credentials")
    if not isinstance(credentials, Credentials):
        raise ConstructionError("credentials", "smruntime_core.Credentials")
    config = Config(
        region=settings.get("region", ""),
        endpoint_url=settings.get("endpoint_url"),
        timeouts=settings.get("timeouts") or Timeouts(),
    )
    retries = settings.get("retries") or RetryPolicy()
    observe = settings.get("observe") or logging_observer()
    return Runtime(config, clock=time, random=random.random, retries=retries, lock=threading.Lock(), observe=observe), credentials


def method(operation: Callable[P, OperationT], do: Callable[[ClientT, OperationT], ResultT]) -> Callable[Concatenate[ClientT, P], ResultT]:
    """A method of a client that makes `operation` of its keyword arguments and does with it what `do` does."""

    def call(client: ClientT, /, *args: P.args, **members: P.kwargs) -> ResultT:
        made = operation(*args, **members)
        del args, members  # what a traceback with locals would show
        return do(client, made)

    call.__doc__ = operation.__doc__
    # `inspect` follows this to the signature; a plain access of `__init__` is an error to mypy
    call.__dict__["__wrapped__"] = getattr(operation, "__init__")  # noqa: B009
    return call


def _with_options(client: ClientT, runtime: Runtime) -> ClientT:
    made = copy.copy(client)
    vars(made)["_runtime"] = runtime
    return made


class SyncClient:
    """A client whose methods block. One client serves any number of threads."""

    def __init__(self, runtime: Runtime, io: SyncIO) -> None:
        self._runtime = runtime
        self._io = io

    def with_options(self, **changes: Unpack[Changes]) -> Self:
        """The same client with other patience: `timeout` (seconds for a whole call), `retries`, `idempotent` (the model may run
        twice), `wait_for_capacity` (seconds), `extra_headers`. It shares connections and all else; raises `ConstructionError`.
        """
        return _with_options(self, self._runtime.with_options(**changes))

    def call(self, operation: Operation[OutputT]) -> OutputT:
        """Have `operation` done; raises `ServiceError`, `DispatchFailure` or `ResponseError` with every attempt listed."""
        return run(self._runtime.call(operation), self._io)

    def stream(self, operation: InvokeEndpointWithResponseStream) -> ResponseStream[InvokeEndpointWithResponseStreamOutput]:
        """Have `operation` begun; use the result in a `with` block. Raises like `call` if no answer begins."""
        return ResponseStream(run(self._runtime.stream(operation), self._io), self._io)

    def submit(self, operation: InvokeEndpointAsync) -> Job:
        """Have `operation` accepted; raises like `call`."""
        return Job(self.call(operation), self._io)

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


class BaseAsyncClient:
    """A client whose methods are awaited."""

    def __init__(self, runtime: Runtime, io: AsyncIO) -> None:
        self._runtime = runtime
        self._io = io

    def with_options(self, **changes: Unpack[Changes]) -> Self:
        """The same client with other patience; see `SyncClient.with_options`."""
        return _with_options(self, self._runtime.with_options(**changes))

    async def call(self, operation: Operation[OutputT]) -> OutputT:
        """Have `operation` done; raises `ServiceError`, `DispatchFailure` or `ResponseError` with every attempt listed."""
        return await run_async(self._runtime.call(operation), self._io)

    def stream(self, operation: InvokeEndpointWithResponseStream) -> Opening[InvokeEndpointWithResponseStreamOutput]:
        """Have `operation` begun by `async with` (or `await`). Raises like `call` if no answer begins."""
        return Opening(self._runtime.stream(operation), self._io)

    async def submit(self, operation: InvokeEndpointAsync) -> AsyncJob:
        """Have `operation` accepted; raises like `call`."""
        return AsyncJob(await self.call(operation), self._io)

    invoke_endpoint = method(InvokeEndpoint, call)
    invoke_endpoint_with_response_stream = method(InvokeEndpointWithResponseStream, stream)
    invoke_endpoint_async = method(InvokeEndpointAsync, submit)

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
