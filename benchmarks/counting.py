"""Counts of what one call runs: bytecodes, Python frames and source files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from measuring import Members, Subject

TURNS = 5  # the least counts: a call makes a few frames more if it has to wait twice for its answer


class Frames(NamedTuple):
    """The Python frames that one call enters; a resumed generator enters its frame again."""

    call: Callable[[Any], object]
    prepare: Callable[[], Members]

    def measure(self, number: int) -> float:
        del number  # every count is alike
        return min(len(entered(self.call, self.prepare())) for _ in range(TURNS))


class Files(NamedTuple):
    """The source files of `packages` that one call enters."""

    call: Callable[[Any], object]
    prepare: Callable[[], Members]
    packages: tuple[str, ...]

    def measure(self, number: int) -> float:
        del number
        self.call(self.prepare())  # the first call imports and connects
        files = {code.co_filename for code in entered(self.call, self.prepare())}
        return sum(any(package in Path(file).parts for package in self.packages) for file in files)


def entered(call: Callable[[Any], object], argument: object) -> list[CodeType]:
    """Return the code of each Python frame that `call(argument)` enters, in order."""
    codes: list[CodeType] = []

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            codes.append(frame.f_code)

    sys.setprofile(profile)
    try:
        call(argument)
    finally:
        sys.setprofile(None)
    return codes


def bytecodes(subject: Subject) -> int:
    """Return the bytecodes that one call runs, the least of a few calls."""
    count = _count_by_monitoring if sys.version_info >= (3, 12) else _count_by_tracing
    for _ in range(2):  # the first calls connect and fill caches
        subject.call(subject.prepare())
    return min(count(subject.call, subject.prepare()) for _ in range(TURNS))


def _count_by_tracing(call: Callable[[Any], object], argument: object) -> int:
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(argument)
    finally:
        sys.settrace(before)
    return count


def _count_by_monitoring(call: Callable[[Any], object], argument: object) -> int:
    """Count on Python 3.12 and later, where `settrace` misses bytecodes."""
    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009 - unknown to mypy, which checks 3.11
    tool, event = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION
    count = 0

    def instruction(_: CodeType, __: int) -> None:
        nonlocal count
        count += 1

    monitoring.use_tool_id(tool, __name__)
    monitoring.register_callback(tool, event, instruction)
    monitoring.set_events(tool, event)
    try:
        call(argument)
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
    return count
