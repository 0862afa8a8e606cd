"""What to do after an attempt failed: one list, read from the top.

the clock is off                     sign again, once                        free
the credentials have expired         fetch others, once                      free
the request opens a session          give up, if it may have arrived
a kept connection was closed         send on a new one, once, at once        free
the model is starting                wait, as long as the caller allows      free
anything else                        as the retry policy says                tokens
"""

from __future__ import annotations

from typing import Final

from ..errors import DispatchFailure, ServiceError, SmRuntimeError
from ..values._credentials import Credentials
from ..values._record import Record
from ._clock_skew import ClockSkew
from ._options import Options
from ._retries import capacity_delay, is_starting, was_closed_while_idle

EXPIRED: Final = frozenset(("ExpiredToken", "ExpiredTokenException"))


class RetryDecision(Record):
    """Another attempt after `delay` seconds (None: at once), for `cost` tokens, and the reason."""

    delay: float | None
    cost: float
    reason: str


class FailedAttempt(Record):
    """How an attempt failed.

    `sent` (when it was signed) and `received` are readings of the uncorrected clock, `correction`
    is what was added to it for the signature, `seconds` is the time since the call began.
    """

    failure: SmRuntimeError
    credentials: Credentials
    sent: float
    received: float
    correction: float
    seconds: float


class Recovery:
    """The failures of one call so far.

    The next attempt needs a `fresh` connection, or other credentials than those `rejected`.
    """

    fresh: bool = False
    rejected: Credentials | None = None
    _signed_again = False
    _retry_count = 0
    _capacity_waits = 0

    def __init__(self, options: Options, skew: ClockSkew, *, send_once: bool) -> None:
        self._options = options
        self._skew = skew
        self._send_once = send_once

    def decide_after(
        self, failed_attempt: FailedAttempt, tokens: float, draw: float
    ) -> RetryDecision | None:
        """Return how to go on after `failed_attempt`, None to give up.

        `tokens` are left in the bucket; `draw` is a random number in [0, 1).
        """
        failure = failed_attempt.failure
        repair_reason = (
            self._repair_signature(failure, failed_attempt)
            if isinstance(failure, ServiceError)
            else None
        )
        if repair_reason is not None:
            return RetryDecision(None, 0, repair_reason)
        never_sent = isinstance(failure, DispatchFailure) and failure.delivery == "not_sent"
        if self._send_once and not never_sent:
            return None
        if not self.fresh and was_closed_while_idle(
            failure, failed_attempt.received - failed_attempt.sent
        ):
            self.fresh = True
            return RetryDecision(None, 0, "the kept connection was closed")
        if is_starting(failure):
            seconds_left = self._options.wait_for_capacity - failed_attempt.seconds
            if seconds_left > 0:
                delay = min(seconds_left, capacity_delay(self._capacity_waits, draw))
                self._capacity_waits += 1
                return RetryDecision(delay, 0, "waiting for capacity")
        self._retry_count += 1
        planned_retry = self._options.policy.plan(self._retry_count, failure, tokens, draw)
        return planned_retry and RetryDecision(
            planned_retry.delay, planned_retry.cost, outcome(failure)
        )

    def _repair_signature(self, failure: ServiceError, failed_attempt: FailedAttempt) -> str | None:
        """Repair a wrong clock or expired credentials, once each; return which, or None."""
        if not failed_attempt.credentials.access_key_id:
            return None  # an anonymous request has no signature, and its refusal proves nothing
        if not self._signed_again and self._skew.learn(
            failure, failed_attempt.sent, failed_attempt.received, failed_attempt.correction
        ):
            self._signed_again = True
            return "the time of the signature was wrong"
        if self.rejected is None and failure.code in EXPIRED:
            self.rejected = failed_attempt.credentials
            return "the credentials had expired"
        return None


def outcome(failure: SmRuntimeError) -> str:
    """Return the outcome of an attempt: the error's code, kind or type."""
    if isinstance(failure, ServiceError):
        return failure.code
    return failure.kind if isinstance(failure, DispatchFailure) else type(failure).__name__
