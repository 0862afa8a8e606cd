"""Time limits of a call."""

from __future__ import annotations

from ..errors import ConstructionError
from ._record import Record, field


def seconds(member: str, value: object) -> float | None:
    """A length of time, None for one without end; raises `ConstructionError`."""
    if value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
    ):
        return value
    raise ConstructionError(member, "a positive number of seconds, or None for no limit")


class Timeouts(Record):
    """Limits in seconds; None means none.

    `connect` bounds name resolution, TCP, the way through a proxy and TLS together; `response` the wait from the last byte sent to
    the whole head of the answer (the service lets a model think for 60 s and advises 70); `idle` any pause while a body moves in
    either direction; `total` the whole call with its retries; `pool` the wait in line while all connections are in use.
    """

    connect: float | None = field(default=3.1, check=seconds)
    response: float | None = field(default=70.0, check=seconds)
    idle: float | None = field(default=20.0, check=seconds)
    total: float | None = field(default=None, check=seconds)
    pool: float | None = field(default=70.0, check=seconds)
