"""What our own code costs, counted instead of timed, so that a slower commit is seen whatever the machine does.

    python benchmarks/run.py --only counts

Bytecodes, by `sys.settrace`, are the same in every run. Instructions, by valgrind where it is installed, include the interpreter and the
hashes (in software: valgrind knows no SHA instructions); hash seed and number of calls are fixed. The process forks off the runs
to be counted, so the interpreter starts only once, and the difference of a long and a short run has none of that start in it.

The ceilings are above what was counted when they were set, that of a whole call by a twentieth, those of its parts by a quarter.
Who needs more says in the commit what for.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple, NoReturn

import ours
import server
from measuring import Bench, Missing, Value
from work import NOW, URL

import smruntime_core as sm
from smruntime_transports.nonblocking._connection import READ, Connection
from smruntime_transports.wire._pool import Slot


class Ceiling(NamedTuple):
    """The most that one may cost, in bytecodes and in thousands of instructions."""

    bytecodes: int
    thousands: int


CEILINGS = {  # by version of Python
    (3, 11): {"sign": Ceiling(270, 85), "build + sign + parse": Ceiling(1065, 190), "a call, without a kernel": Ceiling(2280, 273)},
    (3, 12): {"sign": Ceiling(260, 90), "build + sign + parse": Ceiling(990, 212), "a call, without a kernel": Ceiling(2105, 316)},
    (3, 13): {"sign": Ceiling(255, 89), "build + sign + parse": Ceiling(950, 204), "a call, without a kernel": Ceiling(2050, 297)},
}
SHORT, LONG = 20, 70
URL_PLAIN = URL.replace("https", "http")


class Script:
    """A socket that takes everything and answers at once: no kernel, so nothing but our own work is counted."""

    def setblocking(self, blocking: bool) -> None:
        """It never blocks."""

    def send(self, data: memoryview) -> int:
        return len(data)

    def recv(self, size: int) -> bytes:
        del size
        return server.ANSWER


class Scripted(Connection):
    """A connection over it: silent while it is kept, ready as soon as it is asked."""

    def __init__(self, sock: Any, born: float) -> None:
        super().__init__(sock, born)
        self._poll = Glance()


class Glance:
    """The kernel's word on it."""

    def register(self, sock: object, mask: int) -> None:
        """There is but one."""

    def poll(self, milliseconds: float | None) -> list[tuple[int, int]]:
        return [(0, READ)] if milliseconds else []


def scripted_client() -> Any:
    """A client with such a connection to the origin of `URL_PLAIN`."""
    client = ours.client(URL_PLAIN)
    pool, clock = client._wire._pool, client._wire._clock
    script: Any = Script()
    slot = Slot()
    pool.acquire(slot, ("http", URL_PLAIN.partition("://")[2], None))
    slot.connection, slot.reusable = Scripted(script, clock()), True
    pool.release(slot)
    return client


def subjects() -> dict[str, Callable[[], object]]:
    """What is counted."""
    request = sm.InvokeEndpoint(**ours.MEMBERS).request(URL)
    client = scripted_client()
    return {
        "sign": lambda: sm.sign(request, ours.CREDENTIALS, ours.SCOPE, now=NOW),
        "build + sign + parse": ours.without_io,
        "a call, without a kernel": lambda: client.invoke_endpoint(**ours.MEMBERS).body,
    }


def bytecodes(do: Callable[[], object]) -> Counter[str]:
    """How many one `do()` runs, once what it caches is cached, by the file of their source."""
    do()
    do()
    count: Counter[str] = Counter()
    _monitored(do, count) if sys.version_info >= (3, 12) else _traced(do, count)
    return count


def _traced(do: Callable[[], object], count: Counter[str]) -> None:
    def trace(frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            count[frame.f_code.co_filename] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        do()
    finally:
        sys.settrace(before)


def _monitored(do: Callable[[], object], count: Counter[str]) -> None:
    """What `settrace` does not say reliably any more."""
    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009 - mypy reads this as of 3.11, which has none
    tool, event = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION

    def tell(code: CodeType, _: int) -> None:
        count[code.co_filename] += 1

    monitoring.use_tool_id(tool, __name__)
    monitoring.register_callback(tool, event, tell)
    monitoring.set_events(tool, event)
    try:
        do()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)


def instructions() -> dict[str, float]:
    """Of each subject, in thousands. Raises `OSError` if there is no valgrind that works here."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise FileNotFoundError("valgrind is not installed")
    command = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", sys.executable, __file__]
    done = subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=False)
    counted = {pid: int(refs.replace(",", "")) for pid, refs in re.findall(r"==(\d+)== I +refs: +([\d,]+)", done.stderr)}
    if done.returncode or not counted:
        raise OSError(f"valgrind does not work here: {done.stderr[-200:]}")
    runs = {(name, number): counted[pid] for pid, number, name in (line.split(" ", 2) for line in done.stdout.splitlines())}
    return {name: (runs[name, str(LONG)] - runs[name, str(SHORT)]) / (LONG - SHORT) / 1e3 for name in subjects()}


def fork() -> None:
    """Under valgrind: run everything in children, and say which was which."""
    gc.disable()
    for name in subjects():
        for number in (SHORT, LONG):
            child = os.fork()
            if not child:
                repeat(name, number)
            if os.waitpid(child, 0)[1]:
                sys.exit(f"{name} failed")
            print(child, number, name, flush=True)


def repeat(name: str, number: int) -> NoReturn:
    """A child's whole life."""
    do = subjects()[name]  # not the parent's: a client in a forked child begins with an empty pool
    status = 1
    try:
        for _ in range(number):
            do()
        status = 0
    finally:
        os._exit(status)


def counts(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """Everything in `CEILINGS`, as sections of the benchmark yield it; beside it the ceiling."""
    del bench
    ceilings = CEILINGS.get(sys.version_info[:2])
    unset = Missing("no ceiling was set for this version of Python")
    try:
        thousands: dict[str, Value] = {**instructions()}
    except OSError as error:
        thousands = dict.fromkeys(subjects(), Missing(str(error)))
    for name, do in subjects().items():
        yield float(bytecodes(do).total()), ceilings[name].bytecodes if ceilings else unset
        yield thousands[name], ceilings[name].thousands if ceilings else unset


if __name__ == "__main__":
    fork()
