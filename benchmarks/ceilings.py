"""Ceilings on the bytecodes and instructions of our own work, for CI, where times mean nothing.

Python counts the bytecodes. valgrind, where it is installed, counts the instructions: those of the
interpreter included, and of hashes in software, since valgrind has no SHA instructions. The process
forks a child for each run, so the interpreter starts once, and the difference of a long and a short
run leaves that start out.

The ceilings are 15 to 20 % above what was counted when they were set. A commit that raises one says
in its message what for.

python ceilings.py URL     under valgrind: run everything in children and print which was which
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
from typing import NoReturn

import ours
from counting import count_bytecodes
from measuring import Bench, Missing, Subject, Value, child_environment, run_server

FIGURE_NAMES = ("sign", "build + sign + parse", "one call over sockets")
CEILINGS: dict[tuple[int, ...], tuple[tuple[Value, Value], ...]] = {
    # by version of Python: bytecodes and thousands of instructions, in the order of FIGURE_NAMES
    (3, 11): ((640, 141), (1560, 241), (4260, 534)),
    (3, 12): ((595, 148), (1440, 260), (3910, 600)),
    (3, 13): ((560, 143), (1360, 248), (3770, 550)),
}
SHORT_RUN, LONG_RUN = 20, 70  # calls


def counted_subjects(url: str) -> dict[str, Subject]:
    """Return what is counted, by the names of the figures."""
    return dict(zip(FIGURE_NAMES, (ours.sign(), ours.without_io(), ours.call(url)), strict=True))


def count_all(bench: Bench) -> dict[str, Value]:
    """Count everything, and look up the ceilings."""
    del bench  # one call is counted, whatever the effort
    values: dict[str, Value] = {}
    missing_ceiling = Missing("no ceiling for this version of Python")
    missing_ceilings = ((missing_ceiling, missing_ceiling),) * len(FIGURE_NAMES)
    ceilings = CEILINGS.get(sys.version_info[:2], missing_ceilings)
    with run_server() as ports:
        try:
            thousands: dict[str, Value] = {**count_instructions(ports.url)}
        except OSError as error:
            thousands = dict.fromkeys(FIGURE_NAMES, Missing(str(error)))
        subjects = counted_subjects(ports.url)
        for figure_name, (max_bytecodes, max_thousands) in zip(subjects, ceilings, strict=True):
            values[f"{figure_name}: bytecodes"] = count_bytecodes(subjects[figure_name])
            values[f"{figure_name}: bytecodes, ceiling"] = max_bytecodes
            values[f"{figure_name}: instructions"] = thousands[figure_name]
            values[f"{figure_name}: instructions, ceiling"] = max_thousands
    return values


def count_instructions(url: str) -> dict[str, float]:
    """Return thousands of instructions by subject; raise `OSError` if valgrind does not work."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise FileNotFoundError("valgrind is not installed")
    command = [
        *(valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
        *(sys.executable, __file__, url),
    ]
    variables = child_environment(sys.executable, PYTHONHASHSEED="0")
    completed = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    reported = re.findall(r"==(\d+)== I +refs: +([\d,]+)", completed.stderr)
    instructions_by_process = {
        process_number: int(count.replace(",", "")) for process_number, count in reported
    }
    if completed.returncode or not instructions_by_process:
        raise OSError(f"valgrind does not work here: {completed.stderr[-200:]}")
    run_counts: dict[tuple[str, int], int] = {}
    for printed_line in completed.stdout.splitlines():
        process_number, call_count, figure_name = printed_line.split(" ", 2)
        run_counts[figure_name, int(call_count)] = instructions_by_process[process_number]
    thousands: dict[str, float] = {}
    for figure_name in FIGURE_NAMES:
        difference = run_counts[figure_name, LONG_RUN] - run_counts[figure_name, SHORT_RUN]
        thousands[figure_name] = difference / (LONG_RUN - SHORT_RUN) / 1e3
    return thousands


def run_in_children(url: str) -> None:
    """Fork a child for each subject and number of calls; print process id, number, subject."""
    gc.disable()
    for subject in counted_subjects(url).values():
        subject.call(subject.prepare())  # imports what the first call imports
    for figure_name in FIGURE_NAMES:
        for call_count in (SHORT_RUN, LONG_RUN):
            process_id = os.fork()
            if not process_id:
                run_in_child(url, figure_name, call_count)
            if os.waitpid(process_id, 0)[1]:
                sys.exit(f"{figure_name} failed")
            print(process_id, call_count, figure_name, flush=True)


def run_in_child(url: str, figure_name: str, call_count: int) -> NoReturn:
    """Run a subject, and end this process without its parent's clean-up."""
    exit_status = 1
    try:
        subject = counted_subjects(url)[figure_name]
        arguments = [subject.prepare() for _ in range(LONG_RUN)]  # in both runs: only calls differ
        for argument in arguments[:call_count]:
            subject.call(argument)
        exit_status = 0
    finally:
        os._exit(exit_status)


if __name__ == "__main__":
    run_in_children(sys.argv[1])
