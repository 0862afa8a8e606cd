"""Where the microseconds of one call go: the numbers of docs/performance.md, taken anew.

    python benchmarks/anatomy.py

A call without a kernel (`counting.Script` stands for the socket) is taken apart at the seams that it has. Each part is timed alone, over
and over, and where it stands in a call. That these differ is no mistake of the clock: the last table shows the same for code that has
nothing to do with this library.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import counting
import ours
from measuring import FULL, Bench, Subject, Value, pin

import smruntime_core as sm

BUILD, CONVERSATION, WIRE = "build the operation", "the conversation", "the wire"


def separated(client: Any) -> dict[str, Callable[[], object]]:
    """The parts of a call, each for itself."""
    io, runtime, operation = client._io, client._ready(), sm.InvokeEndpoint(**ours.MEMBERS)
    sent: list[sm.Send] = []

    class Answering:
        """Answers at once."""

        credentials = io.credentials

        def send(self, effect: sm.Send) -> sm.Response:
            sent[:] = [effect]
            return response

    answering, response = Answering(), ours.RESPONSE
    sm.run(runtime.call(operation), answering)
    send = sent[0]
    response = io.send(send)
    return {
        BUILD: lambda: built(client),
        CONVERSATION: lambda: sm.run(runtime.call(operation), answering),
        WIRE: lambda: io.send(send),
    }


def built(client: Any) -> sm.InvokeEndpoint:
    """The operation, as a method of the client makes it."""
    return sm.InvokeEndpoint(**ours.MEMBERS)


def steps(client: Any) -> Iterator[int]:
    """One call, and nanoseconds after each step of it."""
    io, runtime = client._io, client._ready()
    yield perf_counter_ns()
    operation = built(client)
    yield perf_counter_ns()
    flow = runtime.call(operation)
    send: Any = flow.send(None)  # the credentials are at hand
    yield perf_counter_ns()
    response = io.send(send)
    yield perf_counter_ns()
    try:
        flow.send(response)
    except StopIteration:
        yield perf_counter_ns()


def in_a_row(client: Any, number: int) -> dict[str, float]:
    """Microseconds of each part where it stands in a call: the median of `number` calls."""
    turns = [list(steps(client)) for _ in range(number)]
    build, begin, wire, end = (median(turn[n + 1] - turn[n] for turn in turns) / 1e3 for n in range(4))
    return {BUILD: build, CONVERSATION: begin + end, WIRE: wire}


def by_room(count: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Bytecodes by the module that they belong to, most first."""
    homes = [Path(str(sys.modules[name].__file__)).parents[1] for name in ("smruntime_core", "smruntime_transports")]
    for file, number in Counter(count).most_common():
        path = Path(file)
        yield next((str(path.relative_to(home)) for home in homes if home in path.parents), path.name), number


STATEMENTS = ("x = a + 1", "d['k'] = x", "y = (x, a, 2)", "z = y[0]", "s = f'{a}:{x}'", "a = a if x else z", "t = len(y)", "x = f(x)")
TIMES = 32


def dispatch(blocks: tuple[int, ...]) -> Iterator[tuple[int, int, Subject]]:
    """The same calls of the same functions in another order: blocks of them, each block many times before the next.

    The bytecodes of a block, those of everything, and everything.
    """
    draw = random.Random(1)  # noqa: S311 - no secret: the same functions every time
    functions = [_made(draw) for _ in range(max(blocks))]
    for size in blocks:
        order = [each for at in range(0, len(functions), size) for each in functions[at : at + size] * TIMES]

        def everything(order: list[Callable[..., object]] = order) -> None:
            held: dict[str, object] = {}
            for each in order:
                each(1, held, abs)

        total = counting.bytecodes(everything).total()
        yield total * size // len(order), total, Subject(everything)


def _made(draw: random.Random) -> Callable[..., object]:
    body = "\n ".join(draw.choices(STATEMENTS, k=25))
    names: dict[str, Any] = {}
    exec(f"def made(a, d, f):\n x = 1; y = (1,); z = 1\n {body}", names)  # noqa: S102 - made two lines above
    return names["made"]  # type: ignore[no-any-return]  # what `exec` made


def loops(bench: Bench) -> Iterator[tuple[int, float]]:
    """How long a loop is, and nanoseconds of each of its bytecodes."""
    made = list(dispatch((1, 2, 4, 8, 16, 32, 64)))
    measured = bench.compare({str(period): subject for period, _, subject in made})
    for period, total, _ in made:
        value = measured[str(period)]
        assert isinstance(value, float)
        yield period, value / total * 1e3


def main() -> None:
    print(f"{pin()}\n\n| part | bytecodes | µs alone | µs in a call |\n|---|---:|---:|---:|")
    client = counting.scripted_client()
    parts = separated(client)
    whole = counting.subjects()["a call, without a kernel"]
    with Bench(FULL) as bench:
        took: dict[str, Value] = bench.compare({name: Subject(do) for name, do in {**parts, "whole": whole}.items()})
        standing = in_a_row(client, 5000)
        count = {name: counting.bytecodes(do).total() for name, do in parts.items()}
        for name in parts:
            print(f"| {name} | {count[name]} | {took[name]:.1f} | {standing[name]:.1f} |")
        together = sum(value for name, value in took.items() if isinstance(value, float) and name in parts)
        codes = counting.bytecodes(whole)
        print(f"| together | {sum(count.values())} | {together:.1f} | {sum(standing.values()):.1f} |")
        print(f"| a call as users write it | {codes.total()} | | {took['whole']:.1f} |")
        print("\n| room | bytecodes of a call |\n|---|---:|")
        for room, number in by_room(codes):
            print(f"| {room} | {number} |")
        print("\n| bytecodes until they repeat | ns each |\n|---:|---:|")
        for period, each in loops(bench):
            print(f"| {period} | {each:.2f} |")


if __name__ == "__main__":
    main()
