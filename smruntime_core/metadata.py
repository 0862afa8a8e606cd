"""Metadata of a call: each output and each error has it; it does not count for equality."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["Attempt", "Metadata"]


class Attempt(NamedTuple):
    """One attempt: `outcome` is `"ok"`, an error code or the kind of a dispatch failure.

    It took `seconds`; before it, the call had slept for `waited` seconds.
    """

    outcome: str
    seconds: float = 0.0
    waited: float = 0.0
    status: int | None = None
    request_id: str | None = None


class Metadata(NamedTuple):
    """The request id, HTTP status and headers of the last response, and all attempts in order."""

    request_id: str | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attempts: tuple[Attempt, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Metadata(request_id={self.request_id!r}, status={self.status!r}, "
            f"headers=<{len(self.headers)} fields>, attempts={self.attempts!r})"
        )


NO_METADATA: Final = Metadata()
