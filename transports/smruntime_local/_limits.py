"""How much of the machine one endpoint spends on its peers, in connections, bytes and seconds.

    accept ──> head ──> body ──> signature ──> model ──> answer ──> next head
               head_seconds                              send_seconds
                        body_seconds                                idle_seconds

`serve` documents each limit; `_slots` says what happens when all connections are in use.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_BODY = 64 * 1024 * 1024  # bytes
MAX_SECONDS = 86_400.0


class ServerLimits(NamedTuple):
    """The bounds of one endpoint."""

    max_connections: int = 256
    max_body: int = MAX_BODY
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 300.0
    send_seconds: float = 60.0

    def validated(self) -> ServerLimits:
        """Return these limits; raises `ValueError` that names the first one that cannot be used."""
        for name in ("max_connections", "max_body"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}={value!r}: must be a whole number of at least 1")
        for name in ("head_seconds", "body_seconds", "idle_seconds", "send_seconds"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 < value <= MAX_SECONDS:
                most = f"{MAX_SECONDS:.0f}"
                raise ValueError(f"{name}={value!r}: must be seconds above 0, at most {most}")
        return self
