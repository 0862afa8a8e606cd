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
        self._buffer = BytesIO(begun)
        self._filled = len(begun)
        self._length = len(begun) + length
        self._capacity = self._filled

    def free_space(self) -> memoryview:
        """Return the memory for the next bytes; release it before `advance`."""
        if self._filled == self._capacity:
            self._capacity = min(self._length, max(2 * self._filled, FIRST_CAPACITY))
            self._buffer.seek(self._capacity - 1)
            self._buffer.write(b"\0")
        return self._buffer.getbuffer()[self._filled :]

    def advance(self, count: int) -> None:
        """Note that `count` bytes have been written to the free space."""
        self._filled += count

    def append(self, piece: bytes) -> None:
        """Copy bytes that were received elsewhere into the buffer."""
        while piece:
            with self.free_space() as space:
                count = min(len(space), len(piece))
                space[:count] = piece[:count]
            self.advance(count)
            piece = piece[count:]

    def getvalue(self) -> bytes:
        """Return all that has been received."""
        self._buffer.truncate(self._filled)
        return self._buffer.getvalue()
