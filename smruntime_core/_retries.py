"""When to try again, and after how long: numbers in, a delay out. Nothing here waits, draws or looks at a clock.

The SDKs' standard mode of 2026, with one difference that is the point of this library: an invocation costs money and
may have effects, so what *may* have reached the model is not sent again. Botocore and others run a slow model three to five
times for one call.

    tried again                                                      not tried again
    a throttling code, 429, 500, 502, 503, 504                       any other answer
    nothing was sent: refused, no address, handshake timed out       a certificate nobody vouches for
    a kept connection that died before any byte of an answer (once,  a timeout, reset or cut after the request may
    at once, on a new connection)                                    have arrived

Every retry takes tokens from a bucket shared by a client's calls, and a success gives some back: when everything fails,
a client soon stops adding to the trouble.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from ._errors import ConstructionError, DispatchFailure, ServiceError, SmRuntimeError
from ._record import Record, field


def _attempts(member: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100:
        return value
    raise ConstructionError(member, "an int from 1 (no retry) to 100")


def _not_negative(member: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return value
    raise ConstructionError(member, "a number of 0 or more")


class RetryPolicy(Record):
    """How often and how eagerly. Delays are in seconds, costs in tokens of a bucket that holds `capacity`."""

    max_attempts: int = field(default=3, check=_attempts)
    base_delay: float = field(default=0.05, check=_not_negative)
    throttling_delay: float = field(default=1.0, check=_not_negative)
    max_delay: float = field(default=20.0, check=_not_negative)
    retry_cost: float = field(default=14, check=_not_negative)
    throttling_cost: float = field(default=5, check=_not_negative)
    capacity: float = field(default=500, check=_not_negative)

    def retryable(self, failure: SmRuntimeError) -> bool:
        """The call may be tried again without a risk of running the model twice."""
        if isinstance(failure, DispatchFailure):
            return failure.delivery == "not_sent" and failure.kind not in ("tls", "protocol")
        return isinstance(failure, ServiceError) and failure.retryable

    def cost(self, failure: SmRuntimeError) -> float:
        """Tokens that trying again after `failure` takes."""
        return self.throttling_cost if _throttling(failure) else self.retry_cost

    def delay(self, attempt: int, failure: SmRuntimeError, draw: float) -> float:
        """Seconds to wait after `attempt` (the first is 1) failed: exponential, with full jitter from `draw` in [0, 1)."""
        base = self.throttling_delay if _throttling(failure) else self.base_delay
        return draw * min(base * 2.0 ** min(attempt - 1, 64), self.max_delay)


def died_while_kept(failure: SmRuntimeError) -> bool:
    """A kept connection that the server had closed already: it never read the request, so sending it again is free."""
    return isinstance(failure, DispatchFailure) and failure.reused and failure.bytes_received == 0 and failure.kind in ("reset", "closed")


def _throttling(failure: SmRuntimeError) -> bool:
    return isinstance(failure, ServiceError) and failure.throttling


class NoLock:
    """Stands in for a lock where nothing runs in parallel."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


class TokenBucket:
    """What is left to spend on retries. `lock` guards it if calls run in parallel threads."""

    def __init__(self, capacity: float, lock: AbstractContextManager[object]) -> None:
        self._capacity = self._tokens = capacity
        self._lock = lock

    @property
    def tokens(self) -> float:
        """Tokens left, from 0 to the capacity."""
        return self._tokens

    def take(self, cost: float) -> bool:
        """Spend `cost`, or nothing and False if there is not enough."""
        with self._lock:
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def give(self, amount: float) -> None:
        """Put `amount` back after a success, up to the capacity."""
        if self._tokens < self._capacity:
            with self._lock:
                self._tokens = min(self._capacity, self._tokens + amount)
