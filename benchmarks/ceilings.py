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
from typing import NamedTuple, NoReturn

import ours
from counting import bytecodes
from measuring import Bench, Missing, Subject, Value, environment, serving


class Ceiling(NamedTuple):
    """The most that one call may cost, in bytecodes and in thousands of instructions."""

    bytecodes: int
    thousands: int


SIGN, WITHOUT_IO, CALL = "sign", "build + sign + parse", "one call over sockets"
CEILINGS = {  # by version of Python, for members that are fresh each time
    (3, 11): {SIGN: Ceiling(700, 150), WITHOUT_IO: Ceiling(1600, 250), CALL: Ceiling(4000, 530)},
    (3, 12): {SIGN: Ceiling(655, 170), WITHOUT_IO: Ceiling(1500, 290), CALL: Ceiling(3750, 610)},
    (3, 13): {SIGN: Ceiling(630, 165), WITHOUT_IO: Ceiling(1430, 280), CALL: Ceiling(3600, 590)},
}
SHORT, LONG = 20, 70  # calls


def subjects(url: str) -> dict[str, Subject]:
    """Return what is counted."""
    return {SIGN: ours.sign(), WITHOUT_IO: ours.without_io(), CALL: ours.call(url)}


def counts(bench: Bench) -> dict[str, Value]:
    """Count everything, and look up the ceilings."""
    del bench
    ceilings = CEILINGS.get(sys.version_info[:2])
    values: dict[str, Value] = {}
    with serving() as ports:
        try:
            thousands: dict[str, Value] = {**instructions(ports.url)}
        except OSError as error:
            thousands = dict.fromkeys((SIGN, WITHOUT_IO, CALL), Missing(str(error)))
        for name, subject in subjects(ports.url).items():
            ceiling = ceilings and ceilings[name]
            unset = Missing("no ceiling for this version of Python")
            values[f"{name}: bytecodes"] = bytecodes(subject)
            values[f"{name}: bytecodes, ceiling"] = ceiling.bytecodes if ceiling else unset
            values[f"{name}: instructions"] = thousands[name]
            values[f"{name}: instructions, ceiling"] = ceiling.thousands if ceiling else unset
    return values


def instructions(url: str) -> dict[str, float]:
    """Return thousands of instructions by subject; raise `OSError` if valgrind does not work."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise FileNotFoundError("valgrind is not installed")
    command = [
        *(valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
        *(sys.executable, __file__, url),
    ]
    settings = environment(sys.executable, PYTHONHASHSEED="0")
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    found = re.findall(r"==(\d+)== I +refs: +([\d,]+)", done.stderr)
    counted = {process: int(references.replace(",", "")) for process, references in found}
    if done.returncode or not counted:
        raise OSError(f"valgrind does not work here: {done.stderr[-200:]}")
    runs: dict[tuple[str, int], int] = {}
    for line in done.stdout.splitlines():
        process, number, name = line.split(" ", 2)
        runs[name, int(number)] = counted[process]
    calls = (LONG - SHORT) * 1e3
    return {name: (runs[name, LONG] - runs[name, SHORT]) / calls for name in subjects(url)}


def run_children(url: str) -> None:
    """Fork a child for each subject and number of calls; print process id, number, subject."""
    gc.disable()
    for subject in subjects(url).values():
        subject.call(subject.prepare())  # imports what the first call imports
    for name in (SIGN, WITHOUT_IO, CALL):
        for number in (SHORT, LONG):
            child = os.fork()
            if not child:
                run_child(url, name, number)
            if os.waitpid(child, 0)[1]:
                sys.exit(f"{name} failed")
            print(child, number, name, flush=True)


def run_child(url: str, name: str, number: int) -> NoReturn:
    """Run a subject, and end this process without its parent's clean-up."""
    status = 1
    try:
        subject = subjects(url)[name]
        arguments = [subject.prepare() for _ in range(LONG)]  # in both runs: only calls differ
        for argument in arguments[:number]:
            subject.call(argument)
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    run_children(sys.argv[1])
