"""Clocks, processes and rounds.

A subject measures the cost of one call as the mean of a number of them. `Bench.compare` lets
subjects take turns and returns the median turn of each. A peer with an environment of its own
(`.venv-peer-NAME`) is measured by a `Worker`, the same code in another process. What cannot be
measured is `Missing`, with the reason.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple, Protocol, TypeAlias

from work import fresh_members

BENCHMARKS = Path(__file__).parent
TASK_COUNT = 1000
_AVAILABLE_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()


class Missing(NamedTuple):
    """A value that could not be measured, and why."""

    reason: str


Value: TypeAlias = "float | Missing"
Members: TypeAlias = "dict[str, Any]"
AsyncCall: TypeAlias = Callable[[Members], Awaitable[object]]
Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncCall]]


class Effort(NamedTuple):
    """Turns of each subject, milliseconds of each turn, and processes started of each kind."""

    rounds: int
    milliseconds: float
    starts: int


FULL_EFFORT = Effort(31, 40.0, 15)
QUICK_EFFORT = Effort(5, 10.0, 3)


class Measurable(Protocol):
    """A subject that `Bench.compare` compares."""

    def measure(self, number: int, /) -> float:
        """Return the cost of one call, measured over `number` calls."""
        ...


class Subject(NamedTuple):
    """CPU microseconds of `call`; its arguments are prepared before the clock starts."""

    call: Callable[[Any], object]
    prepare: Callable[[], Any] = fresh_members

    def measure(self, number: int) -> float:
        arguments = [self.prepare() for _ in range(number)]
        call = self.call
        started = process_time()
        for argument in arguments:
            call(argument)
        return (process_time() - started) / number * 1e6


def run_asyncio(turn: Callable[[], Awaitable[float]]) -> float:
    """Run an async function as `trio.run` does."""

    async def main() -> float:
        return await turn()

    return asyncio.run(main())


class AsyncSubject(NamedTuple):
    """CPU microseconds of one awaited call, one call after the other."""

    connect: Connect
    prepare: Callable[[], Members] = fresh_members
    run: Callable[[Callable[[], Awaitable[float]]], float] = run_asyncio

    def measure(self, number: int) -> float:
        arguments = [self.prepare() for _ in range(number)]

        async def turn() -> float:
            async with self.connect() as call:
                await call(self.prepare())
                await call(self.prepare())
                started = process_time()
                for argument in arguments:
                    await call(argument)
                return (process_time() - started) / number * 1e6

        return self.run(turn)


class Crowd:
    """Wall microseconds of one call when asyncio tasks, 1000 by default, call at once.

    `latencies` are those of the last turn, in milliseconds, sorted.
    """

    def __init__(
        self,
        connect: Connect,
        prepare: Callable[[], Members] = fresh_members,
        task_count: int = TASK_COUNT,
    ) -> None:
        self._connect = connect
        self._prepare = prepare
        self._task_count = task_count
        self.latencies: list[float] = []

    def measure(self, number: int) -> float:
        calls_per_task = number // self._task_count + 1  # the first call of a task is not measured
        arguments = [
            [self._prepare() for _ in range(calls_per_task)] for _ in range(self._task_count)
        ]
        return asyncio.run(self._run(arguments))

    async def _run(self, arguments: list[list[Members]]) -> float:
        latencies: list[float] = []

        async def call_repeatedly(task_arguments: list[Members]) -> None:
            for argument in task_arguments:
                started = perf_counter()
                await call(argument)
                latencies.append((perf_counter() - started) * 1e3)

        async with self._connect() as call:
            await asyncio.gather(
                *(call_repeatedly([task_arguments.pop()]) for task_arguments in arguments)
            )  # opens the connections
            latencies.clear()
            started = perf_counter()
            await asyncio.gather(*map(call_repeatedly, arguments))
            seconds = perf_counter() - started
        self.latencies = sorted(latencies)
        return seconds / len(latencies) * 1e6

    def percentile(self, percent: int) -> float:
        """Return the latency in milliseconds that `percent` percent of the calls did not exceed."""
        return self.latencies[len(self.latencies) * percent // 100]


class LongestBlock(NamedTuple):
    """Milliseconds for which an asyncio loop runs no other task while `work` runs, at most."""

    work: Callable[[float], Awaitable[object]]  # ends after so many seconds
    seconds: float = 1.0

    def measure(self, number: int) -> float:
        del number  # the longest block of one run
        return asyncio.run(self._run())

    async def _run(self) -> float:
        task = asyncio.ensure_future(self.work(self.seconds))
        longest, last_turn = 0.0, perf_counter()
        while not task.done():
            await asyncio.sleep(0)
            this_turn = perf_counter()
            longest, last_turn = max(longest, this_turn - last_turn), this_turn
        await task
        return longest * 1e3


class MemoryGrowth(NamedTuple):
    """Megabytes by which resident memory rises during one call, at its peak (Linux)."""

    call: Callable[[Any], object]
    prepare: Callable[[], Any]

    def measure(self, number: int) -> float:
        del number  # a second call would use memory that the first has left
        argument = self.prepare()
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # resets the peak, VmHWM
        megabytes_before = resident_megabytes("VmRSS")
        self.call(argument)
        return resident_megabytes("VmHWM") - megabytes_before


def resident_megabytes(field: str) -> float:
    """Return megabytes resident now (`VmRSS`) or at most so far (`VmHWM`)."""
    process_status = Path("/proc/self/status").read_text("ascii")
    return int(process_status.partition(f"{field}:")[2].split()[0]) * 1024 / 1e6


class Worker:
    """The subject that `MODULE:FACTORY` of this folder returns, in a process of its own."""

    def __init__(self, python: str, factory: str, *arguments: str) -> None:
        self._command = [python, str(BENCHMARKS / "worker.py"), factory, *arguments]
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment(python),
        )

    def measure(self, number: int) -> float:
        requests, replies = self._process.stdin, self._process.stdout
        assert requests is not None
        assert replies is not None
        print(number, file=requests, flush=True)
        reply_line = replies.readline()
        if not reply_line:
            raise RuntimeError(f"{self._command} ended early")
        return float(reply_line)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def child_environment(python: str, **settings: str) -> dict[str, str]:
    """Return the environment of a measured process, without AWS or Python settings of this one."""
    prefixes = ("AWS_", "SMRUNTIME_", "PYTHON")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    variables |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if python == sys.executable:
        variables["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(package_folders()))
    return variables | settings


def package_folders() -> list[str]:
    """Return the folders from which this process imports this library."""
    packages = map(importlib.import_module, ("smruntime_core", "smruntime_transports"))
    return [str(Path(str(package.__file__)).parents[1]) for package in packages]


def find_python(peer: str) -> str | Missing:
    """Return the Python that has `peer`: that of its own environment, else this one."""
    own_environment = BENCHMARKS.parent / f".venv-peer-{peer}" / "bin" / "python"
    if own_environment.exists():
        return str(own_environment)
    if find_spec(peer):
        return sys.executable
    reason_file = BENCHMARKS.parent / "build" / f"{peer}.why"
    if reason_file.exists():
        return Missing(reason_file.read_text("utf-8").strip())
    return Missing(f"{peer} is not installed (`make bench` installs it)")


class Bench(ExitStack):
    """The effort, and the worker processes, which end with it."""

    def __init__(self, effort: Effort) -> None:
        super().__init__()
        self.effort = effort

    def peer(self, name: str, factory: str, *arguments: str) -> Worker | Missing:
        """Return a subject in a process where `name` is installed."""
        python = find_python(name)
        return python if isinstance(python, Missing) else self.worker(python, factory, *arguments)

    def worker(self, python: str, factory: str, *arguments: str) -> Worker:
        """Return a subject in a process of its own."""
        worker = Worker(python, factory, *arguments)
        self.callback(worker.close)
        return worker

    def compare(self, subjects: Mapping[str, Measurable | Missing]) -> dict[str, Value]:
        """Return the median turn of each subject; the subjects take turns."""
        present_subjects: dict[str, Measurable] = {}
        medians: dict[str, Value] = {}
        for name, subject in subjects.items():
            if isinstance(subject, Missing):
                medians[name] = subject
            else:
                present_subjects[name] = subject
        call_counts: dict[str, int] = {}
        for name, subject in present_subjects.items():
            microseconds = subject.measure(2)  # the first calls are slower
            if microseconds < 20_000:
                microseconds = subject.measure(10)
            call_counts[name] = max(
                2, int(self.effort.milliseconds * 1000 / max(microseconds, 0.1))
            )
        turn_costs: dict[str, list[float]] = {name: [] for name in present_subjects}
        for _ in range(self.effort.rounds):
            for name, subject in present_subjects.items():
                turn_costs[name].append(subject.measure(call_counts[name]))
        return medians | {name: median(values) for name, values in turn_costs.items()}


class Ports(NamedTuple):
    """The ports of the server, for http and https."""

    plain: int
    tls: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.plain}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self.tls}"


@contextmanager
def run_server(certificate: str | None = None) -> Iterator[Ports]:
    """Run `server.py` in a process of its own, with TLS if there is a certificate."""
    command = [sys.executable, str(BENCHMARKS / "server.py")]
    command += [certificate] if certificate else []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port_numbers = [int(port) for port in process.stdout.readline().split()]
        try:
            yield Ports(port_numbers[0], port_numbers[-1])
        finally:
            process.terminate()


def write_certificates(folder: Path) -> tuple[str, str]:
    """Write two files: the certificate authority, and the server's key with its certificate."""
    trustme: Any = importlib.import_module("trustme")
    authority = trustme.CA()
    bundle, certificate = folder / "authority.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(bundle)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    return str(bundle), str(certificate)


def pin_to_core() -> str:
    """Pin this process and its later children to one core; return what was done."""
    if not _AVAILABLE_CORES:
        return "not pinned: this system has no sched_setaffinity"
    last_core = max(_AVAILABLE_CORES)
    os.sched_setaffinity(0, {last_core})
    return f"pinned to core {last_core}"


@contextmanager
def use_all_cores() -> Iterator[None]:
    """Let this process and the children that it starts run on every core."""
    if not _AVAILABLE_CORES:
        yield
        return
    allowed_before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _AVAILABLE_CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed_before)
