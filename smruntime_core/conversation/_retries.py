"""When to try again, and after how long: numbers in, a delay out. Nothing here waits, draws or looks at a clock.

The SDKs' standard mode of 2026, with one difference that is the point of this library: an invocation costs money and
may have effects, so what *may* have reached the model is not sent again unless the caller says that it may run twice. Others run
a slow model three to five times for one call.

    tried again                                                      not tried again
    a throttling code, 429, 500, 502, 503, 504                       any other answer
    nothing was sent: refused, no address, handshake timed out       a certificate nobody vouches for
    a kept connection that died before any byte of an answer, soon   a timeout, reset or cut after the request may
    after the request (once, at once, on a new connection)           have arrived (`resend` allows those)

Every retry takes tokens from a bucket shared by a client's calls, and a success gives some back: when everything fails,
a client soon stops adding to the trouble.

Two kinds of mending stand beside this, each of them once a call and free: a clock that is off (`_skew`), and credentials that the
service says have expired. And waiting for a model that is still coming up (`wait_for_capacity`) is no retry of a fault at all.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import NamedTuple

from ..errors import ConstructionError, DispatchFailure, ResponseError, ServiceError, SmRuntimeError
from ..values._record import Record, field
from ..values._rules import check_flag

SERVER_ASKS_AT_MOST = (
    5.0  # seconds on top of our own delay: x-amz-retry-after beyond that is not believed
)
DIED_AT_ONCE = 1.0  # seconds: later, a proxy that gives up on a slow model looks the same as a stale connection
CAPACITY_FIRST_WAIT = 1.0
CAPACITY_LONGEST_WAIT = 15.0

_whole_number = re.compile(r"[0-9]{1,12}").fullmatch


def _attempts(member: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100:
        return value
    raise ConstructionError(member, "an int from 1 (no retry) to 100")


def _not_negative(member: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return value
    raise ConstructionError(member, "a number of 0 or more")


class Retry(NamedTuple):
    """Try again after `delay` seconds, for `cost` tokens."""

    delay: float
    cost: float


class RetryPolicy(Record):
    """How often and how eagerly. Delays are in seconds, costs in tokens of a bucket that holds `capacity`.

    `resend` lets a request be sent again that may have arrived: the model may then run more than once for one call.
    """

    max_attempts: int = field(default=3, check=_attempts)
    base_delay: float = field(default=0.05, check=_not_negative)
    throttling_delay: float = field(default=1.0, check=_not_negative)
    max_delay: float = field(default=20.0, check=_not_negative)
    retry_cost: float = field(default=14, check=_not_negative)
    throttling_cost: float = field(default=5, check=_not_negative)
    capacity: float = field(default=500, check=_not_negative)
    resend: bool = field(default=False, check=check_flag)

    @classmethod
    def aws_standard(cls, max_attempts: int = 3) -> RetryPolicy:
        """What the AWS SDKs do: any failure of the network is tried again, though the model may have run."""
        return cls(max_attempts, resend=True)

    def plan(
        self, attempt: int, failure: SmRuntimeError, tokens: float, draw: float
    ) -> Retry | None:
        """What to do after `attempt` (the first is 1) came to `failure`; None is to give up.

        `tokens` are those left in the bucket, `draw` is a random number in [0, 1) for the jitter.
        """
        if attempt >= self.max_attempts or not self.retryable(failure):
            return None
        throttled = _throttling(failure)
        cost = self.throttling_cost if throttled else self.retry_cost
        if tokens < cost:
            return None
        base = self.throttling_delay if throttled else self.base_delay
        delay = draw * min(base * 2.0 ** min(attempt - 1, 64), self.max_delay)
        return Retry(_asked_for(failure, delay), cost)

    def retryable(self, failure: SmRuntimeError) -> bool:
        """The call may be tried again without a risk of running the model twice, or with one that `resend` accepts."""
        if isinstance(failure, DispatchFailure):
            if failure.delivery == "not_sent":
                return failure.kind not in ("tls", "protocol")
            return self.resend and failure.kind in ("timeout", "reset", "closed", "truncated")
        if isinstance(failure, ServiceError):
            return failure.retryable
        return self.resend and isinstance(failure, ResponseError)


def _asked_for(failure: SmRuntimeError, delay: float) -> float:
    """`delay`, or what the server asks for within bounds: no sooner than that and not much later."""
    for name, value in failure.metadata.headers:
        if name.lower() in ("x-amz-retry-after", "retry-after") and _whole_number(value):
            asked = int(value) / (1000 if name.lower() == "x-amz-retry-after" else 1)
            return min(max(asked, delay), delay + SERVER_ASKS_AT_MOST)
    return delay


def died_while_kept(failure: SmRuntimeError, seconds: float) -> bool:
    """A kept connection that the server had closed already: it never read the request, so sending it again is free.

    `seconds` is how long the attempt took, for a transport that does not say how long after the request it happened.
    """
    if not (
        isinstance(failure, DispatchFailure) and failure.reused and failure.bytes_received == 0
    ):
        return False
    silence = seconds if failure.silence is None else failure.silence
    return failure.kind in ("reset", "closed") and silence <= DIED_AT_ONCE


def coming_up(failure: SmRuntimeError) -> bool:
    """The model is not there yet: still loading, or scaled to zero (which this very call ends)."""
    return isinstance(failure, ServiceError) and (
        failure.code == "ModelNotReadyException"
        or (failure.status == 400 and "has no capacity" in failure.message_raw)
    )


def capacity_delay(waits: int, draw: float) -> float:
    """Seconds before looking once more whether the model has come up, after `waits` times: growing, with a little jitter."""
    return min(CAPACITY_FIRST_WAIT * 2.0 ** min(waits, 8), CAPACITY_LONGEST_WAIT) * (
        0.75 + draw / 4
    )


def _throttling(failure: SmRuntimeError) -> bool:
    return isinstance(failure, ServiceError) and failure.throttling


class NoLock:
    """Stands in for a lock where nothing runs in parallel."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


class RetryQuota:
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
