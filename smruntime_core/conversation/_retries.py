"""When to try again, and after how long.

The functions take numbers and return a delay; the caller waits and draws the random numbers.

The rules are the SDKs' standard mode of 2026, with one difference. An invocation costs money and
may have effects, so a request that *may* have reached the model is not sent again unless the caller
says that the model may run twice. SDKs run a slow model three to five times for one call.

    tried again                                        not tried again
    a throttling code, 429, 500, 502, 503, 504         any other response
    nothing was sent: refused, no address, handshake   a certificate that is not trusted
      timed out
    a kept connection that closed without a byte of    a timeout, reset or cut after the request may
      response within a second of the request            have arrived (`resend` allows it)
      (once, at once, on a new connection)             a ModelError (`retry_model_errors` allows
                                                         some, see below)

`Options.idempotent` sets both `resend` and `retry_model_errors`. Of model errors, those of an
unavailable container are retried: the container's status is 0 (it died, or was too slow), 429, 502,
503 or 504. Any other 4xx and a 500 are the model's answer to this input, and a retry would get the
same answer.

Each retry takes tokens from a bucket that a client's calls share, and each success returns some:
when everything fails, a client soon stops adding load. Repairs (`_recovery`) are free, and so is
waiting for a model that is starting (`wait_for_capacity`).

`RetryPolicy.classify` is asked before a retry that costs tokens. It decides only what the policy
may decide: a request that may have arrived stays unrepeatable without `resend`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, TypeAlias

from ..errors import (
    ConstructionError,
    DispatchFailure,
    ModelError,
    ResponseError,
    ServiceError,
    SmRuntimeError,
)
from ..values._hooks import function_name, hook
from ..values._http import fields_by_name
from ..values._record import Record, field
from ..values._rules import check_flag

MAX_EXTRA_DELAY: Final = 5.0  # seconds that a server may ask for beyond our own delay
MAX_SILENCE: Final = 1.0  # seconds: after that, a proxy may have given up on a slow model
CAPACITY_FIRST_WAIT: Final = 1.0
CAPACITY_LONGEST_WAIT: Final = 15.0
CONTAINER_UNAVAILABLE: Final = frozenset((0, 429, 502, 503, 504))

_match_whole_number = re.compile(r"[0-9]{1,12}").fullmatch


def _check_attempts(member: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100:
        return value
    raise ConstructionError(member, "an int from 1 (no retry) to 100")


def check_number(member: str, value: object, requirement: str = "a number of 0 or more") -> float:
    """Return a number from 0 on; raise `ConstructionError`, which says `requirement`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return value
    raise ConstructionError(member, requirement)


Classifier: TypeAlias = Callable[[SmRuntimeError], "bool | None"]
_check_classifier = hook("a function from SmRuntimeError to True, False or None")


class Retry(NamedTuple):
    """A retry after `delay` seconds, for `cost` tokens."""

    delay: float
    cost: float


def limit_pause(delay: float, longest: float | None) -> float:
    """Return the seconds to wait before another attempt: `delay`, but at most `longest`."""
    return delay if longest is None else min(delay, longest)


class RetryPolicy(Record):
    """How often and how soon to retry.

    Delays are in seconds, costs in tokens of a bucket that holds `capacity`. With `resend`, a
    request that may have arrived is sent again, so the model may run more than once for one call.
    With `retry_model_errors`, a `ModelError` of an unavailable container is retried too.

    `classify` is a function that is given a failure and returns True to retry it, False not to, or
    None for the rules above. It is asked about answers (`ServiceError`, so True lets the model run
    again after an error of its own) and about requests that were not sent. With `resend` it is
    asked about requests that may have arrived, too; without, those are never sent again. Attempts,
    tokens and the time limit of the call hold in any case.
    """

    _suggests = True
    max_attempts: int = field(default=3, check=_check_attempts)
    base_delay: float = field(default=0.05, check=check_number)
    throttling_delay: float = field(default=1.0, check=check_number)
    max_delay: float = field(default=20.0, check=check_number)
    retry_cost: float = field(default=14, check=check_number)
    throttling_cost: float = field(default=5, check=check_number)
    capacity: float = field(default=500, check=check_number)
    resend: bool = field(default=False, check=check_flag)
    retry_model_errors: bool = field(default=False, check=check_flag)
    classify: Classifier | None = field(default=None, check=_check_classifier)

    @classmethod
    def aws_standard(cls, max_attempts: int = 3) -> RetryPolicy:
        """Return the AWS SDKs' policy: retry any network failure, though the model may have run."""
        return cls(max_attempts, resend=True)

    def plan(
        self, attempt: int, failure: SmRuntimeError, tokens: float, draw: float
    ) -> Retry | None:
        """Return the retry after `attempt` (the first is 1) ended in `failure`, None to give up.

        `tokens` are left in the bucket; `draw` is a random number in [0, 1) for the jitter.
        """
        if attempt >= self.max_attempts or not self.retryable(failure):
            return None
        is_throttled = _is_throttling(failure)
        cost = self.throttling_cost if is_throttled else self.retry_cost
        if tokens < cost:
            return None
        first_delay = self.throttling_delay if is_throttled else self.base_delay
        delay = draw * min(first_delay * 2.0 ** min(attempt - 1, 64), self.max_delay)
        return Retry(_requested_delay(failure, delay), cost)

    def retryable(self, failure: SmRuntimeError) -> bool:
        """Return whether a retry cannot run the model twice, or may under this policy.

        Raises `ConstructionError` if `classify` returns anything but a bool or None, and what it
        raises.
        """
        may_repeat = self._may_repeat(failure)
        is_transient = may_repeat and self._is_transient(failure)
        if self.classify is None or not may_repeat:
            return is_transient
        verdict: object = self.classify(failure)
        if verdict is None:
            return is_transient
        if isinstance(verdict, bool):
            return verdict
        classifier_name = function_name(self.classify)
        raise ConstructionError(
            "retries.classify",
            "a function that returns True, False or None",
            f"{classifier_name} returned {type(verdict).__name__}",
        )

    def _may_repeat(self, failure: SmRuntimeError) -> bool:
        """Return whether the request did not arrive, was answered, or may run twice."""
        if isinstance(failure, DispatchFailure):
            return self.resend or failure.delivery == "not_sent"
        return isinstance(failure, ServiceError) or (
            self.resend and isinstance(failure, ResponseError)
        )

    def _is_transient(self, failure: SmRuntimeError) -> bool:
        """Return whether another attempt may end otherwise."""
        if isinstance(failure, DispatchFailure):
            if failure.delivery == "not_sent":
                return failure.kind not in ("tls", "protocol")
            return failure.kind in ("timeout", "reset", "closed", "truncated")
        if isinstance(failure, ServiceError):
            return failure.retryable or (
                self.retry_model_errors and _container_was_unavailable(failure)
            )
        return True


def _container_was_unavailable(failure: ServiceError) -> bool:
    return isinstance(failure, ModelError) and failure.original_status_code in CONTAINER_UNAVAILABLE


def _requested_delay(failure: SmRuntimeError, delay: float) -> float:
    """Return the delay that the server asks for, at least `delay`; `delay` if it asks for none.

    The server can add `MAX_EXTRA_DELAY` seconds at most.
    """
    header_fields = fields_by_name(failure.metadata.headers)
    for header_name, units_per_second in (("x-amz-retry-after", 1000), ("retry-after", 1)):
        header_value = header_fields.get(header_name, "")
        if _match_whole_number(header_value):
            requested_delay = int(header_value) / units_per_second
            return min(max(requested_delay, delay), delay + MAX_EXTRA_DELAY)
    return delay


def was_closed_while_idle(failure: SmRuntimeError, seconds: float) -> bool:
    """Return whether the server had closed a kept connection before it read the request.

    `seconds` is how long the attempt took, for an IO that does not measure `silence`.
    """
    if not (
        isinstance(failure, DispatchFailure) and failure.reused and failure.bytes_received == 0
    ):
        return False
    silence = seconds if failure.silence is None else failure.silence
    return failure.kind in ("reset", "closed") and silence <= MAX_SILENCE


def is_starting(failure: SmRuntimeError) -> bool:
    """Return whether the model is loading, or was scaled to zero and is started by this call."""
    return isinstance(failure, ServiceError) and (
        failure.code == "ModelNotReadyException"
        or (failure.status == 400 and "has no capacity" in failure.message_raw)
    )


def capacity_delay(finished_waits: int, draw: float) -> float:
    """Return the seconds of the next wait for a starting model, with jitter."""
    longest_wait = min(CAPACITY_FIRST_WAIT * 2.0 ** min(finished_waits, 8), CAPACITY_LONGEST_WAIT)
    return longest_wait * (0.75 + draw / 4)


def _is_throttling(failure: SmRuntimeError) -> bool:
    return isinstance(failure, ServiceError) and failure.throttling


class NoLock:
    """A lock for programs where nothing runs in parallel."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


class RetryQuota:
    """The tokens that a client has left for retries; `lock` guards them if threads run calls."""

    def __init__(self, capacity: float, lock: AbstractContextManager[object]) -> None:
        self._capacity = self._tokens = capacity
        self._lock = lock

    @property
    def tokens(self) -> float:
        """Tokens left, from 0 to the capacity."""
        return self._tokens

    def take(self, cost: float) -> bool:
        """Spend `cost` tokens; if there are too few, spend none and return False."""
        with self._lock:
            if self._tokens < cost:
                return False
            self._tokens -= cost
            return True

    def give(self, token_count: float) -> None:
        """Put back `token_count` tokens after a success, up to the capacity."""
        if self._tokens < self._capacity:
            with self._lock:
                self._tokens = min(self._capacity, self._tokens + token_count)
