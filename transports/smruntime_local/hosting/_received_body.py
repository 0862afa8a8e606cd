"""The body of a request before its signature is verified.

The signature covers the hash of the body, so the whole body must arrive before it can be verified.
The body is hashed as it arrives. Beyond 1 MiB it is written to an unnamed temporary file, and read
into memory once the signature is verified.
"""

from __future__ import annotations

from hashlib import sha256
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Final

from smruntime_core import ServiceError

MEMORY_SIZE: Final = 1024 * 1024  # bytes


class ReceivedBody:
    """A body of at most `maximum_size` bytes. Close it, or use it in a `with` block."""

    def __init__(self, maximum_size: int) -> None:
        self._maximum_size = maximum_size
        self._received_size = 0
        self._running_hash = sha256()
        self._spooled_file = SpooledTemporaryFile[bytes](max_size=MEMORY_SIZE)

    def write(self, data: bytes) -> None:
        """Append `data`.

        Raises the `ServiceError` to answer with if the body is too large or the disk refuses it.
        """
        self._received_size += len(data)
        if self._received_size > self._maximum_size:
            raise make_too_large_error(self._maximum_size)
        self._running_hash.update(data)
        try:
            self._spooled_file.write(data)
        except OSError as error:
            message = f"The body cannot be written to a temporary file: {error}."
            raise ServiceError(message, code="InternalFailure", status=500) from error

    @property
    def sha256(self) -> str:
        """The hash of the bytes received so far, in hexadecimal."""
        return self._running_hash.hexdigest()

    def read(self) -> bytes:
        """Return the whole body."""
        self._spooled_file.seek(0)
        return self._spooled_file.read()

    def close(self) -> None:
        """Delete the body."""
        self._spooled_file.close()

    def __enter__(self) -> ReceivedBody:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def make_too_large_error(maximum_size: int) -> ServiceError:
    """Return the error for a body of more than `maximum_size` bytes."""
    message = f"The body must have at most {maximum_size} bytes (max_body)."
    return ServiceError(message, code="RequestEntityTooLargeException", status=413)
