"""Run every scenario of the contract over every transport.

Scenarios that mostly wait run at the same time, in threads; those that measure memory run alone.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from smruntime_core.testing import Observation, Scenario, find_differences
from smruntime_local.hostile import play

from .callers import CONTRACTED, Contracted

AT_ONCE = 24


class Run(NamedTuple):
    """The result of one scenario over one transport: the violations, and what the server saw."""

    wrong: str
    seen: tuple[Observation, ...]


def run(transport: str, scenario: Scenario, contracted: dict[str, Contracted] = CONTRACTED) -> Run:
    """Play `scenario` over `transport`; if what the server says is short, byte by byte too.

    (Not for h11, which reads the same pieces: `test_http1` splits them for both engines.)
    """
    wrong: list[str] = []
    seen: list[Observation] = []
    for cut in (0, 1) if scenario.splittable and not transport.endswith("-h11") else (0,):
        found, saw = play(scenario, contracted[transport], piece_size=cut)
        seen.append(saw)
        wrong += [
            f"{line}{', cut byte by byte' if cut else ''}"
            for line in find_differences(scenario, found, saw)
        ]
    return Run("\n".join(wrong), tuple(seen))


class Matrix(NamedTuple):
    """All runs, by transport and name of the scenario; the sockets and threads left over."""

    runs: dict[tuple[str, str], Run]
    left: set[str]


def run_all(
    pairs: Iterable[tuple[str, Scenario]], contracted: dict[str, Contracted] = CONTRACTED
) -> Matrix:
    """Every scenario over its transport."""
    pairs = list(pairs)
    before = open_files() | threads()
    waiting = [pair for pair in pairs if pair[1].memory_limit is None]
    counted = [pair for pair in pairs if pair[1].memory_limit is not None]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = list(pool.map(lambda pair: run(pair[0], pair[1], contracted), waiting))
    made += [run(*pair, contracted) for pair in counted]
    gc.collect()  # what was forgotten complains of it now
    runs = {
        (transport, str(scenario)): run
        for (transport, scenario), run in zip(waiting + counted, made, strict=True)
    }
    return Matrix(runs, (open_files() | threads()) - before)


def threads() -> set[str]:
    """Those that run, but for trio's, which keeps some at hand for a while."""
    return {
        thread.name
        for thread in threading.enumerate()
        if not thread.name.lower().startswith("trio")
    }


def open_files() -> set[str]:
    """Return the open descriptors of this process and what they are, on Linux."""
    found: set[str] = set()
    for name in os.listdir("/proc/self/fd") if sys.platform == "linux" else ():
        with suppress(OSError):  # that of the listing itself
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
    return found
