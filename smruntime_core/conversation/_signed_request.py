"""A signed request that can be signed again.

A signature bears the time and is valid for five minutes. A call that waits for a connection first,
for as long as `timeouts.pool` allows, would send one that has expired. So the IO asks for the
request anew when its connection is available (`Send.renew`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..values._http import Request
from ._deadline import Clock

MAX_SIGNATURE_AGE: Final = 1.0  # seconds: a signature has whole seconds


class SignedRequest:
    """The request of one attempt; `signed_at` is when, by this machine's uncorrected clock."""

    def __init__(self, clock: Clock, sign_at: Callable[[float], Request]) -> None:
        self._clock = clock
        self._sign_at = sign_at
        self.signed_at: float = clock.time()
        self.request: Request = sign_at(self.signed_at)

    def renew(self) -> Request:
        """Return the request, signed again if its signature is older than a second."""
        current_time = self._clock.time()
        if not 0 <= current_time - self.signed_at < MAX_SIGNATURE_AGE:
            self.signed_at = current_time
            self.request = self._sign_at(current_time)
        return self.request
