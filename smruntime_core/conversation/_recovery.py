"""What to do after an attempt failed: one list, read from the top. Pure, but for the clock correction that it may learn.

the clock is off                     sign again, once                            free
the credentials have expired         with others, once                           free
it opens something over there        nothing, if it may have arrived
a kept connection was dead           on a new one, once, at once                 free
the model is coming up               wait, as long as the caller allows          free
anything else                        as the retry policy says                    tokens
"""

from __future__ import annotations

from ..errors import DispatchFailure, ServiceError, SmRuntimeError
from ..values._credentials import Credentials
from ..values._record import Record
from ._clock_skew import ClockSkew
from ._options import Options
from ._retries import capacity_delay, coming_up, died_while_kept

EXPIRED = frozenset(("ExpiredToken", "ExpiredTokenException"))


class RetryDecision(Record):
    """Try once more after `delay` seconds (None: at once), for `cost` tokens, because of `reason`."""

    delay: float | None
    cost: float
    reason: str


class FailedAttempt(Record):
    """How an attempt failed: when it was sent and its answer received by this machine's clock, and `seconds` since the call began."""

    failure: SmRuntimeError
    credentials: Credentials
    sent: float
    received: float
    seconds: float


class Recovery:
    """The failures of one call so far.

    The next attempt needs a `fresh` connection, or other credentials than those `rejected`.
    """

    fresh = False
    rejected: Credentials | None = None
    _corrected_clock = False
    _retries = 0
    _waits = 0

    def __init__(self, options: Options, skew: ClockSkew, *, send_once: bool) -> None:
        self._options = options
        self._skew = skew
        self._send_once = send_once

    def after(self, failed: FailedAttempt, tokens: float, draw: float) -> RetryDecision | None:
        """Return what to do after an attempt that failed so, None to give up.

        `tokens` are left in the bucket; `draw` is a random number in [0, 1).
        """
        failure = failed.failure
        repaired = self._repaired(failure, failed) if isinstance(failure, ServiceError) else None
        if repaired is not None:
            return RetryDecision(None, 0, repaired)
        if self._send_once and not (
            isinstance(failure, DispatchFailure) and failure.delivery == "not_sent"
        ):
            return None
        if not self.fresh and died_while_kept(failure, failed.received - failed.sent):
            self.fresh = True
            return RetryDecision(None, 0, "the kept connection was dead")
        if coming_up(failure):
            left = self._options.wait_for_capacity - failed.seconds
            if left > 0:
                self._waits += 1
                return RetryDecision(
                    min(left, capacity_delay(self._waits - 1, draw)), 0, "waiting for capacity"
                )
        self._retries += 1
        retry = self._options.policy.plan(self._retries, failure, tokens, draw)
        return retry and RetryDecision(retry.delay, retry.cost, outcome(failure))

    def _repaired(self, failure: ServiceError, failed: FailedAttempt) -> str | None:
        """Return what was wrong with the signature and is right now; each is repaired once."""
        if not self._corrected_clock and self._skew.learn(failure, failed.sent, failed.received):
            self._corrected_clock = True
            return "the clock was corrected"
        if self.rejected is None and failure.code in EXPIRED:
            self.rejected = failed.credentials
            return "the credentials had expired"
        return None


def outcome(failure: SmRuntimeError) -> str:
    """Return how an attempt ended, in one word."""
    if isinstance(failure, ServiceError):
        return failure.code
    return failure.kind if isinstance(failure, DispatchFailure) else type(failure).__name__
