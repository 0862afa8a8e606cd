"""Asynchronous invocations: accepted at once, run by a worker, with outputs in an object store.

    submit ──> queue ──> worker ──> <url>/async/<id>/<name>.out         the response
                                └─> <url>/async/<id>/<name>-error.out   the error

The store is in memory and keeps the newest objects. The server returns an object to every peer that
knows its URL; the id in it cannot be guessed. A call that has waited longer than its time to live
fails.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from smruntime_core import (
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointAsyncOutput,
    ServiceError,
    ServiceUnavailable,
)

Invoke: TypeAlias = Callable[[InvokeEndpoint, float], bytes]

WORKER_COUNT: Final = 2
MAX_WAITING_JOBS: Final = 1000
STORE_SIZE: Final = 256 * 1024 * 1024  # bytes
DEFAULT_TIME_TO_LIVE: Final = 21_600.0  # seconds
DEFAULT_INVOCATION_TIMEOUT: Final = 900.0  # seconds


class ObjectStore:
    """The newest objects by location, up to `maximum_size` bytes together. Thread-safe.

    An object that is larger than that is not stored.
    """

    def __init__(self, maximum_size: int = STORE_SIZE) -> None:
        self._maximum_size = maximum_size
        self._store_lock = threading.Lock()
        self._objects: dict[str, bytes] = {}
        self._stored_size = 0

    def put(self, location: str, data: bytes) -> None:
        """Store `data`, replace an earlier object, and delete the oldest ones if need be."""
        with self._store_lock:
            self._stored_size += len(data) - len(self._objects.pop(location, b""))
            self._objects[location] = data
            while self._stored_size > self._maximum_size:
                oldest_location = next(iter(self._objects))
                self._stored_size -= len(self._objects.pop(oldest_location))

    def clear(self) -> None:
        """Delete all objects."""
        with self._store_lock:
            self._objects.clear()
            self._stored_size = 0

    def get(self, location: str) -> bytes | None:
        """Return the object at `location`; None if there is none."""
        with self._store_lock:
            return self._objects.get(location)


class _AsyncJob(NamedTuple):
    call: InvokeEndpointAsync
    invoke: Invoke
    output_location: str
    failure_location: str
    expires_at: float

    @property
    def body_size(self) -> int:
        return len(self.call.body or b"")


class AsyncJobs:
    """A queue of invocations with its workers.

    `invoke(call, seconds)` runs the model, locations begin with `base_url`, `clock` returns
    seconds.
    """

    def __init__(
        self,
        invoke: Invoke,
        store: ObjectStore,
        base_url: str,
        *,
        worker_count: int = WORKER_COUNT,
        max_waiting_jobs: int = MAX_WAITING_JOBS,
        max_waiting_bytes: int = STORE_SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._invoke = invoke
        self._store = store
        self._base_url = base_url
        self._waiting_jobs: queue.Queue[_AsyncJob | None] = queue.Queue(max_waiting_jobs)
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting_bytes = 0
        self._counter_lock = threading.Lock()
        self._clock = clock
        self._is_closing = False
        self._workers = [
            threading.Thread(target=self._run_jobs, daemon=True) for _ in range(worker_count)
        ]
        for worker in self._workers:
            worker.start()

    def submit(
        self, call: InvokeEndpointAsync, invoke: Invoke | None = None
    ) -> InvokeEndpointAsyncOutput:
        """Enqueue `call` and return the locations of its output and failure.

        `invoke` runs another model. Raises `ServiceUnavailable` if too many calls wait.
        """
        invocation_id = str(uuid.uuid4())
        output_location, failure_location = _make_locations(
            call, f"{self._base_url}/async/{invocation_id}"
        )
        expires_at = self._clock() + (call.request_ttl_seconds or DEFAULT_TIME_TO_LIVE)
        try:
            locations = output_location, failure_location
            self._enqueue(_AsyncJob(call, invoke or self._invoke, *locations, expires_at))
        except queue.Full:
            message = "Too many invocations are waiting. Try your call again."
            raise ServiceUnavailable(message) from None
        return InvokeEndpointAsyncOutput(
            inference_id=call.inference_id or invocation_id,
            output_location=output_location,
            failure_location=failure_location,
        )

    def close(self) -> None:
        """End each worker after its current invocation; waiting invocations are dropped."""
        self._is_closing = True
        for _ in self._workers:
            try:
                self._waiting_jobs.put_nowait(None)
            except queue.Full:
                return  # the workers wake up for the jobs in the queue

    def _enqueue(self, job: _AsyncJob) -> None:
        """Append a job; raises `queue.Full` if too many jobs or bytes wait already."""
        with self._counter_lock:
            if self._waiting_bytes + job.body_size > self._max_waiting_bytes:
                raise queue.Full
            self._waiting_jobs.put_nowait(job)
            self._waiting_bytes += job.body_size

    def _run_jobs(self) -> None:
        while (job := self._waiting_jobs.get()) is not None and not self._is_closing:
            with self._counter_lock:
                self._waiting_bytes -= job.body_size
            try:
                self._store.put(job.output_location, self._run_job(job))
            except ServiceError as failure:
                self._store.put(job.failure_location, failure.message_raw.encode())

    def _run_job(self, job: _AsyncJob) -> bytes:
        if self._clock() >= job.expires_at:
            raise ServiceError("The invocation waited longer than its RequestTTLSeconds.")
        call, input_body = job.call, job.call.body
        if input_body is None:
            input_body = self._store.get(call.input_location or "")
        if input_body is None:
            raise ServiceError(f"There is no object at {call.input_location}.")
        seconds = call.invocation_timeout_seconds or DEFAULT_INVOCATION_TIMEOUT
        return job.invoke(_make_container_call(call, bytes(input_body)), seconds)


def _make_locations(call: InvokeEndpointAsync, folder: str) -> tuple[str, str]:
    """Return the locations of the output and of the failure.

    The extension of a requested file name belongs to the output only.
    """
    subfolder = (call.s3_output_path_extension or "").strip("/")
    output_folder = f"{folder}/{subfolder}" if subfolder else folder
    file_name = call.filename or "answer.out"
    return (
        f"{output_folder}/{file_name}",
        f"{output_folder}/{file_name.partition('.')[0]}-error.out",
    )


def _make_container_call(call: InvokeEndpointAsync, input_body: bytes) -> InvokeEndpoint:
    """Return the members of `call` that the container receives."""
    return InvokeEndpoint(
        endpoint_name=call.endpoint_name,
        body=input_body,
        content_type=call.content_type,
        accept=call.accept,
        custom_attributes=call.custom_attributes,
        inference_id=call.inference_id,
    )
