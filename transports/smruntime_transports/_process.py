"""One program run to its end, for `credential_process`: no shell, no input, a limit to its time and to what it prints."""

from __future__ import annotations

import os
import select
import subprocess
import time

from smruntime_core import CredentialsError
from smruntime_core._effects import Finished, RunProcess

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
        output = _read(process, effect.most, end)
        whole = len(output) <= effect.most
        status = process.wait(max(0.0, end - time.monotonic())) if whole else -1
        return Finished(status, bytes(output))
    except (TimeoutError, subprocess.TimeoutExpired):
        raise CredentialsError(f"credential_process did not end within {effect.seconds:g} s") from None
    finally:
        _end(process)


def _read(process: subprocess.Popen[bytes], most: int, end: float) -> bytearray:
    """What it prints, up to one byte more than `most`; a child of its own that holds the pipe open does not outlast `end`."""
    assert process.stdout is not None, "a pipe was asked for"  # noqa: S101 - subprocess's contract
    descriptor, output = process.stdout.fileno(), bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(output) <= most:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise TimeoutError
        piece = os.read(descriptor, min(PIECE, most + 1 - len(output)))
        if not piece:
            break
        output += piece
    return output


def _end(process: subprocess.Popen[bytes]) -> None:
    """It is over now, if it was not before."""
    process.kill()
    if process.stdout is not None:
        process.stdout.close()
    process.wait()
