"""The body of a request before its signature is verified.

The signature covers the hash of the body, so the whole body must arrive before it can be refused.
It is hashed as it arrives. Beyond 1 MiB it is kept in an unnamed temporary file, and is read into
memory when the signature has been verified.
"""

from __future__ import annotations

from hashlib import sha256
from tempfile import SpooledTemporaryFile
from types import TracebackType

from smruntime_core import ServiceError

IN_MEMORY = 1024 * 1024  # bytes


class ReceivedBody:
    """A body of at most `most` bytes. Close it, or use it in a `with` block."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._hash = sha256()
        self._file = SpooledTemporaryFile[bytes](max_size=IN_MEMORY)

    def write(self, data: bytes) -> None:
        """Append `data`.

        Raises the `ServiceError` to answer with if the body is too large or cannot be kept.
        """
        self._size += len(data)
        if self._size > self._most:
            raise too_large(self._most)
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as fault:
            raise ServiceError(
                f"The body cannot be kept in a temporary file: {fault}.",
                code="InternalFailure",
                status=500,
            ) from fault

    @property
    def sha256(self) -> str:
        """The hash of what has arrived, in hexadecimal."""
        return self._hash.hexdigest()

    def read(self) -> bytes:
        """Return the whole body."""
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Forget the body."""
        self._file.close()

    def __enter__(self) -> ReceivedBody:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def too_large(most: int) -> ServiceError:
    """Return the refusal of a body that has more than `most` bytes."""
    return ServiceError(
        f"The body must have at most {most} bytes.",
        code="RequestEntityTooLargeException",
        status=413,
    )
