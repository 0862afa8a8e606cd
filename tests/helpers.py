"""What several tests need to know of the process, or of a fresh one."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import smruntime_core

if TYPE_CHECKING:
    from smruntime_transports.nonblocking._waiting import Ticket

# what coverage.py needs in the environment of a process to measure it
COVERAGE = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}
ROOT = str(Path(smruntime_core.__file__).parents[1])


def modules_after(statement: str) -> set[str]:
    """Return the modules that `statement` adds to those of a fresh, isolated interpreter."""
    code = (
        f"import sys; before = set(sys.modules); sys.path.insert(0, {ROOT!r}); {statement}; "
        "print(*set(sys.modules) - before)"
    )
    variables = {name: text for name, text in os.environ.items() if name not in COVERAGE}
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def open_files() -> int:
    """Return the number of open descriptors, 0 where the system does not list them."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def call_in_thread(ticket: Ticket) -> None:
    """Call `ticket` from another thread."""
    threading.Thread(target=ticket.call).start()
