"""Files, for every transport: read whole, or as much as is allowed and one byte more, so that too long can be told from long."""

from __future__ import annotations

from smruntime_core import ConstructionError
from smruntime_core._config import ReadFile

__all__ = ["ReadFile", "read_file"]


def read_file(effect: ReadFile) -> bytes | None:
    """The bytes at `effect.path`, None if there is no such file; raises `ConstructionError` if it cannot be read."""
    try:
        with open(effect.path, "rb") as file:
            return file.read(effect.most + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise ConstructionError(effect.path, "a file that can be read", type(error).__name__) from None
