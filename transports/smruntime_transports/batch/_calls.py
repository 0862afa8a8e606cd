"""The call of one group, over a sync or an async client.

A real-time call is one operation. An asynchronous invocation is submitted, with an input above the
limit of the service put into S3 first; then its answer is awaited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias

from smruntime_core import (
    ConstructionError,
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointAsyncOutput,
    InvokeEndpointOutput,
    SmRuntimeError,
)

from ..client import AsyncClient, AsyncJob, Client, Job
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


class _Submission(Protocol):
    """The members of a job, sync or async, that are stored."""

    @property
    def output(self) -> InvokeEndpointAsyncOutput: ...


def _store(submission: _Submission) -> StoredJob:
    output = submission.output
    return StoredJob(str(output.output_location), output.failure_location)


class SyncCaller:
    """Makes calls that block."""

    def __init__(self, client: Client, plan: CallPlan, observe_job: JobObserver) -> None:
        self._client = client
        self._plan = plan
        self._observe_job = observe_job

    def make_call(self, call: Call) -> FinishedCall:
        """Return how a call ended; only exceptions that are not ours are raised."""
        job: Job | None = None
        try:
            operation = self._plan.operation
            if isinstance(operation, InvokeEndpoint):
                output = self._client.call(operation.replace(body=call.body))
            else:
                job = self._find_job(call, operation)
                output = job.result(timeout=self._plan.job_timeout)
        except SmRuntimeError as failure:
            return FinishedCall(call, failure=failure, was_accepted=job is not None)
        return FinishedCall(call, output)

    def _find_job(self, call: Call, operation: InvokeEndpointAsync) -> Job:
        """Return the job of an earlier run, or submit the group."""
        stored = call.group.job
        if stored is not None:
            return self._client.job(stored.output_location, stored.failure_location)
        if self._plan.needs_upload(call):
            location = self._plan.input_location(call)
            self._client.upload_input(location, call.body, content_type=operation.content_type)
            job = self._client.submit(operation.replace(body=None, input_location=location))
        else:
            job = self._client.submit(operation.replace(body=call.body))
        self._observe_job(call.group, _store(job))
        return job


class AsyncCaller:
    """Makes calls that are awaited; see `SyncCaller`."""

    def __init__(self, client: AsyncClient, plan: CallPlan, observe_job: JobObserver) -> None:
        self._client = client
        self._plan = plan
        self._observe_job = observe_job

    async def make_call(self, call: Call) -> FinishedCall:
        """Return how a call ended; only exceptions that are not ours are raised."""
        job: AsyncJob | None = None
        try:
            operation = self._plan.operation
            if isinstance(operation, InvokeEndpoint):
                output: InvokeEndpointOutput = await self._client.call(
                    operation.replace(body=call.body)
                )
            else:
                job = await self._find_job(call, operation)
                output = await job.result(timeout=self._plan.job_timeout)
        except SmRuntimeError as failure:
            return FinishedCall(call, failure=failure, was_accepted=job is not None)
        return FinishedCall(call, output)

    async def _find_job(self, call: Call, operation: InvokeEndpointAsync) -> AsyncJob:
        stored = call.group.job
        if stored is not None:
            return self._client.job(stored.output_location, stored.failure_location)
        if self._plan.needs_upload(call):
            location = self._plan.input_location(call)
            content_type = operation.content_type
            await self._client.upload_input(location, call.body, content_type=content_type)
            job = await self._client.submit(operation.replace(body=None, input_location=location))
        else:
            job = await self._client.submit(operation.replace(body=call.body))
        self._observe_job(call.group, _store(job))
        return job


CallMaker: TypeAlias = Callable[[Call], FinishedCall]
AsyncCallMaker: TypeAlias = Callable[[Call], Awaitable[FinishedCall]]
