"""The bytes of a body while they come: pieces in a list, or, where the length is known and large, one buffer that is received into.

The buffer grows in steps, by what has really come: a length of 10¹² is only a number that somebody wrote. At the end it is handed out as
the `bytes` that it is, without a copy: `BytesIO` lends its memory for writing and gives it away when asked for its value.
"""

from __future__ import annotations

from io import BytesIO

FIRST_ROOM = 1024 * 1024


class Room:
    """A buffer for the `length` bytes of a body that are still to come, after `begun`."""

    def __init__(self, begun: bytes, length: int) -> None:
        self._buffer = BytesIO(begun)
        self._filled = len(begun)
        self._length = len(begun) + length
        self._capacity = self._filled

    def left(self) -> memoryview:
        """Where the next bytes go; release it before `filled`."""
        if self._filled == self._capacity:
            self._capacity = min(self._length, max(2 * self._filled, FIRST_ROOM))
            self._buffer.seek(self._capacity - 1)
            self._buffer.write(b"\0")
        return self._buffer.getbuffer()[self._filled :]

    def filled(self, count: int) -> None:
        """So many bytes have been written there."""
        self._filled += count

    def put(self, piece: bytes) -> None:
        """The next bytes, received elsewhere."""
        while piece:
            with self.left() as room:
                count = min(len(room), len(piece))
                room[:count] = piece[:count]
            self.filled(count)
            piece = piece[count:]

    def take(self) -> bytes:
        """All that has come."""
        self._buffer.truncate(self._filled)
        return self._buffer.getvalue()
