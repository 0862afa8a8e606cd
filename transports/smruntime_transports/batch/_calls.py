"""The call of one group, over a sync or an async client.

A real-time call is one operation. An asynchronous invocation is submitted, with an input above the
limit of the service put into S3 first; then its answer is awaited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from smruntime_core import (
    ConstructionError,
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointOutput,
    SmRuntimeError,
    run,
    run_async,
)
from smruntime_core.effects import Flow

from ..client import AsyncClient, AsyncJob, Client, Job
from ..client._client_calls import AwaitedCalls, BlockingCalls, CallClient
from ._codecs import BatchCodec
from ._groups import Call, FinishedCall, Group, StoredJob

AnyOperation: TypeAlias = InvokeEndpoint | InvokeEndpointAsync
JobObserver: TypeAlias = Callable[[Group, StoredJob], None]

LARGEST_ASYNC_BODY: Final = 128_000  # bytes; larger inputs go through S3
DEFAULT_JOB_TIME: Final = 22_500.0  # seconds: that of `Job.result`


class CallPlan:
    """The operation of each call: that of the caller, with the body of the group."""

    def __init__(
        self,
        operation: AnyOperation,
        codec: BatchCodec,
        *,
        input_prefix: str | None,
        run_name: str,
        timeout: float | None,
    ) -> None:
        content_type = operation.content_type or codec.content_type
        accept = operation.accept or codec.accept
        self.operation = operation.replace(content_type=content_type, accept=accept)
        self._input_prefix = input_prefix
        self._run_name = run_name
        self.job_timeout = DEFAULT_JOB_TIME if timeout is None else timeout

    def needs_upload(self, call: Call) -> bool:
        """Return whether the body of an asynchronous invocation must go through S3."""
        return len(call.body) > LARGEST_ASYNC_BODY

    def input_location(self, call: Call) -> str:
        """Return where the body of a group is put."""
        indexes = call.group.indexes
        if self._input_prefix is None:
            message = (
                f"input_prefix: the request of records {indexes[0]} to {indexes[-1]} has "
                f"{len(call.body)} bytes, more than {LARGEST_ASYNC_BODY}; pass input_prefix="
                '"s3://bucket/folder/" (--input-prefix), or fewer rows_per_request'
            )
            raise ConstructionError("input_prefix", "given for large inputs", message=message)
        folder = self._input_prefix.rstrip("/")
        return f"{folder}/{self._run_name}/{indexes[0]}-{indexes[-1]}"


def _store(job: Job | AsyncJob) -> StoredJob:
    output = job.output
    return StoredJob(str(output.output_location), output.failure_location)


class _Caller:
    """Makes calls with one client; the conversation is that of both kinds of clients."""

    def __init__(
        self, client: Client | AsyncClient, plan: CallPlan, observe_job: JobObserver
    ) -> None:
        self._client = client
        self._plan = plan
        self._observe_job = observe_job

    def _flow(self, call: Call) -> Flow[FinishedCall]:
        """Return how a call ended; only exceptions that are not ours are raised."""
        client, operation = self._client, self._plan.operation
        job: Job | AsyncJob | None = None
        output: InvokeEndpointOutput
        try:
            if isinstance(operation, InvokeEndpoint):
                request = operation.replace(body=call.body)
                output = yield from CallClient(lambda: client.call(request))
            else:
                job = accepted_job = yield from self._find_job(call, operation)
                seconds = self._plan.job_timeout
                output = yield from CallClient(lambda: accepted_job.result(timeout=seconds))
        except SmRuntimeError as failure:
            return FinishedCall(call, failure=failure, was_accepted=job is not None)
        return FinishedCall(call, output)

    def _find_job(self, call: Call, operation: InvokeEndpointAsync) -> Flow[Job | AsyncJob]:
        """Return the job of an earlier run, or submit the group."""
        client, stored = self._client, call.group.job
        if stored is not None:
            return client.job(stored.output_location, stored.failure_location)
        if self._plan.needs_upload(call):
            location, content_type = self._plan.input_location(call), operation.content_type
            yield from CallClient(
                lambda: client.upload_input(location, call.body, content_type=content_type)
            )
            request = operation.replace(body=None, input_location=location)
        else:
            request = operation.replace(body=call.body)
        job: Job | AsyncJob = yield from CallClient(lambda: client.submit(request))
        self._observe_job(call.group, _store(job))
        return job


class SyncCaller(_Caller):
    """Makes calls of a `Client`."""

    def make_call(self, call: Call) -> FinishedCall:
        """Return how a call ended."""
        return run(self._flow(call), BlockingCalls())


class AsyncCaller(_Caller):
    """Makes calls of an `AsyncClient`."""

    async def make_call(self, call: Call) -> FinishedCall:
        """Return how a call ended."""
        return await run_async(self._flow(call), AwaitedCalls())


CallMaker: TypeAlias = Callable[[Call], FinishedCall]
AsyncCallMaker: TypeAlias = Callable[[Call], Awaitable[FinishedCall]]
