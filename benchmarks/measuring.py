"""How things are measured: what can be, in which process, by which clock.

A subject says what one of its calls costs, averaged over a number of them; `compare` lets subjects take turns and gives the median
turn of each. A peer with an environment of its own (`.venv-peer-NAME`) is a subject too: a `Worker`, the same code in another process.
What cannot be measured here is `Missing`, and says why.
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
from time import process_time
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

HERE = Path(__file__).parent
_ALL_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()


class Missing(NamedTuple):
    """Not measured, and why."""

    why: str


Value: TypeAlias = "float | Missing"
Call: TypeAlias = Callable[[], Awaitable[object]]


class Effort(NamedTuple):
    """How much to measure: turns of every subject, how long each is, and processes started of a kind."""

    rounds: int
    milliseconds: float
    starts: int


FULL = Effort(31, 40.0, 15)
QUICK = Effort(5, 10.0, 3)


class Measurable(Protocol):
    """Anything that `compare` can compare."""

    def measure(self, number: int, /) -> float:
        """What one call costs, over `number` of them."""
        ...


class Subject(NamedTuple):
    """CPU microseconds of `call`, or if `fresh` is given, of `call` on each of the things it makes off the clock."""

    call: Callable[..., object]
    fresh: Callable[[], Any] | None = None

    def measure(self, number: int) -> float:
        arguments: list[tuple[Any, ...]] = [(self.fresh(),) if self.fresh else () for _ in range(number)]
        call = self.call
        begun = process_time()
        for each in arguments:
            call(*each)
        return (process_time() - begun) / number * 1e6


class Awaited(NamedTuple):
    """CPU microseconds of one await on the event loop that `run` runs; `making` sets up, off the clock, what is awaited."""

    making: Callable[[], AbstractAsyncContextManager[Call]]
    run: Callable[[Callable[[], Awaitable[float]]], float] = lambda turn: asyncio.run(cast("Any", turn()))

    def measure(self, number: int) -> float:
        async def turn() -> float:
            async with self.making() as call:
                await call()
                await call()
                begun = process_time()
                for _ in range(number):
                    await call()
                return (process_time() - begun) / number * 1e6

        return self.run(turn)


class Worker:
    """What `MODULE:FACTORY` of this folder makes of `arguments`, measured in a fresh process of the Python at `python`."""

    def __init__(self, python: str, factory: str, *arguments: str) -> None:
        self._command = [python, str(HERE / "worker.py"), factory, *arguments]
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(python))

    def measure(self, number: int) -> float:
        sent, received = self._process.stdin, self._process.stdout
        assert sent is not None
        assert received is not None
        print(number, file=sent, flush=True)
        answer = received.readline()
        if not answer:
            raise RuntimeError(f"{self._command} gave up")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def environment(python: str, **more: str) -> dict[str, str]:
    """For a process to be measured: no settings of whoever runs this; if its Python is this one, the same packages as here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SMRUNTIME_", "PYTHON"))}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    return kept | nowhere | ({"PYTHONPATH": homes()} if python == sys.executable else {}) | more


def homes() -> str:
    """Where this library is imported from here, installed or not, as a `PYTHONPATH`."""
    names = ("smruntime_core", "smruntime_transports")
    return os.pathsep.join(dict.fromkeys(str(Path(str(importlib.import_module(name).__file__)).parents[1]) for name in names))


def python_of(peer: str) -> str | Missing:
    """The Python that has `peer`: that of its own environment, or else this one."""
    home = HERE.parent / f".venv-peer-{peer}"
    if (home / "bin" / "python").exists():
        return str(home / "bin" / "python")
    if find_spec(peer):
        return sys.executable
    why = HERE.parent / "build" / f"{peer}.why"
    return Missing(why.read_text("utf-8").strip() if why.exists() else f"{peer} is not installed (`make bench` does it)")


class Bench(ExitStack):
    """How much to measure, and the processes that are needed for it; they end with it."""

    def __init__(self, effort: Effort) -> None:
        super().__init__()
        self.effort = effort

    def peer(self, name: str, factory: str, *arguments: str) -> Measurable | Missing:
        """A subject that lives where `name` is installed."""
        python = python_of(name)
        return python if isinstance(python, Missing) else self.worker(python, factory, *arguments)

    def worker(self, python: str, factory: str, *arguments: str) -> Worker:
        """A subject in a process of its own."""
        worker = Worker(python, factory, *arguments)
        self.callback(worker.close)
        return worker

    def compare(self, subjects: Mapping[str, Measurable | Missing]) -> dict[str, Value]:
        """The median turn of each, all of them taking turns."""
        rounds, milliseconds, _ = self.effort
        numbers: dict[str, int] = {}
        for name, subject in subjects.items():
            if not isinstance(subject, Missing):
                first = subject.measure(2)
                numbers[name] = max(2, int(milliseconds * 1000 / max(subject.measure(10) if first < 20_000 else first, 0.1)))
        turns: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(rounds):
            for name, subject in subjects.items():
                if not isinstance(subject, Missing):
                    turns[name].append(subject.measure(numbers[name]))
        return {name: subject if isinstance(subject, Missing) else median(turns[name]) for name, subject in subjects.items()}


class Ports(NamedTuple):
    """Where the server listens."""

    plain: int
    tls: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.plain}"


@contextmanager
def serving(certificate: str | None = None) -> Iterator[Ports]:
    """`server.py` in a process of its own; with TLS if there is a certificate. It runs where this one may run now."""
    command = [sys.executable, str(HERE / "server.py"), *([certificate] if certificate else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ports = [int(port) for port in process.stdout.readline().split()]
        try:
            yield Ports(ports[0], ports[-1])
        finally:
            process.terminate()


def pin() -> str:
    """Stay on one core, where the system allows it, and children with us; says what came of it."""
    if not _ALL_CORES:
        return "not pinned: this system cannot"
    core = max(_ALL_CORES)
    os.sched_setaffinity(0, {core})
    return f"pinned to core {core}"


@contextmanager
def all_cores() -> Iterator[None]:
    """For a while, this process and the children that it starts may run where they like."""
    here = os.sched_getaffinity(0) if _ALL_CORES else set[int]()
    if here:
        os.sched_setaffinity(0, _ALL_CORES)
    try:
        yield
    finally:
        if here:
            os.sched_setaffinity(0, here)
