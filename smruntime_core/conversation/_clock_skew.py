"""A clock that is off, corrected from the service's own `Date`.

A signature bears the time, and the service refuses one that is more than five minutes from its own. What it thinks the time is
stands in the `Date` of every answer; half way between sending and receiving is when it thought so:

    correction  =  Date  -  (sent + received) / 2

It is taken only from a refusal that a wrong clock explains, only if the difference is more than four minutes (less does no
harm, and `Date` has whole seconds), and never from an answer that a cache has kept (`Age`) or that took too long.
"""

from __future__ import annotations

from ..errors import ServiceError
from ..values._dates import parse_http_date

THRESHOLD = 240.0
SLOWEST = 900.0
CODES = frozenset(
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
    """Seconds to add to this machine's clock, shared by a client's calls. Replaced in one step, so threads need no lock."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def learn(self, refusal: ServiceError, sent: float, received: float) -> bool:
        """Correct the clock if `refusal` shows that it is off; `sent` and `received` are its own readings, uncorrected.

        True if signing once more is worth it.
        """
        if refusal.code not in CODES:
            return False
        fields = {name.lower(): value for name, value in refusal.metadata.headers}
        told = parse_http_date(fields.get("date", ""))
        if told is None or "age" in fields or not 0 <= received - sent <= SLOWEST:
            return False
        correction = told - (sent + received) / 2
        if abs(correction - self.seconds) <= THRESHOLD:
            return False
        self.seconds = 0.0 if abs(correction) <= THRESHOLD else correction
        return True
