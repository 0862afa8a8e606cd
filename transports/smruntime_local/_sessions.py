"""Stateful sessions, as a container keeps them.

    header NEW_SESSION, body {"requestType": "NEW_SESSION"}   ──>  header New-Session-Id: <id>; Expires=<time>
    header <id>, any other body                               ──>  an answer that knows what was said before
    header <id>, body {"requestType": "CLOSE"}                ──>  header Closed-Session-Id: <id>

A session that is unknown, closed or expired is the same to whoever asks: not found. There are at most so many, each of them
remembers at most so much, and expired ones make room.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

from smruntime_core import ServiceUnavailable, ValidationError

LIFETIME = 1200.0  # seconds
MOST = 1000
MEMORY = 64 * 1024  # characters


class _Session(NamedTuple):
    expires: int
    said: list[str]


class Sessions:
    """The open sessions of one container. Safe for threads; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        *,
        lifetime: float = LIFETIME,
        most: int = MOST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lifetime = lifetime
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _Session] = {}

    def open(self) -> str:
        """A new session, named as the header names it: "<id>; Expires=<time>". Raises `ServiceUnavailable` if there are too many."""
        now, name = self._clock(), str(uuid.uuid4())
        with self._lock:
            self._open = {
                name: session for name, session in self._open.items() if session.expires > now
            }
            if len(self._open) >= self._most:
                raise ServiceUnavailable(
                    f"{self._most} sessions are open. Close one, or wait until one expires."
                )
            self._open[name] = made = _Session(int(now + self._lifetime), [])
        return f"{name}; Expires={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(made.expires))}"

    def say(self, name: str, text: str) -> list[str]:
        """Remember `text`; all that was said in the session so far. Raises `ValidationError` if there is no such session."""
        with self._lock:
            said = self._find(name).said
            if sum(map(len, said)) + len(text) > MEMORY:
                raise ValueError(f"a session remembers at most {MEMORY} characters")
            said.append(text)
            return said.copy()

    def close(self, name: str) -> None:
        """Forget a session. Raises `ValidationError` if there is no such session."""
        with self._lock:
            self._find(name)
            del self._open[name]

    def _find(self, name: str) -> _Session:
        found = self._open.get(name)
        if found is None or found.expires <= self._clock():
            raise ValidationError(f"session not found: {name}")
        return found
