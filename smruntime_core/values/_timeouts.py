"""Time limits of a call."""

from __future__ import annotations

from ..errors import ConstructionError
from ._record import Record, field

LONGEST_TIMEOUT = 1e9  # seconds


def check_seconds(member: str, value: object) -> float | None:
    """Return a number of seconds, or None for no limit; raise `ConstructionError` otherwise."""
    if value is None:
        return None
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value < LONGEST_TIMEOUT
    ):
        return value
    found = repr(value) if isinstance(value, int | float) else type(value).__name__
    rule = "a positive number of seconds, or None for no limit"
    raise ConstructionError(member, rule, f"found {found}")


class Timeouts(Record):
    """Time limits of a call in seconds; None means no limit.

    A client has one set of them (`timeouts=`), and `with_options(timeouts=...)` replaces all of
    them for some calls. `timeout=` is short for the same limits with another `total`.

    connect     name resolution, TCP, a proxy's CONNECT and TLS together
    response    from the last byte of the request to the last byte of the response's head
                (SageMaker lets a model run for 60 s; AWS advises a limit of 70 s)
    idle        any pause while a body is sent or received
    total       the whole call with its retries
    pool        waiting for a connection while all are in use
    """

    _suggests = True
    connect: float | None = field(default=3.1, check=check_seconds)
    response: float | None = field(default=70.0, check=check_seconds)
    idle: float | None = field(default=20.0, check=check_seconds)
    total: float | None = field(default=None, check=check_seconds)
    pool: float | None = field(default=70.0, check=check_seconds)


def check_timeouts(member: str, value: object) -> Timeouts:
    """Return `Timeouts`; raise `ConstructionError` for anything else."""
    if isinstance(value, Timeouts):
        return value
    raise ConstructionError(member, "smruntime_core.Timeouts", f"found {type(value).__name__}")
