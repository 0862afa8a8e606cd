"""Run one program to its end, for `credential_process`, without a shell and without input.

The program leads a session and process group of its own. On a timeout, too much output, an
interrupt or a cancelled task the whole group is killed, its children included. When a program ends
by itself, its children live on: one may be an agent for the next time. The session has no terminal,
so a program that asks at /dev/tty fails at once. On Windows only the program itself is killed.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TypeAlias

from smruntime_core import CredentialsError
from smruntime_core.effects import ProcessResult, RunProcess

PIECE = 8192
INTERVAL = 0.05  # seconds between two looks at whether the run was cancelled
START_SECONDS = 5.0  # after an interrupt; a fork takes milliseconds

Remaining: TypeAlias = "Callable[[], float]"


def run_process(effect: RunProcess, cancelled: threading.Event | None = None) -> ProcessResult:
    """Run the program and return its exit status and output.

    Another thread sets `cancelled` to give the run up. Raises `CredentialsError` if the program
    cannot be started or takes longer than `effect.seconds`.
    """
    remaining = _countdown(effect.seconds, cancelled)
    program = _Program(effect.arguments)
    try:
        program.start()
        read = _read if hasattr(select, "poll") else _read_in_thread
        output = read(program.output, effect.max_bytes, remaining)
        status = program.exit_status(remaining) if len(output) <= effect.max_bytes else -1
        return ProcessResult(status, bytes(output))
    except TimeoutError:
        late = f"credential_process did not end within {effect.seconds:g} s"
        raise CredentialsError(late) from None
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, or no thread to start it
        refused = f"credential_process cannot be started ({type(error).__name__})"
        raise CredentialsError(refused) from None
    finally:
        program.end()


class _Program(subprocess.Popen[bytes]):
    """A program in a session of its own; call `start`, and `end` in any case."""

    pid = 0

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self._arguments = arguments
        self._settled = threading.Event()  # started, or failed to

    def start(self) -> None:
        """Start the program, in a thread.

        An interrupt reaches the main thread only, so none comes between the fork and `pid`.
        """
        failures: list[BaseException] = []
        try:
            threading.Thread(target=self._fork, args=(failures,)).start()
        except RuntimeError:  # there are too many threads
            self._settled.set()
            raise
        self._settled.wait()
        if failures:
            raise failures[0]

    def _fork(self, failures: list[BaseException]) -> None:
        silent = subprocess.DEVNULL
        try:
            super().__init__(
                self._arguments,
                stdin=silent,
                stdout=subprocess.PIPE,
                stderr=silent,
                start_new_session=True,
            )
        except BaseException as failure:
            failures.append(failure)
        finally:
            self._settled.set()

    @property
    def output(self) -> IO[bytes]:
        assert self.stdout is not None  # noqa: S101 - subprocess's contract: stdout=PIPE
        return self.stdout

    def exit_status(self, remaining: Remaining) -> int:
        """Wait for the program to end; raises `TimeoutError`."""
        while True:
            try:
                return self.wait(remaining())
            except subprocess.TimeoutExpired:
                continue

    def end(self) -> None:
        """Kill the program with its group, unless it has ended by itself, and close the pipe."""
        self._settled.wait(START_SECONDS)
        if self.pid:
            self._kill()
            self.output.close()

    def _kill(self) -> None:
        if self.returncode is not None:
            return  # waited for: the id may belong to another process by now
        if hasattr(os, "killpg"):
            # PermissionError: on macOS, if only zombies are left.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.kill()
        self.wait()


def _countdown(seconds: float, cancelled: threading.Event | None) -> Remaining:
    """Return a function that returns the seconds left, at most `INTERVAL`.

    It raises `TimeoutError` when none are left or the run was cancelled.
    """
    end = time.monotonic() + seconds

    def remaining() -> float:
        left = end - time.monotonic()
        if left <= 0 or (cancelled is not None and cancelled.is_set()):
            raise TimeoutError
        return min(left, INTERVAL)

    return remaining


def _read(pipe: IO[bytes], max_bytes: int, remaining: Remaining) -> bytearray:
    """Return what the program prints, at most `max_bytes` + 1 bytes; raises `TimeoutError`."""
    output = bytearray()
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while len(output) <= max_bytes:
        if not poll.poll(remaining() * 1000):
            continue
        piece = os.read(pipe.fileno(), min(PIECE, max_bytes + 1 - len(output)))
        if not piece:
            break
        output += piece
    return output


def _read_in_thread(pipe: IO[bytes], max_bytes: int, remaining: Remaining) -> bytearray:
    """Read like `_read`, but in a thread: on Windows a pipe cannot be polled."""
    output = bytearray()
    descriptor = os.dup(pipe.fileno())  # the thread's own: it may outlive this call

    def read() -> None:
        with open(descriptor, "rb", buffering=0) as unbuffered:
            while piece := unbuffered.read(min(PIECE, max_bytes + 1 - len(output))):
                output.extend(piece)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(remaining())
    return output
