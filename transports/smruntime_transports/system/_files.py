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

_READABLE: Final = "a file that can be read"
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
        with open(effect.path, "rb", opener=_open_without_blocking) as file:
            _require_regular(effect.path, os.fstat(file.fileno()))
            return FileContents(file.read(effect.most + 1))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ConstructionError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        if isinstance(error, PermissionError) and not os.path.exists(effect.path):
            return None  # in a folder of another user, as under another user's HOME
        raise ConstructionError(effect.path, _READABLE, type(error).__name__) from None


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | _OPEN_FLAGS)


def _require_regular(path: str, status: os.stat_result) -> None:
    """Raise `ConstructionError` unless `status` is that of a regular file."""
    if not stat.S_ISREG(status.st_mode):
        kind = _KIND_NAMES.get(stat.S_IFMT(status.st_mode), "something else")
        found = f"it is {kind} (copy its contents into a file)"
        raise ConstructionError(path, "a regular file", found)


def write_file(effect: WriteFile) -> None:
    """Replace the file at `effect.path`; raises `ConstructionError`.

    The draft is removed if anything fails, or on an interrupt.
    """
    draft = f"{effect.path}.{os.urandom(6).hex()}"
    try:
        os.makedirs(os.path.dirname(effect.path) or ".", mode=0o700, exist_ok=True)
        # an opener in C: no signal handler runs between opening the draft and owning it
        with open(draft, "xb", opener=partial(os.open, mode=0o600)) as file:
            file.write(effect.data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, effect.path)
    except BaseException as error:
        with suppress(OSError, ValueError):
            os.unlink(draft)
        if isinstance(error, (OSError, ValueError)):
            writable = "a path that can be written"
            raise ConstructionError(effect.path, writable, type(error).__name__) from None
        raise
