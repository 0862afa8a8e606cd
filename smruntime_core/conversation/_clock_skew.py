"""Correct a clock that is off, from the service's own `Date`.

The service refuses a signature that is more than five minutes from its own time, which is in the
`Date` of every response. It was written between sending and receiving:

    correction  =  Date  -  (sent + received) / 2

A correction is learned only from the refusal of a signed request that a wrong clock explains, and
only if `Date` is more than four minutes outside [sent, received] (less does no harm, and `Date` has
whole seconds). It is never learned from a response that a cache has kept (`Age`) or that took too
long, and never exceeds `MAX_CORRECTION`. If `Date` is inside, the clock is right: the signature was
too old when it arrived, so signing again is enough.
"""

from __future__ import annotations

from typing import Final

from ..errors import ServiceError
from ..values._dates import parse_http_date
from ..values._http import fields_by_name

MIN_CORRECTION: Final = 240.0
MAX_EXCHANGE: Final = 900.0
MAX_CORRECTION: Final = 60 * 365 * 86_400.0  # a clock without a battery starts in 1970
SKEW_CODES: Final = frozenset(
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

    def learn(
        self, refusal: ServiceError, signed_at: float, received_at: float, correction: float
    ) -> bool:
        """Correct the clock if `refusal` shows that it is off; return whether to sign once more.

        `signed_at` and `received_at` are readings of the uncorrected clock; `correction` is the one
        of the refused signature, since another call may have learned a better one meanwhile.
        """
        if refusal.code not in SKEW_CODES:
            return False
        header_fields = fields_by_name(refusal.metadata.headers)
        server_date = parse_http_date(header_fields.get("date", ""))
        if server_date is None or "age" in header_fields or received_at < signed_at:
            return False
        seconds_late = server_date - (received_at + correction)
        seconds_early = (signed_at + correction) - server_date
        if seconds_late <= 1 and seconds_early <= 1:
            return received_at - signed_at > MIN_CORRECTION
        if (
            max(seconds_late, seconds_early) <= MIN_CORRECTION
            or received_at - signed_at > MAX_EXCHANGE
        ):
            return False
        better_correction = server_date - (signed_at + received_at) / 2
        if abs(better_correction) > MAX_CORRECTION:
            return False
        self.seconds = 0.0 if abs(better_correction) <= MIN_CORRECTION else better_correction
        return True
