"""The newest calls that the containers have received, within limits of number and size."""

from __future__ import annotations

import threading
from collections import Counter, deque
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
        self._counts: Counter[str] = Counter()

    def record(self, call: Call) -> None:
        """Append `call`, and forget the oldest calls beyond the limits."""
        with self._lock:
            self._calls.append(call)
            self._counts[call.endpoint_name] += 1
            self._size += len(call.body)
            while len(self._calls) > 1 and (
                len(self._calls) > self._max_calls or self._size > self._max_bytes
            ):
                self._size -= len(self._calls.popleft().body)

    def count(self, endpoint_name: str | None) -> int:
        """Return how many calls an endpoint has received, forgotten ones included; None: all."""
        with self._lock:
            return self._counts.total() if endpoint_name is None else self._counts[endpoint_name]

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()
            self._counts.clear()
            self._size = 0

    def snapshot(self) -> tuple[Call, ...]:
        """Return the calls so far."""
        with self._lock:
            return tuple(self._calls)
