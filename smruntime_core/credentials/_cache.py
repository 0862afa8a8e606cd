"""When to refresh credentials: a state machine that neither waits nor does I/O.

    fetched                  advisory                        mandatory     expired
       ├──────── use ───────────┼──── use and renew ────────────┼─── wait ────┼──── wait ──>

From the advisory moment on, one caller refreshes the credentials in the background. It comes when
half of the remaining lifetime has passed, at most 15 minutes before expiry, with jitter, so that a
fleet does not refresh at the same moment. Because the lifetime is halved each time, a source that
returns the same credentials again is not asked at every call. In the last minute (mandatory)
callers wait for new credentials; expired credentials are never used.

While the old credentials are valid, a failed refresh is not reported: they stay in use, and the
source is not asked again for 1 s, then 2 s, up to 60 s. Credentials that the service rejected count
as expired until others are fetched.

At most one refresh runs at a time: the caller that gets True from `begin` runs it and reports the
outcome with `done`, `failed` or `abandoned`; callers that waited then ask again. No method blocks.
Callers in several threads must hold one lock for every method except `at_hand`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from ..errors import CredentialsError
from ..values._credentials import Credentials

ADVISORY_WINDOW: Final = 900.0  # seconds before expiry, at most
MANDATORY_WINDOW: Final = 60.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0

Advice: TypeAlias = Literal["use", "use and renew", "wait"]


class Cache:
    """The credentials of one client.

    `clock` returns seconds since the epoch, `random` a number in [0, 1).
    """

    def __init__(self, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self.held: Credentials | None = None
        self.quiet_until: float = -1.0  # until then, no call has to ask `advise`
        self.renewing: bool = False
        self._clock = clock
        self._random = random
        self._mandatory_at = self._expires_at = self._retry_at = -1.0
        self._failure_count = 0
        self._is_rejected = False

    def at_hand(self) -> Credentials | None:
        """Return the credentials while they need no refresh, else None: then ask `advise`.

        Nearly every call ends here.
        """
        return self.held if self._clock() < self.quiet_until else None

    def advise(self, rejected: Credentials | None) -> Advice:
        """Return what the caller should do; `rejected` are credentials that the service refused."""
        now = self._clock()
        if self.held is None or now >= self._expires_at:
            return "wait"
        is_pausing = now < self._retry_at and not self.renewing
        if rejected is not None and rejected == self.held:
            self._is_rejected, self.quiet_until = True, -1.0
            return "use" if is_pausing else "wait"
        if is_pausing:
            return "use"
        if self._is_rejected or now >= self._mandatory_at:
            return "wait"
        return "use" if now < self.quiet_until else "use and renew"

    def begin(self) -> bool:
        """Begin a refresh, unless one is running: return True if the caller has to run it."""
        if self.renewing:
            return False
        self.renewing = True
        return True

    def done(self, fetched: Credentials) -> None:
        """Store fetched credentials; raise `CredentialsError` if they have already expired."""
        self.renewing = False
        now, expires_at = self._clock(), fetched.expires_at
        if expires_at is not None and expires_at <= now:
            self.failed()
            raise CredentialsError(
                f"the source returned credentials that expired {now - expires_at:.0f} s ago "
                "(is this machine's clock right?)"
            )
        self._failure_count, self._retry_at, self._is_rejected = 0, -1.0, False
        self.held = fetched
        self._expires_at = self._mandatory_at = self.quiet_until = float("inf")
        if expires_at is not None:
            lifetime = expires_at - now
            window = min(ADVISORY_WINDOW, lifetime / 2)
            self._expires_at = expires_at
            self._mandatory_at = expires_at - min(MANDATORY_WINDOW, lifetime / 4)
            self.quiet_until = expires_at - window * (1.0 - self._random() / 4)

    def failed(self) -> None:
        """Note that a refresh failed, and set the pause before the next one."""
        self.renewing = False
        pause = min(FIRST_PAUSE * 2.0 ** min(self._failure_count, 16), LONGEST_PAUSE)
        self._failure_count += 1
        self._retry_at = self._clock() + pause * (1.0 - self._random() / 4)

    def abandoned(self) -> None:
        """Note that a refresh ended without an outcome, as after a fork or on a closed loop."""
        self.renewing = False

    def valid(self) -> Credentials | None:
        """Return the credentials unless they have expired."""
        return self.held if self.held is not None and self._clock() < self._expires_at else None
