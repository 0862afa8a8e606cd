"""Make many calls over every transport and check that nothing grows: `make soak`.

Eight threads or tasks share one client and make a mix of calls to the local endpoint: whole
answers, streams read to the end or closed early, errors, damaged streams, retries, timeouts and, on
event loops, cancellations. After each of 20 batches, with no call in progress, the process counts
its resident memory, file descriptors, threads, tasks and Python objects. Five batches are warm-up;
then the median of the last five batches is compared with the median of the five after the warm-up.

    python tests/soak.py [--calls 80000] [--only TRANSPORT]...

Every transport runs in a process of its own, the endpoint in another. The exit status is 1 if
something grew or a call ended otherwise than it should.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeAlias

import smruntime_core as sm

TRANSPORTS = ("sockets", "urllib3", "asyncio", "trio")
WORKERS = 8
BATCHES = 20
COMPARED = 5  # batches of the warm-up, and of each end that is compared
SLOW = 0.1  # seconds until the container "slow" answers


class Sample(NamedTuple):
    """What this process holds while no call is in progress."""

    resident: float  # KiB
    descriptors: float
    threads: float
    tasks: float
    objects: float


# How much each may grow. A worker may leave a connection in the pool, or not, and malloc decides
# when it returns memory.
LIMITS = Sample(resident=2048, descriptors=WORKERS, threads=0, tasks=0, objects=50 * WORKERS)


class Job(NamedTuple):
    """One kind of call, and how it should end."""

    name: str
    endpoint: str = "echo"
    attributes: str = ""
    streamed: bool = False
    parts: int | None = None  # after so many parts the stream is closed
    timeout: float | None = None
    cancel_after: float | None = None  # seconds; a timeout for a transport without cancellation
    error: type[BaseException] | None = None
    error_is_certain: bool = True


def _broken_stream(name: str, fault: str, error: type[BaseException]) -> Job:
    return Job(name, attributes=f"fault={fault}@2", streamed=True, error=error)


def _perhaps(name: str, error: type[BaseException], **changes: Any) -> Job:
    return Job(name, error=error, error_is_certain=False, **changes)


MIX = (
    *[Job("call of iris", "iris")] * 30,
    *[Job("call of echo")] * 26,
    *[Job("stream to the end", streamed=True)] * 14,
    *[Job("stream closed early", attributes="cut=bytes", streamed=True, parts=3)] * 8,
    *[Job("unknown endpoint", "missing", error=sm.ValidationError)] * 4,
    *[Job("invalid member", "-", error=sm.ConstructionError)] * 2,
    *[_broken_stream("stream with an error", "ModelStreamError", sm.ModelStreamError)] * 2,
    *[_broken_stream("stream cut short", "truncate", sm.TruncatedStream)] * 2,
    *[_broken_stream("stream closed by server", "close", sm.DispatchFailure)] * 2,
    *[_perhaps("retried call", sm.ServiceUnavailable, endpoint="flaky")] * 2,
    *[Job("timeout", "slow", timeout=SLOW / 5, error=TimeoutError)] * 2,
    *[_perhaps("timeout at any point", TimeoutError, timeout=0.002)] * 2,
    *[Job("cancellation", "slow", cancel_after=SLOW / 10, error=TimeoutError)] * 2,
    *[_perhaps("cancellation at any point", TimeoutError, cancel_after=0.002)] * 2,
)


def members_of(number: int, job: Job) -> dict[str, Any]:
    """Return the members of a call."""
    return {
        "endpoint_name": job.endpoint,
        "content_type": "text/csv",
        "body": b"5.1,3.5,1.4,0.2" if job.endpoint == "iris" else b"%d" % number,
        "inference_id": f"soak-{number}",
        "custom_attributes": job.attributes or f"trace={number:032x}",
    }


def call(client: Any, number: int, job: Job) -> None:
    """Make one call."""
    seconds = job.timeout or job.cancel_after
    if seconds:
        client = client.with_options(timeout=seconds)
    if not job.streamed:
        client.invoke_endpoint(**members_of(number, job))
        return
    with client.invoke_endpoint_with_response_stream(**members_of(number, job)) as stream:
        for received, _ in enumerate(stream.bytes(), 1):
            if received == job.parts:
                break


async def call_async(client: Any, number: int, job: Job) -> None:
    """Make one call on an event loop."""
    if job.timeout:
        client = client.with_options(timeout=job.timeout)
    if not job.streamed:
        await client.invoke_endpoint(**members_of(number, job))
        return
    members = members_of(number, job)
    async with client.invoke_endpoint_with_response_stream(**members) as stream:
        received = 0
        async for _ in stream.bytes():
            received += 1
            if received == job.parts:
                break


def outcome(job: Job, error: BaseException | None) -> str:
    """Return the outcome of a call by name; raise what should not have happened."""
    if error is None:
        if job.error and job.error_is_certain:
            raise AssertionError(f"{job.name}: no {job.error.__name__}")
        return f"{job.name}: ok"
    if not (job.error and isinstance(error, job.error)):
        raise error
    return f"{job.name}: {type(error).__name__}"


def take_sample(tasks: int) -> Sample:
    """Count what this process holds, after a garbage collection."""
    gc.collect()
    gc.collect()  # what the finalizers of the first have left
    status = Path("/proc/self/status").read_text("ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    resident, threads = (int(fields[name].split()[0]) for name in ("VmRSS", "Threads"))
    descriptors = len(os.listdir("/proc/self/fd"))
    return Sample(resident, descriptors, threads, tasks, len(gc.get_objects()))


class Run:
    """The batches of one run, their outcomes, and a sample after each."""

    def __init__(self, calls: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self._size = calls // BATCHES
        self._random = random.Random(1)  # noqa: S311 - the same order in every run
        self._done: list[str] = []

    def batches(self) -> Iterator[Iterator[tuple[int, Job]]]:
        """Return the batches. An iterator over a list may be shared by threads."""
        for batch in range(BATCHES):
            jobs = self._random.choices(MIX, k=self._size)
            yield iter(list(enumerate(jobs, batch * self._size)))
            self.outcomes.update(self._done)
            self._done.clear()

    def record(self, job: Job, error: BaseException | None) -> None:
        """Record the outcome of a call."""
        self._done.append(outcome(job, error))

    def growth(self) -> Sample:
        """Return by how much each count has grown since the warm-up."""
        first, last = self.samples[COMPARED : 2 * COMPARED], self.samples[-COMPARED:]
        pairs = zip(zip(*first, strict=True), zip(*last, strict=True), strict=True)
        return Sample(*(median(after) - median(before) for before, after in pairs))


def run_threads(run: Run, client: Any) -> None:
    """Make the calls in threads."""
    failures: list[BaseException] = []

    def work(jobs: Iterator[tuple[int, Job]]) -> None:
        try:
            for number, job in jobs:
                error: Exception | None = None
                try:
                    call(client, number, job)
                except Exception as raised:
                    error = raised
                run.record(job, error)
                error = None  # or its traceback would keep this frame
        except BaseException as failure:
            failures.append(failure)

    with client:
        for jobs in run.batches():
            threads = [threading.Thread(target=work, args=(jobs,)) for _ in range(WORKERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failures:
                raise failures[0]
            run.samples.append(take_sample(0))


Cancel: TypeAlias = Callable[[float], AbstractAsyncContextManager[None]]


async def work_async(
    run: Run, client: Any, jobs: Iterator[tuple[int, Job]], cancel: Cancel
) -> None:
    """Make calls in one task."""
    for number, job in jobs:
        error: Exception | None = TimeoutError() if job.cancel_after else None
        try:
            async with cancel(job.cancel_after) if job.cancel_after else nullcontext():
                await call_async(client, number, job)
                error = None
        except Exception as raised:
            error = raised
        run.record(job, error)
        error = None  # or its traceback would keep this frame


async def run_asyncio(run: Run, client: Any) -> None:
    """Make the calls in asyncio tasks."""

    @asynccontextmanager
    async def cancel(seconds: float) -> AsyncIterator[None]:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                yield

    async with client:
        for jobs in run.batches():
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(work_async(run, client, jobs, cancel))
            run.samples.append(take_sample(len(asyncio.all_tasks())))


async def run_trio(run: Run, client: Any) -> None:
    """Make the calls in trio tasks."""
    trio: Any = import_module("trio")

    @asynccontextmanager
    async def cancel(seconds: float) -> AsyncIterator[None]:
        with trio.move_on_after(seconds):
            yield

    async with client:
        for jobs in run.batches():
            async with trio.open_nursery() as nursery:
                for _ in range(WORKERS):
                    nursery.start_soon(work_async, run, client, jobs, cancel)
            run.samples.append(take_sample(trio.lowlevel.current_statistics().tasks_living))


def run_transport(transport: str, calls: int) -> dict[str, Any]:
    """Make the calls over a transport in this process; return the growth and the outcomes."""
    module: Any = import_module(f"smruntime_transports.{transport}")
    run = Run(calls)
    if transport == "asyncio":
        asyncio.run(run_asyncio(run, module.AsyncClient()))
    elif transport == "trio":
        import_module("trio").run(run_trio, run, module.AsyncClient())
    else:
        run_threads(run, module.Client())
    return {
        "samples": run.samples,
        "growth": run.growth()._asdict(),
        "outcomes": dict(sorted(run.outcomes.items())),
    }


class SlowContainer(BaseHTTPRequestHandler):
    """A model that takes `SLOW` seconds."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(SLOW)
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def local_endpoint() -> Iterator[dict[str, str]]:
    """Run the local endpoint in a process of its own; yield the environment that leads to it."""
    slow = ThreadingHTTPServer(("127.0.0.1", 0), SlowContainer)
    slow.daemon_threads = True
    threading.Thread(target=slow.serve_forever, daemon=True).start()
    backend = f"slow=http://127.0.0.1:{slow.server_port}"
    command = [sys.executable, "-P", "-m", "smruntime_local", "--backend", backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        exports = [server.stdout.readline().strip() for _ in range(6)]
        settings = dict(line.removeprefix("export ").split("=", 1) for line in exports)
        try:
            yield os.environ | settings
        finally:
            server.terminate()
            slow.shutdown()


def soak(transport: str, calls: int) -> bool:
    """Run one transport in a process of its own and print the result; return whether it is good."""
    command = [sys.executable, "-P", __file__, "--run", transport, "--calls", str(calls)]
    started = time.monotonic()
    with local_endpoint() as settings:
        done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(f"{transport}: failed")
        return False
    report = json.loads(done.stdout)
    growth = report["growth"]
    over = [name for name, limit in LIMITS._asdict().items() if growth[name] > limit]
    verdict = f"grew: {', '.join(over)}" if over else "ok"
    counts = ", ".join(f"{name} {grown:+g}" for name, grown in growth.items())
    seconds = time.monotonic() - started
    print(f"{transport}: {calls} calls in {seconds:.0f} s, {counts}: {verdict}", flush=True)
    for name, count in report["outcomes"].items():
        print(f"    {count:6} {name}")
    if over:
        print(*(f"    {sample}" for sample in report["samples"]), sep="\n")
    return not over


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=80_000, help="for each transport")
    parser.add_argument("--only", action="append", choices=TRANSPORTS, help="repeatable")
    parser.add_argument("--run", choices=TRANSPORTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run_transport(options.run, options.calls)))
        return 0
    results = [soak(transport, options.calls) for transport in options.only or TRANSPORTS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
