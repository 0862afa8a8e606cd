"""The limits of what peers cost one endpoint, in connections, bytes and seconds.

    accept ──> head ──> body ──> signature ──> model ──> response ──> next head
               head_seconds                              send_seconds
                        body_seconds                                  idle_seconds

`serve` documents each limit; `_slots` describes what happens when all connections are in use.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LONGEST_LIMIT: Final = 86_400.0  # seconds


class ServerLimits(NamedTuple):
    """The limits of one endpoint."""

    max_connections: int = 256
    max_body: int = 64 * 1024 * 1024  # bytes
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 300.0
    send_seconds: float = 60.0

    def validated(self) -> ServerLimits:
        """Return these limits; raises `ValueError` that names the first invalid one."""
        for name in ("max_connections", "max_body"):
            limit_value = getattr(self, name)
            if type(limit_value) is not int or limit_value < 1:
                raise ValueError(f"{name}={limit_value!r}: must be a whole number of at least 1")
        for name in ("head_seconds", "body_seconds", "idle_seconds", "send_seconds"):
            limit_value = getattr(self, name)
            if type(limit_value) not in (int, float) or not 0 < limit_value <= LONGEST_LIMIT:
                allowed_range = f"seconds above 0, at most {LONGEST_LIMIT:.0f}"
                raise ValueError(f"{name}={limit_value!r}: must be {allowed_range}")
        return self


DEFAULT_LIMITS: Final = ServerLimits()
