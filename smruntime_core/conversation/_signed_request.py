"""A signed request that can be signed again.

A signature bears the time and is valid for five minutes. A call that waits for a connection first,
for as long as `timeouts.pool` allows, would send one that has expired. So the IO asks for the
request anew when its connection is available (`Send.renew`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..values._http import Request
from ._clock_skew import ClockSkew
from ._deadline import Clock

MAX_SIGNATURE_AGE: Final = 1.0  # seconds: a signature has whole seconds


class SignedRequest:
    """The request of one attempt, as `sign_at` makes it for the corrected time.

    It was signed at `signed_at`, by this machine's clock, with the `correction` known then.
    """

    def __init__(self, clock: Clock, skew: ClockSkew, sign_at: Callable[[float], Request]) -> None:
        self._clock = clock
        self._skew = skew
        self._sign_at = sign_at
        self._sign(clock.time())

    def _sign(self, current_time: float) -> None:
        self.signed_at: float = current_time
        self.correction: float = self._skew.seconds
        self.request: Request = self._sign_at(current_time + self.correction)

    def renew(self) -> Request:
        """Return the request, signed again if its signature is older than a second."""
        current_time = self._clock.time()
        if not 0 <= current_time - self.signed_at < MAX_SIGNATURE_AGE:
            self._sign(current_time)
        return self.request
