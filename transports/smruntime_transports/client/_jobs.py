"""An accepted asynchronous invocation, and waiting for its answer.

A job is stored by its two locations, or pickled; either way the client is left out, and
`client.job(output_location, failure_location)` makes a job of stored locations, in any process.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar

from smruntime_core import (
    AsyncIO,
    ConstructionError,
    InvokeEndpointAsyncOutput,
    InvokeEndpointOutput,
    Metadata,
    Runtime,
    SyncIO,
    run,
    run_async,
)
from smruntime_core.conversation import Deadline, is_done, wait_for_result
from smruntime_core.effects import Fetch, Sleep

from ._boundary import async_boundary, boundary

if TYPE_CHECKING:
    from smruntime_core.conversation import ObjectReader

LONGEST_JOB_TIME: Final = 22_500.0  # seconds: by default, 6 h in the queue and 15 min to run
LOOK_TIMEOUT: Final = 30.0  # seconds for `done`
URL_SCHEMES: Final = ("s3://", "https://", "http://")

FetchedObject: TypeAlias = "bytes | None"
ClientT = TypeVar("ClientT")


class ConnectedClient(Protocol):
    """A sync client, as far as a job uses it."""

    @property
    def _io(self) -> SyncIO: ...
    def _ready(self) -> Runtime: ...


class AsyncConnectedClient(Protocol):
    """An async client, as far as a job uses it."""

    @property
    def _io(self) -> AsyncIO: ...
    async def _ready(self) -> Runtime: ...


class _AcceptedInvocation:
    """What the service returned when it accepted the invocation."""

    def __init__(self, output: InvokeEndpointAsyncOutput) -> None:
        self.output: InvokeEndpointAsyncOutput = output

    @property
    def inference_id(self) -> str | None:
        """The id of the invocation: the caller's, or one of the service."""
        return self.output.inference_id

    @property
    def output_location(self) -> str | None:
        """Where the answer will be."""
        return self.output.output_location

    @property
    def failure_location(self) -> str | None:
        """Where a failure would be."""
        return self.output.failure_location

    @property
    def metadata(self) -> Metadata:
        """Request id, status, headers and attempts."""
        return self.output.metadata

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.output!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.output,)


class Job(_AcceptedInvocation):
    """An accepted invocation; `result`, `wait` and `done` block.

    Jobs can be pickled, but without their client: call `client.job(job.output_location,
    job.failure_location)` where they are restored.
    """

    def __init__(
        self, output: InvokeEndpointAsyncOutput, client: ConnectedClient | None = None
    ) -> None:
        super().__init__(output)
        self._client = client

    def wait(
        self,
        *,
        fetch: Callable[[str], FetchedObject] | None = None,
        timeout: float | None = LONGEST_JOB_TIME,
    ) -> bytes:
        """Return the bytes of the model's answer, as soon as it is there; see `result`."""
        return self.result(fetch=fetch, timeout=timeout).body

    @boundary
    def result(
        self,
        *,
        fetch: Callable[[str], FetchedObject] | None = None,
        timeout: float | None = LONGEST_JOB_TIME,
    ) -> InvokeEndpointOutput:
        """Return the model's answer, as soon as it is there.

            fetch     `fetch(location)` returns the bytes of an object, None while there is none.
                      Default: read from S3, with the client's credentials
            timeout   seconds to wait, None for no limit; default 22,500

        Both locations are looked at, less and less often. Raises `ModelError` if the model failed,
        `DispatchFailure` of kind timeout if nothing is there in time, `ServiceError` with S3's code
        if S3 refuses, `DispatchFailure` if it cannot be reached several times in a row,
        `ConstructionError` for a location that must not be followed, and what `fetch` raises.
        """
        client, deadline = _require_client(self._client), Deadline(time, timeout)
        if fetch is not None:
            waiting_flow = wait_for_result(self.output, deadline)
            return run(waiting_flow, _FetchingIO(client._io, fetch))
        object_reader = _make_reader(client._ready())
        return run(wait_for_result(self.output, deadline, object_reader.get), client._io)

    @boundary
    def done(
        self,
        *,
        fetch: Callable[[str], FetchedObject] | None = None,
        timeout: float | None = LOOK_TIMEOUT,
    ) -> bool:
        """Return whether an answer or a failure is there, after one look.

        `fetch` is as for `result`; `timeout` is in seconds. Raises like `result`, but no
        `ModelError`.
        """
        client, deadline = _require_client(self._client), Deadline(time, timeout)
        if fetch is not None:
            return run(is_done(self.output, deadline), _FetchingIO(client._io, fetch))
        object_reader = _make_reader(client._ready())
        return run(is_done(self.output, deadline, object_reader.exists), client._io)


class AsyncJob(_AcceptedInvocation):
    """An accepted invocation whose methods are awaited. Jobs can be pickled; see `Job`."""

    def __init__(
        self, output: InvokeEndpointAsyncOutput, client: AsyncConnectedClient | None = None
    ) -> None:
        super().__init__(output)
        self._client = client

    async def wait(
        self,
        *,
        fetch: Callable[[str], Awaitable[FetchedObject]] | None = None,
        timeout: float | None = LONGEST_JOB_TIME,
    ) -> bytes:
        """Return the bytes of the model's answer; see `Job.result`. `fetch` is awaited."""
        return (await self.result(fetch=fetch, timeout=timeout)).body

    @async_boundary
    async def result(
        self,
        *,
        fetch: Callable[[str], Awaitable[FetchedObject]] | None = None,
        timeout: float | None = LONGEST_JOB_TIME,
    ) -> InvokeEndpointOutput:
        """Return the model's answer; see `Job.result`. `fetch` is awaited."""
        client, deadline = _require_client(self._client), Deadline(time, timeout)
        if fetch is not None:
            waiting_flow = wait_for_result(self.output, deadline)
            return await run_async(waiting_flow, _AsyncFetchingIO(client._io, fetch))
        object_reader = _make_reader(await client._ready())
        return await run_async(
            wait_for_result(self.output, deadline, object_reader.get), client._io
        )

    @async_boundary
    async def done(
        self,
        *,
        fetch: Callable[[str], Awaitable[FetchedObject]] | None = None,
        timeout: float | None = LOOK_TIMEOUT,
    ) -> bool:
        """Return whether an answer or a failure is there; see `Job.done`. `fetch` is awaited."""
        client, deadline = _require_client(self._client), Deadline(time, timeout)
        if fetch is not None:
            looking_flow = is_done(self.output, deadline)
            return await run_async(looking_flow, _AsyncFetchingIO(client._io, fetch))
        object_reader = _make_reader(await client._ready())
        return await run_async(is_done(self.output, deadline, object_reader.exists), client._io)


def stored_output(
    output_location: str, failure_location: str | None, inference_id: str | None
) -> InvokeEndpointAsyncOutput:
    """Return the output of an invocation from its stored locations.

    Raises `ConstructionError` for a location that is no URL; `result` decides whether to follow it.
    """
    stored_locations = {"output_location": output_location, "failure_location": failure_location}
    for member, location in stored_locations.items():
        if location is None and member == "failure_location":
            continue
        if not isinstance(location, str) or not location.startswith(URL_SCHEMES):
            raise ConstructionError(member, "s3://bucket/key, or an http(s) URL")
    return InvokeEndpointAsyncOutput(
        inference_id=inference_id,
        output_location=output_location,
        failure_location=failure_location,
    )


def _require_client(client: ClientT | None) -> ClientT:
    if client is None:
        raise ConstructionError(
            "client",
            "given: use client.job(job.output_location, job.failure_location)",
            "this job was restored from a pickle and has none",
        )
    return client


def _make_reader(runtime: Runtime) -> ObjectReader:
    from smruntime_core.conversation import ObjectReader  # 2 ms that few clients need

    options = runtime.options
    config = runtime.config.replace(timeouts=options.timeouts)
    return ObjectReader(config, time, runtime.skew, max_body=options.max_body)


class _FetchingIO:
    """The effects of waiting with a caller's `fetch`."""

    def __init__(self, io: SyncIO, fetch: Callable[[str], FetchedObject]) -> None:
        self.sleep = io.sleep
        self._fetch_object = fetch

    def fetch(self, effect: Fetch, /) -> FetchedObject:
        return self._fetch_object(effect.location)


class _AsyncFetchingIO:
    """The effects of waiting with a caller's `fetch`, which is awaited."""

    def __init__(self, io: AsyncIO, fetch: Callable[[str], Awaitable[FetchedObject]]) -> None:
        self._io = io
        self._fetch_object = fetch

    async def sleep(self, effect: Sleep, /) -> None:
        await self._io.sleep(effect)

    async def fetch(self, effect: Fetch, /) -> FetchedObject:
        return await self._fetch_object(effect.location)
