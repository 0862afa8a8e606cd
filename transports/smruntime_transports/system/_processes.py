"""One program run to its end, for `credential_process`: no shell, no input, a limit to its time and to what it prints."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from typing import IO

from smruntime_core import CredentialsError
from smruntime_core.effects import Finished, RunProcess

PIECE = 8192


def run_process(effect: RunProcess) -> Finished:
    """Run it; raises `CredentialsError` if it cannot be started or takes too long."""
    end = time.monotonic() + effect.seconds
    try:
        process = subprocess.Popen(  # noqa: S603 - running what the user's own file names is what it is for
            effect.arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except (OSError, ValueError) as error:  # ValueError: an argument with a NUL
        raise CredentialsError(f"credential_process cannot be started ({type(error).__name__})") from None
    try:
        read = _read if hasattr(select, "poll") else _read_beside
        output = read(process, effect.most, end)
        whole = len(output) <= effect.most
        status = process.wait(max(0.0, end - time.monotonic())) if whole else -1
        return Finished(status, bytes(output))
    except (TimeoutError, subprocess.TimeoutExpired):
        raise CredentialsError(f"credential_process did not end within {effect.seconds:g} s") from None
    finally:
        process.kill()
        process.wait()


def _read(process: subprocess.Popen[bytes], most: int, end: float) -> bytearray:
    """What it prints, up to one byte more than `most`; a child of its own that holds the pipe open does not outlast `end`."""
    output = bytearray()
    poll = select.poll()
    with _printed(process) as pipe:
        poll.register(pipe, select.POLLIN)
        while len(output) <= most:
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                raise TimeoutError
            piece = os.read(pipe.fileno(), min(PIECE, most + 1 - len(output)))
            if not piece:
                break
            output += piece
    return output


def _read_beside(process: subprocess.Popen[bytes], most: int, end: float) -> bytearray:
    """The same on Windows, where nothing waits for a pipe but a read: it has a thread, which such a child may hold."""
    output = bytearray()

    def read() -> None:
        with _printed(process) as pipe:
            while len(output) <= most and (piece := os.read(pipe.fileno(), min(PIECE, most + 1 - len(output)))):
                output.extend(piece)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(max(0.0, end - time.monotonic()))
    if thread.is_alive():
        raise TimeoutError
    return output


def _printed(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None, "a pipe was asked for"  # noqa: S101 - subprocess's contract
    return process.stdout
