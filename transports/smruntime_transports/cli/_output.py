"""Where a response is written: standard output, or the file of `--output`."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import BinaryIO

from smruntime_core import Metadata

from ._exit import OUTPUT_CODE, CommandError
from ._guard import require_output, write_output


class ResponseWriter:
    """Writes a response, with its status and headers before the body if `include_head` is true.

    `path` None or "-" is standard output. A file is created, or emptied, when the first bytes
    arrive, so a call that fails leaves an older file as it is. Raises `CommandError` at once if
    nothing can be written there.
    """

    def __init__(self, path: str | None, *, include_head: bool = False) -> None:
        self._path = None if path == "-" else path
        self._file: BinaryIO | None = None
        self._include_head = include_head
        if self._path is None:
            require_output()
        else:
            _check_path(self._path)

    def write_head(self, metadata: Metadata) -> None:
        """Write status and headers as HTTP does, unless they were written or are not wanted."""
        if not self._include_head or metadata.status is None:
            return
        self._include_head = False
        status_code = metadata.status
        known_statuses = {status.value: status.phrase for status in HTTPStatus}
        status_line = f"HTTP/1.1 {status_code} {known_statuses.get(status_code, '')}".rstrip()
        header_lines = [f"{name}: {value}" for name, value in metadata.headers]
        head = "\n".join([status_line, *header_lines, "", ""])
        self.write(head.encode("latin-1", "backslashreplace"))

    def write(self, data: bytes) -> None:
        """Write bytes as they are; raise `CommandError` if that fails."""
        if self._path is None:
            write_output(data)
            return
        try:
            if self._file is None:
                self._file = open(self._path, "wb", buffering=0)  # noqa: SIM115 - close() closes it
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            message = f"cannot write to {self._path}: {error.strerror}"
            raise CommandError(message, OUTPUT_CODE) from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _check_path(path: str) -> None:
    folder = os.path.dirname(path) or os.curdir
    if os.path.isdir(path):
        problem = "it is a directory"
    elif not os.path.isdir(folder):
        problem = f"there is no directory {folder}"
    elif not os.access(path if os.path.exists(path) else folder, os.W_OK):
        problem = "permission denied"
    else:
        return
    raise CommandError(f"cannot write to {path}: {problem}")
