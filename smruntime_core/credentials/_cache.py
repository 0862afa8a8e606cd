"""What to do with credentials that are getting old: numbers in, one word out. Nothing here waits.

    fetched                    advisory                       mandatory     expired
       ├──────── use ──────────────┼── use, renew beside ─────────┼─── wait ────┼── wait, and never send them ──>

They are renewed early, off the caller's path (advisory: half of what is left, at most 15 minutes, a little jittered so that a fleet
does not renew in step), and the last minute waits for new ones (mandatory). Halving means that a source which hands out the same
credentials again is asked again after half of the rest, then half of that: often enough, and never at every call.

A renewal that fails costs nobody anything while the old ones are valid: they are served, and the source is left alone for a second,
then two, up to a minute. Only when there is nothing valid to serve do callers see the error. Credentials that the service rejected
count as expired, until there are others.

A renewal is in flight or it is not: whoever gets `True` from `begin` runs it, once for everybody, and reports by `done` or `failed`.
Who waited asks again. All calls are quick; whoever shares a cache between threads calls everything but `at_hand` under one lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from ..errors import CredentialsError
from ..values._credentials import Credentials

ADVISORY = 900.0  # seconds before they expire, at most
MANDATORY = 60.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0

Advice: TypeAlias = Literal["use", "use and renew", "wait"]


class Cache:
    """The credentials of one client. `clock` is in seconds since the epoch, `random` a number in [0, 1) at each call."""

    def __init__(self, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self.held: Credentials | None = None
        self.quiet_until = -1.0  # until then, there is nothing to think about
        self.renewing = False
        self._clock = clock
        self._random = random
        self._mandatory = self._expires = self._retry = -1.0
        self._failures = 0
        self._rejected = False

    def at_hand(self) -> Credentials | None:
        """What is held, if there is nothing to think about; the one question of nearly every call."""
        return self.held if self._clock() < self.quiet_until else None

    def advise(self, rejected: Credentials | None) -> Advice:
        """What a caller is to do, whose last credentials were `rejected` by the service (None: were not)."""
        held, now = self.held, self._clock()
        if held is None or now >= self._expires:
            return "wait"
        if rejected is not None and rejected == held:
            self._rejected, self.quiet_until = True, -1.0
            return "use" if now < self._retry and not self.renewing else "wait"
        if now < self._retry and not self.renewing:
            return "use"
        if self._rejected or now >= self._mandatory:
            return "wait"
        return "use" if now < self.quiet_until else "use and renew"

    def begin(self) -> bool:
        """A renewal is wanted: true for the one who is to run it."""
        if self.renewing:
            return False
        self.renewing = True
        return True

    def done(self, fetched: Credentials) -> None:
        """The renewal came to these; raises `CredentialsError` if they have expired already."""
        self.renewing = False
        now, expires = self._clock(), fetched.expires_at
        if expires is not None and expires <= now:
            self.failed()
            raise CredentialsError(
                f"the source of credentials hands out some that expired {now - expires:.0f} s ago (is this machine's clock right?)"
            )
        self._failures, self._retry, self._rejected = 0, -1.0, False
        self.held = fetched
        self._expires = self._mandatory = self.quiet_until = float("inf")
        if expires is not None:
            left = expires - now
            self._expires = expires
            self._mandatory = expires - min(MANDATORY, left / 4)
            self.quiet_until = expires - min(ADVISORY, left / 2) * (1.0 - self._random() / 4)

    def failed(self) -> None:
        """The renewal came to nothing."""
        self.renewing = False
        pause = min(FIRST_PAUSE * 2.0 ** min(self._failures, 16), LONGEST_PAUSE)
        self._failures += 1
        self._retry = self._clock() + pause * (1.0 - self._random() / 4)

    def abandoned(self) -> None:
        """Whoever ran the renewal is gone without a word: a fork's parent, a loop that was closed."""
        self.renewing = False

    def valid(self) -> Credentials | None:
        """What is held, if it may be sent."""
        return self.held if self.held is not None and self._clock() < self._expires else None
