"""Where results go: a file, one line each, or a function of the caller."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Protocol, TypeAlias, TypeGuard, cast

from smruntime_core import ConstructionError

from ._records import FilePath
from ._results import Result

Sink: TypeAlias = "FilePath | BinaryIO | Callable[[Result], object]"


class ResultWriter(Protocol):
    """What the IO of a run writes to."""

    def write(self, results: list[Result], /) -> None: ...
    def close(self) -> None: ...


class LineWriter:
    """Appends a line for each result to a file; a batch of lines is one write."""

    def __init__(self, file: BinaryIO, *, owned: bool) -> None:
        self._file = file
        self._is_owned = owned

    def write(self, results: list[Result]) -> None:
        data = memoryview(b"".join([result.as_line() for result in results]))
        while data:  # an unbuffered file may take a part
            data = data[self._file.write(data) :]

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()
        if self._is_owned:
            with suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()


class CallableWriter:
    """Calls a function with each result."""

    def __init__(self, function: Callable[[Result], object]) -> None:
        self._function = function

    def write(self, results: list[Result]) -> None:
        for result in results:
            self._function(result)

    def close(self) -> None:
        """Do nothing: the function is the caller's."""


def open_sink(sink: Sink) -> ResultWriter:
    """Return a writer to `sink`; a file is appended to."""
    if _is_path(sink):
        path = os.fspath(sink)
        try:
            return LineWriter(open(path, "ab", buffering=0), owned=True)
        except OSError as error:
            message = f"sink: cannot write {path}: {error.strerror}"
            raise ConstructionError("sink", "a writable file", message=message) from None
    if callable(sink):
        return CallableWriter(sink)
    if callable(getattr(sink, "write", None)):
        return LineWriter(cast("BinaryIO", sink), owned=False)
    requirement = "a path, a file that is open for writing bytes, or a function of a Result"
    raise ConstructionError("sink", requirement, f"found {type(sink).__name__}")


def output_size(sink: Sink) -> int | None:
    """Return the bytes that a sink has already if it is a path, else None."""
    if not _is_path(sink):
        return None
    try:
        return os.stat(sink).st_size
    except OSError:
        return 0


def _is_path(sink: object) -> TypeGuard[FilePath]:
    return isinstance(sink, str | os.PathLike)
