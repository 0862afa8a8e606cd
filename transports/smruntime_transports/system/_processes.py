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
from typing import IO, Final, TypeAlias

from smruntime_core import CredentialsError
from smruntime_core.effects import ProcessResult, RunProcess

PIECE_SIZE: Final = 8192
CHECK_INTERVAL: Final = 0.05  # seconds between two checks whether the run was cancelled

RemainingSeconds: TypeAlias = "Callable[[], float]"


def run_process(effect: RunProcess, cancelled: threading.Event | None = None) -> ProcessResult:
    """Run the program and return its exit status and output.

    Another thread sets `cancelled` to end the run. Raises `CredentialsError` if the program
    cannot be started or takes longer than `effect.seconds`.
    """
    remaining_seconds = _countdown(effect.seconds, cancelled)
    started_program: _Program | None = None
    try:
        started_program = _Program(effect.arguments)
        read_output = _read_polling if hasattr(select, "poll") else _read_in_thread
        output_bytes = read_output(started_program.output, effect.most, remaining_seconds)
        exit_code = -1
        if len(output_bytes) <= effect.most:
            exit_code = started_program.exit_status(remaining_seconds)
        return ProcessResult(exit_code, bytes(output_bytes))
    except TimeoutError:
        timeout_message = f"credential_process did not end within {effect.seconds:g} s"
        raise CredentialsError(timeout_message) from None
    except (OSError, ValueError) as error:  # ValueError: an argument with a NUL
        failure_message = f"credential_process cannot be started ({type(error).__name__})"
        raise CredentialsError(failure_message) from None
    finally:
        if started_program is not None:
            started_program.end()


class _Program(subprocess.Popen[bytes]):
    """A program in a session of its own, started at once."""

    pid: int = 0

    def __init__(self, arguments: tuple[str, ...]) -> None:
        null_device = subprocess.DEVNULL
        try:
            super().__init__(
                arguments,
                stdin=null_device,
                stdout=subprocess.PIPE,
                stderr=null_device,
                start_new_session=True,
            )
        except BaseException:  # an interrupt here may come after the fork
            self._kill_group()
            raise

    @property
    def output(self) -> IO[bytes]:
        """The pipe from the program's standard output."""
        assert self.stdout is not None  # noqa: S101 - subprocess's contract: stdout=PIPE
        return self.stdout

    def exit_status(self, remaining_seconds: RemainingSeconds) -> int:
        """Wait for the program to end; raises `TimeoutError`."""
        while True:
            try:
                return self.wait(remaining_seconds())
            except subprocess.TimeoutExpired:
                continue

    def end(self) -> None:
        """Kill the program with its group, unless it has ended by itself, and close the pipe."""
        self._kill_group()
        self.output.close()

    def _kill_group(self) -> None:
        if not self.pid or self.returncode is not None:
            return  # never started, or ended: the id may belong to another process by now
        if hasattr(os, "killpg"):
            # PermissionError: on macOS, if only zombies are left
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.kill()
        self.wait()


def _countdown(seconds: float, cancelled: threading.Event | None) -> RemainingSeconds:
    """Return a function that returns the seconds left, at most `CHECK_INTERVAL`.

    It raises `TimeoutError` when none are left or the run was cancelled.
    """
    deadline = time.monotonic() + seconds

    def remaining_seconds() -> float:
        seconds_left = deadline - time.monotonic()
        if seconds_left <= 0 or (cancelled is not None and cancelled.is_set()):
            raise TimeoutError
        return min(seconds_left, CHECK_INTERVAL)

    return remaining_seconds


def _read_polling(
    output_pipe: IO[bytes], maximum_size: int, remaining_seconds: RemainingSeconds
) -> bytearray:
    """Return the output, up to one byte more than `maximum_size`; raises `TimeoutError`."""
    output_bytes = bytearray()
    pipe_poll = select.poll()
    pipe_poll.register(output_pipe, select.POLLIN)
    while len(output_bytes) <= maximum_size:
        if not pipe_poll.poll(remaining_seconds() * 1000):
            continue
        piece_size = min(PIECE_SIZE, maximum_size + 1 - len(output_bytes))
        output_piece = os.read(output_pipe.fileno(), piece_size)
        if not output_piece:
            break
        output_bytes += output_piece
    return output_bytes


def _read_in_thread(
    output_pipe: IO[bytes], maximum_size: int, remaining_seconds: RemainingSeconds
) -> bytearray:
    """Return the same by reading in a thread, where a pipe cannot be polled (Windows)."""
    output_bytes = bytearray()
    descriptor = os.dup(output_pipe.fileno())  # the thread's own: it may outlive this call

    def read_output() -> None:
        with open(descriptor, "rb", buffering=0) as unbuffered:
            while len(output_bytes) <= maximum_size:
                output_piece = unbuffered.read(PIECE_SIZE)
                if not output_piece:
                    break
                output_bytes.extend(output_piece)

    reading_thread = threading.Thread(target=read_output, daemon=True)
    reading_thread.start()
    while reading_thread.is_alive():
        reading_thread.join(remaining_seconds())
    return output_bytes
