"""The front doors, written once for every transport: options in, the operations as typed methods.

An operation is a frozen record, so its members are written once, there; `method` gives them back as the keyword
arguments of a method, with their types, to readers, `help()` and type checkers alike.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Concatenate, ParamSpec, Required, Self, TypedDict, TypeVar

from smruntime_core import (
    AsyncIO,
    Config,
    ConstructionError,
    Credentials,
    InvokeEndpoint,
    Operation,
    Output,
    RetryPolicy,
    Runtime,
    SyncIO,
    Timeouts,
    run,
    run_async,
)

P = ParamSpec("P")
OutputT = TypeVar("OutputT", bound=Output)


class Settings(TypedDict, total=False):
    """What every client takes: where to call (`endpoint_url` wins over the region's host), as whom, how patiently."""

    region: Required[str]
    endpoint_url: str | None
    credentials: Required[Credentials]
    timeouts: Timeouts | None
    retries: RetryPolicy | None


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
    return Runtime(config, clock=time, random=random.random, retries=retries, lock=threading.Lock()), credentials


def method(operation: Callable[P, Operation[OutputT]]) -> Callable[Concatenate[SyncClient, P], OutputT]:
    """`operation` as a blocking method of a client."""

    def call(client: SyncClient, /, *args: P.args, **members: P.kwargs) -> OutputT:
        return client.call(operation(*args, **members))

    return _like(operation, call)


def async_method(
    operation: Callable[P, Operation[OutputT]],
) -> Callable[Concatenate[BaseAsyncClient, P], Coroutine[object, object, OutputT]]:
    """`operation` as a method to be awaited."""

    async def call(client: BaseAsyncClient, /, *args: P.args, **members: P.kwargs) -> OutputT:
        return await client.call(operation(*args, **members))

    return _like(operation, call)


CallableT = TypeVar("CallableT", bound=Callable[..., object])


def _like(operation: Callable[..., object], call: CallableT) -> CallableT:
    """`call` with the documentation and signature of `operation` (by way of `__wrapped__`, which `inspect` follows)."""
    call.__doc__ = operation.__doc__
    call.__dict__["__wrapped__"] = getattr(operation, "__init__")  # noqa: B009 - a plain access of `__init__` is an error to mypy
    return call


class SyncClient:
    """A client whose methods block. One client serves any number of threads."""

    def __init__(self, runtime: Runtime, io: SyncIO) -> None:
        self._runtime = runtime
        self._io = io

    def call(self, operation: Operation[OutputT]) -> OutputT:
        """Have `operation` done; raises `ServiceError`, `DispatchFailure` or `ResponseError` with every attempt listed."""
        return run(self._runtime.call(operation), self._io)

    invoke_endpoint = method(InvokeEndpoint)

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

    async def call(self, operation: Operation[OutputT]) -> OutputT:
        """Have `operation` done; raises `ServiceError`, `DispatchFailure` or `ResponseError` with every attempt listed."""
        return await run_async(self._runtime.call(operation), self._io)

    invoke_endpoint = async_method(InvokeEndpoint)

    def close(self) -> None:
        """Close all connections; never waits."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
