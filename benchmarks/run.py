"""The figures this library promises, each beside its peer, in one run:

    python benchmarks/run.py [--quick]

CPU time of this process (`time.process_time`), client and server pinned to one core, the median of interleaved rounds. On a
machine with other work the microseconds vary; the ratios hold. Imports: CPU time of fresh interpreters less a bare one's, the least of 9.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import peers
import server

import smruntime_core as sm
from smruntime_core.eventstream import EventStreamDecoder

HOME = str(Path(sm.__file__).parent.parent)  # where the very package lies that is measured, installed or not


class Subject(NamedTuple):
    """Something to time: `call`, or if `fresh` is given, `call` on each of the things it makes off the clock."""

    call: Callable[..., object]
    fresh: Callable[[], Any] | None = None

    def time(self, number: int) -> float:
        """CPU microseconds of one call, over `number` of them."""
        arguments: list[tuple[Any, ...]] = [(self.fresh(),) if self.fresh else () for _ in range(number)]
        call = self.call
        begun = process_time()
        for each in arguments:
            call(*each)
        return (process_time() - begun) / number * 1e6


class Row(NamedTuple):
    """A figure, its peer's, and the budget: at most `limit` µs and at most `factor` times the peer's."""

    figure: str
    ours: float
    peer: str
    theirs: float
    factor: float
    limit: float | None = None

    @property
    def within(self) -> bool:
        """The budget is kept."""
        return self.ours <= self.factor * self.theirs and (self.limit is None or self.ours <= self.limit)

    def __str__(self) -> str:
        ratio = f"{self.ours / self.theirs:.2f}" if self.factor >= 1 else f"1/{self.theirs / self.ours:.1f}"
        allowed = f"{self.factor:g} ×" if self.factor >= 1 else f"1/{1 / self.factor:.0f}"
        budget = f"≤ {allowed}" + ("" if self.limit is None else f", ≤ {self.limit:g} µs")
        verdict = "ok" if self.within else "OVER"
        return f"| {self.figure} | {self.ours:.2f} | {self.peer} | {self.theirs:.2f} | {ratio} | {budget} | {verdict} |"


HEADING = "| figure | µs | peer | its µs | ratio | budget | |\n|---|---:|---|---:|---:|---|---|"


def compare(subjects: dict[str, Subject], rounds: int, milliseconds: float) -> dict[str, float]:
    """The median of each, all of them taking turns; a turn lasts about `milliseconds`."""
    numbers: dict[str, int] = {}
    for name, subject in subjects.items():
        subject.time(2)
        numbers[name] = max(2, int(milliseconds * 1000 / max(subject.time(10), 0.1)))
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            times[name].append(subject.time(numbers[name]))
    return {name: median(taken) for name, taken in times.items()}


def signing(rounds: int, milliseconds: float) -> Iterator[Row]:
    """`sign` against botocore's `SigV4Auth.add_auth`: 100 bytes, eight header fields, a session token."""
    fresh, add_auth = peers.botocore_signer()
    subjects = {
        "ours": Subject(
            lambda request: sm.sign(request, peers.CREDENTIALS, peers.SCOPE, now=1.8e9),
            lambda: sm.InvokeEndpoint(**peers.MEMBERS).request(peers.URL),
        ),
        "botocore": Subject(add_auth, fresh),
    }
    took = compare(subjects, rounds, milliseconds)
    yield Row("sign, 100 B, token", took["ours"], "botocore add_auth", took["botocore"], 1 / 10, 6)


def without_io(rounds: int, milliseconds: float) -> Iterator[Row]:
    """A whole call but for sending: build and check the operation, sign its request, parse the answer."""
    response = sm.Response(200, server.HEADERS, server.BODY)

    def call() -> sm.InvokeEndpointOutput:
        operation = sm.InvokeEndpoint(**peers.MEMBERS)
        request = operation.request(peers.URL)
        signed = sm.sign(request, peers.CREDENTIALS, peers.SCOPE, now=1.8e9)
        request.but(headers=request.headers + signed.headers)
        return operation.parse(response)

    took = compare({"ours": Subject(call), "botocore": Subject(peers.botocore_without_io())}, rounds, milliseconds)
    yield Row("build + sign + parse, no I/O", took["ours"], "botocore client, stubbed", took["botocore"], 1 / 25, 10)


def loopback(rounds: int, milliseconds: float) -> Iterator[Row]:
    """One call on a kept connection to a server on the same core."""
    sockets: Any = import_module("smruntime_transports.sockets")
    with serving() as port:
        url = f"http://127.0.0.1:{port}"

        def client(**options: object) -> Callable[[], object]:
            made = sockets.Client(region=peers.REGION, endpoint_url=url, credentials=peers.CREDENTIALS, **options)
            return lambda: made.invoke_endpoint(**peers.MEMBERS).body

        subjects = {
            "sockets": Subject(client()),
            "raw": Subject(peers.raw_exchange(port)),
            "sockets, h11": Subject(client(engine="h11")),
            "h11": Subject(peers.h11_cycle(port)),
            "botocore": Subject(peers.botocore_call(url)),
        }
        took = compare(subjects, rounds, milliseconds)
    yield Row("one call over sockets", took["sockets"], "raw socket exchange", took["raw"], 4)
    yield Row("one call over sockets", took["sockets"], "botocore client", took["botocore"], 1 / 12)
    yield Row('the same, engine="h11"', took["sockets, h11"], "bare h11 cycle", took["h11"], 1.15)


def decoding(rounds: int, milliseconds: float) -> Iterator[Row]:
    """Events of 64 bytes out of an event stream that is there: our decoder, the whole parser, botocore's buffer."""
    stream = server.PART * server.EVENTS

    def ours() -> int:
        decoder = EventStreamDecoder()
        count = 0
        for start in range(0, len(stream), 1 << 16):
            decoder.receive_data(stream[start : start + (1 << 16)])
            while decoder.next_event() is not sm.NEED_DATA:
                count += 1
        return count

    took = compare({"ours": Subject(ours), "botocore": Subject(peers.botocore_decoder(stream))}, rounds, milliseconds)
    each = {name: value / server.EVENTS for name, value in took.items()}
    yield Row("decode an event, 64 B", each["ours"], "botocore EventStreamBuffer", each["botocore"], 1 / 8, 0.8)


def streaming(rounds: int, milliseconds: float) -> Iterator[Row]:
    """Events over loopback, one to a chunk."""
    sockets: Any = import_module("smruntime_transports.sockets")
    with serving() as port:
        url = f"http://127.0.0.1:{port}"
        client = sockets.Client(region=peers.REGION, endpoint_url=url, credentials=peers.CREDENTIALS)

        def ours() -> int:
            with client.invoke_endpoint_with_response_stream(**peers.MEMBERS) as stream:
                return sum(1 for _ in stream.bytes())

        took = compare({"ours": Subject(ours), "botocore": Subject(peers.botocore_stream(url))}, rounds, milliseconds)
    each = {name: value / server.EVENTS for name, value in took.items()}
    yield Row("an event over loopback, one a chunk", each["ours"], "botocore", each["botocore"], 1 / 5)


def credentials(rounds: int, milliseconds: float) -> Iterator[Row]:
    """Credentials that are held and will be renewed, then those of the environment in a fresh interpreter."""
    sockets: Any = import_module("smruntime_transports.sockets")
    client = sockets.Client(region=peers.REGION, credentials=peers.CREDENTIALS.but(expires_at=time.time() + 36000))
    io, effect = client._io, sm.GetCredentials()
    client._ready()
    io.credentials(effect)
    subjects = {"ours": Subject(lambda: io.credentials(effect)), "botocore": Subject(peers.botocore_credentials())}
    took = compare(subjects, rounds, milliseconds)
    yield Row("credentials that are held", took["ours"], "botocore, refreshable", took["botocore"], 1, 0.5)

    keys = "import os; os.environ |= dict(AWS_ACCESS_KEY_ID='A', AWS_SECRET_ACCESS_KEY='s'); "
    ours = "from smruntime_core.credentials import DefaultChain, World; world = World(os.environ, home='/', clock=time, random=float)"
    resolved = least_of_nine_inside(f"{keys}import smruntime_core as sm", f"{ours}; sm.run(DefaultChain().provide(world), None)")
    session = f"{keys}import botocore.session; session = botocore.session.Session()"
    theirs = least_of_nine_inside(session, "session.get_credentials()")
    yield Row("credentials of the environment", resolved, "botocore session", theirs, 1, 1000)


def importing(rounds: int, milliseconds: float) -> Iterator[Row]:
    """`import smruntime_core` against `import botocore.session`, each in fresh interpreters."""
    del rounds, milliseconds
    bare, ours, theirs = least_of_nine(("pass", "import smruntime_core", "import botocore.session"))
    yield Row("import smruntime_core", ours - bare, "import botocore.session", theirs - bare, 1 / 4)


def least_of_nine(statements: Sequence[str]) -> list[float]:
    """The CPU microseconds of fresh interpreters that run them, taking turns."""
    took = {statement: float("inf") for statement in statements}
    for _ in range(9):
        for statement in statements:
            took[statement] = min(took[statement], fresh_interpreter(statement))
    return [took[statement] for statement in statements]


def least_of_nine_inside(before: str, statement: str) -> float:
    """The CPU microseconds that `statement` takes in fresh interpreters after `before`."""
    code = f"import sys, time; sys.path.append(sys.argv[1]); {before}; t = time.process_time(); {statement}; print(time.process_time() - t)"
    command = [sys.executable, "-I", "-c", code, HOME]
    return min(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(9)) * 1e6


def fresh_interpreter(statement: str) -> float:
    """CPU microseconds of an isolated interpreter (`-I`) that runs `statement` and ends."""
    process = subprocess.Popen([sys.executable, "-I", "-c", f"import sys; sys.path.append(sys.argv[1]); {statement}", HOME])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ImportError(f"`{statement}` failed")
    return (usage.ru_utime + usage.ru_stime) * 1e6


@contextmanager
def serving() -> Iterator[int]:
    """The port of `server.py`, running in a process of its own on the same core: children inherit where we are pinned."""
    command = [sys.executable, server.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


def pin() -> str:
    """Stay on one core, where the system allows it; says what came of it."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned: this system cannot"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"pinned to core {core}"


def main() -> int:
    """Print the table; the exit status is 1 if a budget is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a glance, not a measurement")
    rounds, milliseconds = (5, 10.0) if parser.parse_args().quick else (31, 40.0)
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {version}, {pin()}, {rounds} rounds of {milliseconds:g} ms each\n\n{HEADING}", flush=True)
    kept = True
    skipped: list[str] = []
    for section in (signing, without_io, loopback, decoding, streaming, credentials, importing):
        try:
            for row in section(rounds, milliseconds):
                print(row, flush=True)
                kept &= row.within
        except ImportError as error:
            skipped.append(f"skipped: {section.__name__} ({error})")
    print("\n".join(["", *skipped]) if skipped else "")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
