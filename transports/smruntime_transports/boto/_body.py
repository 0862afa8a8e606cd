"""The `Body` of an answer: a file of bytes, with botocore's methods.

A client has received the whole answer before it returns, so reading never waits and never fails. A
`StreamingBody` can be made around any binary file, as tests of applications do; then a file that
ends before its length raises `IncompleteReadError`.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Final, Protocol, Self

DEFAULT_CHUNK_SIZE: Final = 1024


class RawStream(Protocol):
    """The binary file around which a body is made."""

    def read(self, size: int | None = ..., /) -> bytes: ...
    def readinto(self, buffer: bytearray, /) -> int: ...
    def readlines(self) -> list[bytes]: ...
    def readable(self) -> bool: ...
    def tell(self) -> int: ...
    def close(self) -> None: ...


class _LengthCheck:
    """The bytes that a body has, beside those that were read."""

    def __init__(self, content_length: int | str | None) -> None:
        self._content_length = content_length
        self._amount_read = 0

    def count(self, size: int, *, at_end: bool) -> None:
        """Count `size` bytes; raise `IncompleteReadError` at the end of a body that is short."""
        self._amount_read += size
        if not at_end or self._content_length is None:
            return
        expected_bytes = int(self._content_length)
        if self._amount_read != expected_bytes:
            from .exceptions import IncompleteReadError

            raise IncompleteReadError(actual_bytes=self._amount_read, expected_bytes=expected_bytes)


def _split_lines(pending: bytes, *, keepends: bool, at_end: bool) -> tuple[list[bytes], bytes]:
    """Return complete lines and the rest; the last line may go on unless `at_end`."""
    lines = pending.splitlines(keepends=True)
    rest = b"" if at_end or not lines else lines.pop()
    return [line.splitlines(keepends=keepends)[0] for line in lines], rest


class StreamingBody(io.IOBase):
    """A body around the binary file `raw_stream`; `content_length` is checked at its end."""

    def __init__(self, raw_stream: RawStream, content_length: int | str | None) -> None:
        self._raw_stream = raw_stream
        self._length_check = _LengthCheck(content_length)

    def set_socket_timeout(self, timeout: float) -> None:
        """Do nothing: the whole body has been received."""

    def readable(self) -> bool:
        """Return whether the file can be read."""
        is_readable = getattr(self._raw_stream, "readable", None)
        return bool(is_readable()) if is_readable else False

    def read(self, amt: int | None = None) -> bytes:
        """Return at most `amt` bytes, or all."""
        chunk = self._raw_stream.read(amt)
        self._length_check.count(len(chunk), at_end=amt is None or (not chunk and amt > 0))
        return chunk

    def readinto(self, b: bytearray) -> int:
        """Read bytes into `b` and return their number."""
        size = self._raw_stream.readinto(b)
        self._length_check.count(size, at_end=size == 0 and len(b) > 0)
        return size

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Return the lines with their ends."""
        return self._raw_stream.readlines()

    def iter_chunks(self, chunk_size: int = DEFAULT_CHUNK_SIZE) -> Iterator[bytes]:
        """Yield pieces of `chunk_size` bytes."""
        while chunk := self.read(chunk_size):
            yield chunk

    def iter_lines(
        self, chunk_size: int = DEFAULT_CHUNK_SIZE, keepends: bool = False
    ) -> Iterator[bytes]:
        """Yield lines, read `chunk_size` bytes at a time."""
        pending = b""
        for chunk in self.iter_chunks(chunk_size):
            lines, pending = _split_lines(pending + chunk, keepends=keepends, at_end=False)
            yield from lines
        yield from _split_lines(pending, keepends=keepends, at_end=True)[0]

    def tell(self) -> int:
        """Return the position."""
        return self._raw_stream.tell()

    def close(self) -> None:
        """Close the file."""
        self._raw_stream.close()

    def __iter__(self) -> Iterator[bytes]:  # of chunks, as botocore's
        return self.iter_chunks(DEFAULT_CHUNK_SIZE)

    def __next__(self) -> bytes:
        chunk = self.read(DEFAULT_CHUNK_SIZE)
        if not chunk:
            raise StopIteration
        return chunk

    next = __next__

    def __enter__(self) -> RawStream:  # type: ignore[override]  # the file, as botocore's
        return self._raw_stream

    def __exit__(self, *_: object) -> None:
        self._raw_stream.close()

    def __del__(self) -> None:
        """Leave the file open, since others may read it."""


class AioStreamingBody:
    """A body whose methods are awaited, as aiobotocore's."""

    def __init__(self, raw_stream: RawStream, content_length: int | str | None = None) -> None:
        self._body = StreamingBody(raw_stream, content_length)

    async def read(self, amt: int | None = None) -> bytes:
        """Return at most `amt` bytes, or all."""
        return self._body.read(amt)

    async def readinto(self, b: bytearray) -> int:
        """Read bytes into `b` and return their number."""
        return self._body.readinto(b)

    async def readlines(self) -> list[bytes]:
        """Return the lines without their ends."""
        return list(self._body.iter_lines())

    async def iter_chunks(self, chunk_size: int = DEFAULT_CHUNK_SIZE) -> AsyncIterator[bytes]:
        """Yield pieces of `chunk_size` bytes."""
        for chunk in self._body.iter_chunks(chunk_size):
            yield chunk

    async def iter_lines(
        self, chunk_size: int = DEFAULT_CHUNK_SIZE, keepends: bool = False
    ) -> AsyncIterator[bytes]:
        """Yield lines."""
        for line in self._body.iter_lines(chunk_size, keepends):
            yield line

    def tell(self) -> int:
        """Return the position."""
        return self._body.tell()

    def close(self) -> None:
        """Close the body."""
        self._body.close()

    async def aclose(self) -> None:
        """Close the body."""
        self._body.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.iter_chunks(DEFAULT_CHUNK_SIZE)

    async def __anext__(self) -> bytes:
        chunk = self._body.read(DEFAULT_CHUNK_SIZE)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    anext = __anext__

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._body.close()
