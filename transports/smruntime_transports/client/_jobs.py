"""An accepted asynchronous invocation, and waiting for what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from smruntime_core import (
    AsyncIO,
    InvokeEndpointAsyncOutput,
    Metadata,
    Runtime,
    SyncIO,
    run,
    run_async,
)
from smruntime_core.conversation import Deadline, ObjectReader, wait_for_result
from smruntime_core.effects import Fetch, Sleep

from ._boundary import async_boundary, boundary

PATIENCE = 22_500.0  # seconds: as long as a request may wait by default, and the model take


class _Accepted:
    """What the service said when it took the invocation."""

    def __init__(self, output: InvokeEndpointAsyncOutput) -> None:
        self.output = output

    @property
    def inference_id(self) -> str | None:
        """The invocation's name, ours or the service's."""
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


class Job(_Accepted):
    """An accepted invocation; `wait` blocks."""

    def __init__(self, output: InvokeEndpointAsyncOutput, io: SyncIO, runtime: Runtime) -> None:
        super().__init__(output)
        self._io = io
        self._runtime = runtime

    @boundary
    def wait(
        self,
        *,
        fetch: Callable[[str], bytes | None] | None = None,
        timeout: float | None = PATIENCE,
    ) -> bytes:
        """The model's answer, read from S3 with the client's credentials; `fetch(location)` reads an object otherwise, or returns None
        while there is none.

        Looks at both locations, less and less often, for `timeout` seconds (None: for ever). Raises `ModelError` if the
        model failed, a `DispatchFailure` of kind timeout if nothing is there in time, a `ServiceError` with S3's code if it
        refuses, a `DispatchFailure` if it cannot be reached again and again, and what `fetch` raises.
        """
        deadline = Deadline(time, timeout)
        if fetch is None:
            return run(wait_for_result(self.output, deadline, _reader(self._runtime).get), self._io)
        return run(wait_for_result(self.output, deadline), _Fetching(self._io, fetch))


class AsyncJob(_Accepted):
    """An accepted invocation; `wait` is awaited."""

    def __init__(self, output: InvokeEndpointAsyncOutput, io: AsyncIO, runtime: Runtime) -> None:
        super().__init__(output)
        self._io = io
        self._runtime = runtime

    @async_boundary
    async def wait(
        self,
        *,
        fetch: Callable[[str], Awaitable[bytes | None]] | None = None,
        timeout: float | None = PATIENCE,
    ) -> bytes:
        """See `Job.wait`; `fetch` is awaited."""
        deadline = Deadline(time, timeout)
        if fetch is None:
            return await run_async(
                wait_for_result(self.output, deadline, _reader(self._runtime).get), self._io
            )
        return await run_async(
            wait_for_result(self.output, deadline), _AsyncFetching(self._io, fetch)
        )


def _reader(runtime: Runtime) -> ObjectReader:
    return ObjectReader(runtime.config, time, runtime.skew, max_body=runtime.options.max_body)


class _Fetching:
    def __init__(self, io: SyncIO, fetch: Callable[[str], bytes | None]) -> None:
        self.sleep = io.sleep
        self._fetch = fetch

    def fetch(self, effect: Fetch, /) -> bytes | None:
        return self._fetch(effect.location)


class _AsyncFetching:
    def __init__(self, io: AsyncIO, fetch: Callable[[str], Awaitable[bytes | None]]) -> None:
        self._io = io
        self._fetch = fetch

    async def sleep(self, effect: Sleep, /) -> None:
        await self._io.sleep(effect)

    async def fetch(self, effect: Fetch, /) -> bytes | None:
        return await self._fetch(effect.location)
