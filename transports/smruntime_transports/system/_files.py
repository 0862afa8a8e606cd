"""Files, for every transport: read whole, or as much as is allowed and one byte more, so that too long can be told from long."""

from __future__ import annotations

import os
from contextlib import suppress

from smruntime_core import ConstructionError
from smruntime_core.effects import Contents, ReadFile, WriteFile


def read_file(effect: ReadFile) -> Contents | None:
    """The bytes at `effect.path`, None if there is no such file; raises `ConstructionError` if it cannot be read."""
    try:
        with open(effect.path, "rb") as file:
            return Contents(file.read(effect.most + 1))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        if isinstance(error, PermissionError) and not os.path.exists(effect.path):
            return None  # a folder on the way lets nobody in, as another user's HOME does: for us, nothing is there
        raise ConstructionError(effect.path, "a file that can be read", type(error).__name__) from None


def write_file(effect: WriteFile) -> None:
    """Put the data at `effect.path`: whoever reads it sees the old file or the new one. Raises `ConstructionError`."""
    draft = f"{effect.path}.{os.urandom(6).hex()}"
    try:
        os.makedirs(os.path.dirname(effect.path) or ".", mode=0o700, exist_ok=True)
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(effect.data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, effect.path)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            os.unlink(draft)
        raise ConstructionError(effect.path, "a place to write to", type(error).__name__) from None
