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
COMPARED_BATCHES = 5  # batches of the warm-up, and of each end that is compared
SLOW_SECONDS = 1.0  # until the container "slow" answers: longer than a busy machine pauses us


class Sample(NamedTuple):
    """What this process holds while no call is in progress."""

    resident: float  # KiB
    descriptors: float
    threads: float
    tasks: float
    objects: float


# How much each may grow. A worker may leave a connection in the pool, or not, and malloc decides
# when it returns memory.
GROWTH_LIMITS = Sample(resident=2048, descriptors=WORKERS, threads=0, tasks=0, objects=50 * WORKERS)


class CallKind(NamedTuple):
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


def _broken_stream(name: str, fault: str, error: type[BaseException]) -> CallKind:
    return CallKind(name, attributes=f"fault={fault}@2", streamed=True, error=error)


def _uncertain_failure(name: str, error: type[BaseException], **changes: Any) -> CallKind:
    return CallKind(name, error=error, error_is_certain=False, **changes)


CALL_MIX = (
    *[CallKind("call of iris", "iris")] * 30,
    *[CallKind("call of echo")] * 26,
    *[CallKind("stream to the end", streamed=True)] * 14,
    *[CallKind("stream closed early", attributes="cut=bytes", streamed=True, parts=3)] * 8,
    *[CallKind("unknown endpoint", "missing", error=sm.ValidationError)] * 4,
    *[CallKind("invalid member", "-", error=sm.ConstructionError)] * 2,
    *[_broken_stream("stream with an error", "ModelStreamError", sm.ModelStreamError)] * 2,
    *[_broken_stream("stream cut short", "truncate", sm.TruncatedStream)] * 2,
    *[_broken_stream("stream closed by server", "close", sm.DispatchFailure)] * 2,
    *[_uncertain_failure("retried call", sm.ServiceUnavailable, endpoint="flaky")] * 2,
    *[CallKind("timeout", "slow", timeout=0.02, error=TimeoutError)] * 2,
    *[_uncertain_failure("timeout at any point", TimeoutError, timeout=0.002)] * 2,
    *[CallKind("cancellation", "slow", cancel_after=0.01, error=TimeoutError)] * 2,
    *[_uncertain_failure("cancellation at any point", TimeoutError, cancel_after=0.002)] * 2,
)


def call_members(call_number: int, call_kind: CallKind) -> dict[str, Any]:
    """Return the members of a call."""
    return {
        "endpoint_name": call_kind.endpoint,
        "content_type": "text/csv",
        "body": b"5.1,3.5,1.4,0.2" if call_kind.endpoint == "iris" else b"%d" % call_number,
        "inference_id": f"soak-{call_number}",
        "custom_attributes": call_kind.attributes or f"trace={call_number:032x}",
    }


def make_call(client: Any, call_number: int, call_kind: CallKind) -> None:
    """Make one call."""
    seconds = call_kind.timeout or call_kind.cancel_after
    if seconds:
        client = client.with_options(timeout=seconds)
    if not call_kind.streamed:
        client.invoke_endpoint(**call_members(call_number, call_kind))
        return
    members = call_members(call_number, call_kind)
    with client.invoke_endpoint_with_response_stream(**members) as stream:
        for received_parts, _ in enumerate(stream.bytes(), 1):
            if received_parts == call_kind.parts:
                break


async def make_call_async(client: Any, call_number: int, call_kind: CallKind) -> None:
    """Make one call on an event loop."""
    if call_kind.timeout:
        client = client.with_options(timeout=call_kind.timeout)
    if not call_kind.streamed:
        await client.invoke_endpoint(**call_members(call_number, call_kind))
        return
    members = call_members(call_number, call_kind)
    async with client.invoke_endpoint_with_response_stream(**members) as stream:
        received_parts = 0
        async for _ in stream.bytes():
            received_parts += 1
            if received_parts == call_kind.parts:
                break


def describe_outcome(call_kind: CallKind, error: BaseException | None) -> str:
    """Return the outcome of a call by name; raise what should not have happened."""
    if error is None:
        if call_kind.error and call_kind.error_is_certain:
            raise AssertionError(f"{call_kind.name}: no {call_kind.error.__name__}")
        return f"{call_kind.name}: ok"
    if not (call_kind.error and isinstance(error, call_kind.error)):
        raise error
    return f"{call_kind.name}: {type(error).__name__}"


def take_sample(tasks: int) -> Sample:
    """Count what this process holds, after a garbage collection."""
    gc.collect()
    gc.collect()  # what the finalizers of the first have left
    status = Path("/proc/self/status").read_text("ascii")
    status_fields = dict(line.split(":", 1) for line in status.splitlines())
    resident, threads = (int(status_fields[name].split()[0]) for name in ("VmRSS", "Threads"))
    descriptors = len(os.listdir("/proc/self/fd"))
    return Sample(resident, descriptors, threads, tasks, len(gc.get_objects()))


class SoakRun:
    """The batches of one run, their outcomes, and a sample after each."""

    def __init__(self, calls: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self._size = calls // BATCHES
        self._random = random.Random(1)  # noqa: S311 - the same order in every run
        self._done: list[str] = []

    def batches(self) -> Iterator[Iterator[tuple[int, CallKind]]]:
        """Return the batches. An iterator over a list may be shared by threads."""
        for batch_number in range(BATCHES):
            call_kinds = self._random.choices(CALL_MIX, k=self._size)
            yield iter(list(enumerate(call_kinds, batch_number * self._size)))
            self.outcomes.update(self._done)
            self._done.clear()

    def record(self, call_kind: CallKind, error: BaseException | None) -> None:
        """Record the outcome of a call."""
        self._done.append(describe_outcome(call_kind, error))

    def growth(self) -> Sample:
        """Return by how much each count has grown since the warm-up."""
        early_samples = self.samples[COMPARED_BATCHES : 2 * COMPARED_BATCHES]
        late_samples = self.samples[-COMPARED_BATCHES:]
        early, late = (
            [median(counts) for counts in zip(*samples, strict=True)]
            for samples in (early_samples, late_samples)
        )
        return Sample(*(after - before for before, after in zip(early, late, strict=True)))


def run_threads(soak_run: SoakRun, client: Any) -> None:
    """Make the calls in threads."""
    failures: list[BaseException] = []

    def make_calls(numbered_calls: Iterator[tuple[int, CallKind]]) -> None:
        try:
            for call_number, call_kind in numbered_calls:
                error: Exception | None = None
                try:
                    make_call(client, call_number, call_kind)
                except Exception as raised:
                    error = raised
                soak_run.record(call_kind, error)
                error = None  # or its traceback would keep this frame
        except BaseException as failure:
            failures.append(failure)

    with client:
        for numbered_calls in soak_run.batches():
            threads = [
                threading.Thread(target=make_calls, args=(numbered_calls,)) for _ in range(WORKERS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failures:
                raise failures[0]
            soak_run.samples.append(take_sample(0))


CancelAfter: TypeAlias = Callable[[float], AbstractAsyncContextManager[None]]


async def make_calls_async(
    soak_run: SoakRun,
    client: Any,
    numbered_calls: Iterator[tuple[int, CallKind]],
    cancel_after: CancelAfter,
) -> None:
    """Make calls in one task."""
    for call_number, call_kind in numbered_calls:
        error: Exception | None = TimeoutError() if call_kind.cancel_after else None
        try:
            async with (
                cancel_after(call_kind.cancel_after) if call_kind.cancel_after else nullcontext()
            ):
                await make_call_async(client, call_number, call_kind)
                error = None
        except Exception as raised:
            error = raised
        soak_run.record(call_kind, error)
        error = None  # or its traceback would keep this frame


async def run_asyncio(soak_run: SoakRun, client: Any) -> None:
    """Make the calls in asyncio tasks."""

    @asynccontextmanager
    async def cancel_after(seconds: float) -> AsyncIterator[None]:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                yield

    async with client:
        for numbered_calls in soak_run.batches():
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(
                        make_calls_async(soak_run, client, numbered_calls, cancel_after)
                    )
            soak_run.samples.append(take_sample(len(asyncio.all_tasks())))


async def run_trio(soak_run: SoakRun, client: Any) -> None:
    """Make the calls in trio tasks."""
    trio: Any = import_module("trio")

    @asynccontextmanager
    async def cancel_after(seconds: float) -> AsyncIterator[None]:
        with trio.move_on_after(seconds):
            yield

    async with client:
        for numbered_calls in soak_run.batches():
            async with trio.open_nursery() as nursery:
                for _ in range(WORKERS):
                    nursery.start_soon(
                        make_calls_async, soak_run, client, numbered_calls, cancel_after
                    )
            soak_run.samples.append(take_sample(trio.lowlevel.current_statistics().tasks_living))


def run_transport(transport: str, calls: int) -> dict[str, Any]:
    """Make the calls over a transport in this process; return the growth and the outcomes."""
    module: Any = import_module(f"smruntime_transports.{transport}")
    soak_run = SoakRun(calls)
    if transport == "asyncio":
        asyncio.run(run_asyncio(soak_run, module.AsyncClient()))
    elif transport == "trio":
        import_module("trio").run(run_trio, soak_run, module.AsyncClient())
    else:
        run_threads(soak_run, module.Client())
    return {
        "samples": soak_run.samples,
        "growth": soak_run.growth()._asdict(),
        "outcomes": dict(sorted(soak_run.outcomes.items())),
    }


class SlowContainer(BaseHTTPRequestHandler):
    """A model that takes `SLOW_SECONDS`."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(SLOW_SECONDS)
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
    slow_container = ThreadingHTTPServer(("127.0.0.1", 0), SlowContainer)
    slow_container.daemon_threads = True
    threading.Thread(target=slow_container.serve_forever, daemon=True).start()
    backend = f"slow=http://127.0.0.1:{slow_container.server_port}"
    command = [sys.executable, "-P", "-m", "smruntime_local", "--backend", backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as endpoint_process:
        assert endpoint_process.stdout is not None
        export_lines = [endpoint_process.stdout.readline().strip() for _ in range(6)]
        settings = dict(line.removeprefix("export ").split("=", 1) for line in export_lines)
        try:
            yield os.environ | settings
        finally:
            endpoint_process.terminate()
            slow_container.shutdown()


def soak_transport(transport: str, calls: int) -> bool:
    """Run one transport in a process of its own and print the result; return whether it is good."""
    command = [sys.executable, "-P", __file__, "--run", transport, "--calls", str(calls)]
    started = time.monotonic()
    with local_endpoint() as settings:
        completed = subprocess.run(
            command, env=settings, stdout=subprocess.PIPE, text=True, check=False
        )
    if completed.returncode:
        print(f"{transport}: failed")
        return False
    report = json.loads(completed.stdout)
    growth = report["growth"]
    exceeded = [name for name, limit in GROWTH_LIMITS._asdict().items() if growth[name] > limit]
    verdict = f"grew: {', '.join(exceeded)}" if exceeded else "ok"
    counts = ", ".join(f"{name} {growth_count:+g}" for name, growth_count in growth.items())
    seconds = time.monotonic() - started
    print(f"{transport}: {calls} calls in {seconds:.0f} s, {counts}: {verdict}", flush=True)
    for name, count in report["outcomes"].items():
        print(f"    {count:6} {name}")
    if exceeded:
        print(*(f"    {sample}" for sample in report["samples"]), sep="\n")
    return not exceeded


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
    results = [soak_transport(transport, options.calls) for transport in options.only or TRANSPORTS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
