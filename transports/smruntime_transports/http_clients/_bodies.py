"""Request bodies as HTTP libraries take them: bytes, or a file with a known length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from smruntime_core import Request
from smruntime_core.effects import Supply, Upload

from ..system._uploads import supply

PIECE: Final = 256 * 1024


class UploadReader:
    """A binary file that gives the bytes of an `Upload`; each attempt needs a reader of its own."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._offset = 0

    def __len__(self) -> int:
        return self._upload.size

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, `b""` at the end; raise `ConstructionError` if the file shrank."""
        upload, left = self._upload, self._upload.size - self._offset
        size = left if size < 0 else min(size, left)
        if not size:
            return b""
        data = supply(Supply(upload, self._offset, size))
        self._offset += len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(PIECE):
            yield data


def open_body(request: Request) -> bytes | UploadReader:
    """Return the body of a request: bytes, or a file."""
    body = cast("object", request.body)
    return UploadReader(body) if isinstance(body, Upload) else bytes(request.body)


def framed_headers(request: Request) -> list[tuple[str, str]]:
    """Return the headers of a request with the length of its body, which frames the message."""
    size = len(request.body)
    length = [("Content-Length", str(size))] if size or request.method != "GET" else []
    return [*request.headers, *length]
