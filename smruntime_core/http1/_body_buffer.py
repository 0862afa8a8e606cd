"""One buffer for a long body, which is received into and returned without a copy.

It grows by what has been received, because a Content-Length of 10¹² is only a number that a server
sent. `BytesIO` lends its memory for writing and gives it away as `bytes`.
"""

from __future__ import annotations

from io import BytesIO

FIRST_CAPACITY = 1024 * 1024  # bytes


class BodyBuffer:
    """The buffer for `length` more bytes of a body that begins with `begun`."""

    def __init__(self, begun: bytes, length: int) -> None:
        self._bytes_buffer = BytesIO(begun)
        self._filled_size = len(begun)
        self._total_size = len(begun) + length
        self._capacity = self._filled_size

    def free_space(self) -> memoryview:
        """Return the memory for the next bytes; release it before `advance`."""
        if self._filled_size == self._capacity:
            self._capacity = min(self._total_size, max(2 * self._filled_size, FIRST_CAPACITY))
            self._bytes_buffer.seek(self._capacity - 1)
            self._bytes_buffer.write(b"\0")
        return self._bytes_buffer.getbuffer()[self._filled_size :]

    def advance(self, count: int) -> None:
        """Note that `count` bytes have been written to the free space."""
        self._filled_size += count

    def append(self, piece: bytes) -> None:
        """Copy bytes that were received elsewhere into the buffer."""
        while piece:
            with self.free_space() as free_memory:
                count = min(len(free_memory), len(piece))
                free_memory[:count] = piece[:count]
            self.advance(count)
            piece = piece[count:]

    def getvalue(self) -> bytes:
        """Return all that has been received."""
        self._bytes_buffer.truncate(self._filled_size)
        return self._bytes_buffer.getvalue()
