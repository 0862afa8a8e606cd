"""Asynchronous inference: accepted now, answered later, the answer an object in a store.

    submit ──> queue ──> worker ──> <url>/async/<id>/<name>.out, or after a failure <url>/async/<id>/<name>-error.out

The objects are kept in memory, the newest of them, and the server gives them to whoever asks for their URL: the id in it is
nobody's to guess. A worker runs one invocation after the other; what waited longer than its time to live fails instead.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

from smruntime_core import (
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointAsyncOutput,
    ServiceError,
    ServiceUnavailable,
)

WORKERS = 2
MOST_WAITING = 1000
STORED = 256 * 1024 * 1024  # bytes
TTL = 21_600.0
TIMEOUT = 900.0


class Store:
    """Objects by location, the newest that fit into `limit` bytes; one that is larger is not kept. Safe for threads."""

    def __init__(self, limit: int = STORED) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._objects: dict[str, bytes] = {}
        self._size = 0

    def put(self, location: str, data: bytes) -> None:
        """Keep `data`, in place of what was there; the oldest objects make room."""
        with self._lock:
            self._size += len(data) - len(self._objects.pop(location, b""))
            self._objects[location] = data
            while self._size > self._limit:
                self._size -= len(self._objects.pop(next(iter(self._objects))))

    def get(self, location: str) -> bytes | None:
        """What is at `location`, None if there is nothing."""
        with self._lock:
            return self._objects.get(location)


class _Job(NamedTuple):
    call: InvokeEndpointAsync
    output: str
    failure: str
    expires: float


class Jobs:
    """The queue and its workers. `invoke(call, seconds)` runs the model, locations begin with `base`, `clock` gives seconds."""

    def __init__(
        self,
        invoke: Callable[[InvokeEndpoint, float], bytes],
        store: Store,
        base: str,
        *,
        workers: int = WORKERS,
        most: int = MOST_WAITING,
        most_bytes: int = STORED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._invoke = invoke
        self._store = store
        self._base = base
        self._waiting: queue.Queue[_Job | None] = queue.Queue(most)
        self._most_bytes = most_bytes
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._clock = clock
        self._closing = False
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for worker in self._workers:
            worker.start()

    def submit(self, call: InvokeEndpointAsync) -> InvokeEndpointAsyncOutput:
        """Where the answer or the failure will be. Raises `ServiceUnavailable` if too many calls wait."""
        made = str(uuid.uuid4())
        stem, output = _names(call, f"{self._base}/async/{made}")
        job = _Job(
            call, output, f"{stem}-error.out", self._clock() + (call.request_ttl_seconds or TTL)
        )
        try:
            self._enqueue(job)
        except queue.Full:
            raise ServiceUnavailable(
                "Too many invocations are waiting. Try your call again."
            ) from None
        return InvokeEndpointAsyncOutput(
            inference_id=call.inference_id or made,
            output_location=job.output,
            failure_location=job.failure,
        )

    def close(self) -> None:
        """Let the workers end, each after the invocation it is at; what waits is dropped."""
        self._closing = True
        for _ in self._workers:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                return  # then they wake without it

    def _enqueue(self, job: _Job) -> None:
        """Let a job wait; raises `queue.Full` if too many jobs or bytes wait already."""
        with self._lock:
            if self._waiting_bytes + _size(job) > self._most_bytes:
                raise queue.Full
            self._waiting.put_nowait(job)
            self._waiting_bytes += _size(job)

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None and not self._closing:
            with self._lock:
                self._waiting_bytes -= _size(job)
            try:
                self._store.put(job.output, self._run(job))
            except ServiceError as failure:
                self._store.put(job.failure, failure.message_raw.encode())

    def _run(self, job: _Job) -> bytes:
        if self._clock() >= job.expires:
            raise ServiceError("The invocation waited longer than its RequestTTLSeconds.")
        call, body = job.call, job.call.body
        if body is None:
            body = self._store.get(call.input_location or "")
        if body is None:
            raise ServiceError(f"There is no object at {call.input_location}.")
        return self._invoke(_plain(call, bytes(body)), call.invocation_timeout_seconds or TIMEOUT)


def _size(job: _Job) -> int:
    return len(job.call.body or b"")


def _names(call: InvokeEndpointAsync, folder: str) -> tuple[str, str]:
    """The location of the answer without its suffix, and with it; a file name that was asked for has one of its own."""
    place = "/".join(
        part for part in (folder, (call.s3_output_path_extension or "").strip("/")) if part
    )
    stem = f"{place}/{(call.filename or 'answer').partition('.')[0]}"
    return stem, f"{place}/{call.filename}" if call.filename else f"{stem}.out"


def _plain(call: InvokeEndpointAsync, body: bytes) -> InvokeEndpoint:
    """What the container sees of `call`."""
    return InvokeEndpoint(
        endpoint_name=call.endpoint_name,
        body=body,
        content_type=call.content_type,
        accept=call.accept,
        custom_attributes=call.custom_attributes,
        inference_id=call.inference_id,
    )
