"""The newest calls that the containers have received, within limits of number and size."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from ..models._call import Call

MAX_CALLS: Final = 1000
MAX_BYTES: Final = 64 * 1024 * 1024  # of all bodies; the last call is kept whatever its size


class RecordedCalls:
    """The newest calls, the oldest first; thread-safe."""

    def __init__(self, max_calls: int = MAX_CALLS, max_bytes: int = MAX_BYTES) -> None:
        self._max_calls = max_calls
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque()
        self._size = 0

    def record(self, call: Call) -> None:
        """Append `call`, and forget the oldest calls beyond the limits."""
        with self._lock:
            self._calls.append(call)
            self._size += len(call.body)
            while len(self._calls) > 1 and (
                len(self._calls) > self._max_calls or self._size > self._max_bytes
            ):
                self._size -= len(self._calls.popleft().body)

    def snapshot(self) -> tuple[Call, ...]:
        """Return the calls so far."""
        with self._lock:
            return tuple(self._calls)
