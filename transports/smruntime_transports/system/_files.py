"""Read and write whole files: the effects `ReadFile` and `WriteFile`, for every transport.

Only regular files are read. A FIFO, socket or device may block for ever or never end, and the pipe
behind a shell's `<(command)` (/dev/fd/63) can be read once, while settings are read more often. The
null device counts as an empty file.

A file is written as a draft beside it, which then replaces it, so a reader sees the old contents or
the new.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import partial
from typing import Final

from smruntime_core import ConstructionError
from smruntime_core.effects import FileContents, ReadFile, WriteFile

_READABLE_REQUIREMENT: Final = "a file that can be read"
_KIND_NAMES: Final = {
    stat.S_IFIFO: "a FIFO or pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}
# for a FIFO or terminal that replaces the file after the check: do not wait, do not own it
_OPEN_FLAGS: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


def read_file(effect: ReadFile) -> FileContents | None:
    """Return the bytes of the regular file at `effect.path`, None if there is none.

    Raises `ConstructionError` if it cannot be read or is not a regular file.
    """
    if effect.path == os.devnull:
        return FileContents(b"")
    try:
        _require_regular(effect.path, os.stat(effect.path))  # opening a device may have effects
        with open(effect.path, "rb", opener=_open_without_blocking) as opened_file:
            _require_regular(effect.path, os.fstat(opened_file.fileno()))
            return FileContents(opened_file.read(effect.max_bytes + 1))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ConstructionError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        if isinstance(error, PermissionError) and not os.path.exists(effect.path):
            return None  # in a folder of another user, as under another user's HOME
        raise ConstructionError(effect.path, _READABLE_REQUIREMENT, type(error).__name__) from None


def _open_without_blocking(file_path: str, open_flags: int) -> int:
    return os.open(file_path, open_flags | _OPEN_FLAGS)


def _require_regular(file_path: str, file_status: os.stat_result) -> None:
    """Raise `ConstructionError` unless `file_status` is that of a regular file."""
    if not stat.S_ISREG(file_status.st_mode):
        kind_name = _KIND_NAMES.get(stat.S_IFMT(file_status.st_mode), "something else")
        problem = f"it is {kind_name} (copy its contents into a file)"
        raise ConstructionError(file_path, "a regular file", problem)


def write_file(effect: WriteFile) -> None:
    """Replace the file at `effect.path`; raises `ConstructionError`.

    The draft is removed if anything fails, or on an interrupt.
    """
    draft_path = f"{effect.path}.{os.urandom(6).hex()}"
    try:
        os.makedirs(os.path.dirname(effect.path) or ".", mode=0o700, exist_ok=True)
        # an opener in C: no signal handler runs between opening the draft and owning it
        with open(draft_path, "xb", opener=partial(os.open, mode=0o600)) as opened_file:
            opened_file.write(effect.data)
            opened_file.flush()
            os.fsync(opened_file.fileno())
        os.replace(draft_path, effect.path)
    except BaseException as error:
        with suppress(OSError, ValueError):
            os.unlink(draft_path)
        if isinstance(error, (OSError, ValueError)):
            problem = type(error).__name__
            raise ConstructionError(effect.path, "a path that can be written", problem) from None
        raise
