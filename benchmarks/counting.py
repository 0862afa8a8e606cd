"""Counts of what one call runs: bytecodes, Python frames and source files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from measuring import Members, Subject

COUNTED_CALLS = 5  # the least counts: a call that waits twice for its answer enters more frames


class Frames(NamedTuple):
    """The Python frames that one call enters; a resumed generator enters its frame again."""

    call: Callable[[Any], object]
    prepare: Callable[[], Members]

    def measure(self, number: int) -> float:
        del number  # every count is alike
        return min(len(entered_code(self.call, self.prepare())) for _ in range(COUNTED_CALLS))


class Files(NamedTuple):
    """The source files of `packages` that one call enters."""

    call: Callable[[Any], object]
    prepare: Callable[[], Members]
    packages: tuple[str, ...]

    def measure(self, number: int) -> float:
        del number
        self.call(self.prepare())  # the first call imports and connects
        files = {code.co_filename for code in entered_code(self.call, self.prepare())}
        return sum(any(package in Path(file).parts for package in self.packages) for file in files)


def entered_code(call: Callable[[Any], object], argument: object) -> list[CodeType]:
    """Return the code of each Python frame that `call(argument)` enters, in order."""
    entered_codes: list[CodeType] = []

    def profile(frame: FrameType, event_name: str, _: object) -> None:
        if event_name == "call":
            entered_codes.append(frame.f_code)

    sys.setprofile(profile)
    try:
        call(argument)
    finally:
        sys.setprofile(None)
    return entered_codes


def count_bytecodes(subject: Subject) -> int:
    """Return the bytecodes that one call runs, the least of a few calls."""
    count_call = _count_by_monitoring if sys.version_info >= (3, 12) else _count_by_tracing
    for _ in range(2):  # the first calls connect and fill caches
        subject.call(subject.prepare())
    return min(count_call(subject.call, subject.prepare()) for _ in range(COUNTED_CALLS))


def _count_by_tracing(call: Callable[[Any], object], argument: object) -> int:
    opcode_count = 0

    def trace(frame: FrameType, event_name: str, _: object) -> Any:
        nonlocal opcode_count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        opcode_count += event_name == "opcode"
        return trace

    previous_trace = sys.gettrace()
    sys.settrace(trace)
    try:
        call(argument)
    finally:
        sys.settrace(previous_trace)
    return opcode_count


def _count_by_monitoring(call: Callable[[Any], object], argument: object) -> int:
    """Count on Python 3.12 and later, where `settrace` misses bytecodes."""
    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009 - unknown to mypy, which checks 3.11
    tool_id, event_name = monitoring.PROFILER_ID, monitoring.events.INSTRUCTION
    opcode_count = 0

    def instruction(_: CodeType, __: int) -> None:
        nonlocal opcode_count
        opcode_count += 1

    monitoring.use_tool_id(tool_id, __name__)
    monitoring.register_callback(tool_id, event_name, instruction)
    monitoring.set_events(tool_id, event_name)
    try:
        call(argument)
    finally:
        monitoring.set_events(tool_id, 0)
        monitoring.free_tool_id(tool_id)
    return opcode_count
