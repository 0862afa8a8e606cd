"""What is known of a call once it is over: every output and every error carries it, outside equality."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Attempt", "Metadata"]


class Attempt(NamedTuple):
    """One try: `outcome` is `"ok"`, an error code or the kind of a dispatch failure.

    `seconds` is how long it took, `waited` how long the call had slept before it (both in seconds).
    """

    outcome: str
    seconds: float = 0.0
    waited: float = 0.0
    status: int | None = None
    request_id: str | None = None


class Metadata(NamedTuple):
    """Request id, HTTP status and headers of the last answer, and every attempt that was made, in order."""

    request_id: str | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attempts: tuple[Attempt, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Metadata(request_id={self.request_id!r}, status={self.status!r}, "
            f"headers=<{len(self.headers)} fields>, attempts={self.attempts!r})"
        )


NO_METADATA = Metadata()
