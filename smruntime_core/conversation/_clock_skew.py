"""Correct a clock that is off, from the service's own `Date`.

The service refuses a signature that is more than five minutes from its own time, which is in the
`Date` of every response. It was written between sending and receiving:

    correction  =  Date  -  (sent + received) / 2

A correction is learned only from the refusal of a signed request that a wrong clock explains, and
only if `Date` is more than four minutes outside [sent, received] (less does no harm, and `Date` has
whole seconds). It is never learned from a response that a cache has kept (`Age`) or that took too
long, and never exceeds `LARGEST`. If `Date` is inside, the clock is right: a signature that was
refused all the same was too old when it arrived, so signing again is enough.
"""

from __future__ import annotations

from typing import Final

from ..errors import ServiceError
from ..values._dates import parse_http_date

THRESHOLD: Final = 240.0
SLOWEST: Final = 900.0
LARGEST: Final = 60 * 365 * 86_400.0  # a clock without a battery starts in 1970
CODES: Final = frozenset(
    (
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    )
)


class ClockSkew:
    """Seconds to add to this machine's clock, shared by a client's calls.

    The number is replaced in one step, so threads need no lock.
    """

    def __init__(self) -> None:
        self.seconds: float = 0.0

    def learn(self, refusal: ServiceError, sent: float, received: float) -> bool:
        """Correct the clock if `refusal` shows that it is off; return whether to sign once more.

        `sent` (when the request was signed) and `received` are readings of the uncorrected clock.
        """
        if refusal.code not in CODES:
            return False
        fields = {name.lower(): value for name, value in refusal.metadata.headers}
        date = parse_http_date(fields.get("date", ""))
        if date is None or "age" in fields or received < sent:
            return False
        late, early = date - (received + self.seconds), (sent + self.seconds) - date
        if late <= 1 and early <= 1:
            return received - sent > THRESHOLD
        if max(late, early) <= THRESHOLD or received - sent > SLOWEST:
            return False
        correction = date - (sent + received) / 2
        if abs(correction) > LARGEST:
            return False
        self.seconds = 0.0 if abs(correction) <= THRESHOLD else correction
        return True
