"""Stateful sessions, as a container keeps them.

    header NEW_SESSION, body {"requestType": "NEW_SESSION"}   ──>  New-Session-Id: <id>; Expires=…
    header <id>, any other body                               ──>  an answer that uses the memory
    header <id>, body {"requestType": "CLOSE"}                ──>  Closed-Session-Id: <id>

A session that is unknown, closed or expired is not found; the response does not tell which. The
number of sessions and the memory of each are limited.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Final, NamedTuple

from smruntime_core import ServiceUnavailable, ValidationError

SESSION_LIFETIME: Final = 1200.0  # seconds
MAX_SESSIONS: Final = 1000
MEMORY_LIMIT: Final = 64 * 1024  # characters


class _OpenSession(NamedTuple):
    expires_at: int
    remembered_texts: list[str]


class Sessions:
    """The open sessions of one container. Thread-safe; `clock` returns seconds since the epoch."""

    def __init__(
        self,
        *,
        lifetime: float = SESSION_LIFETIME,
        max_sessions: int = MAX_SESSIONS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lifetime = lifetime
        self._max_sessions = max_sessions
        self._clock = clock
        self._sessions_lock = threading.Lock()
        self._open_sessions: dict[str, _OpenSession] = {}

    def open(self) -> str:
        """Open a session and return the value of its header, "<id>; Expires=<time>".

        Raises `ServiceUnavailable` if too many sessions are open.
        """
        now, session_id = self._clock(), str(uuid.uuid4())
        opened_session = _OpenSession(int(now + self._lifetime), [])
        with self._sessions_lock:
            self._remove_expired(now)
            if len(self._open_sessions) >= self._max_sessions:
                remedy = "Close one, or wait until one expires."
                raise ServiceUnavailable(f"{self._max_sessions} sessions are open. {remedy}")
            self._open_sessions[session_id] = opened_session
        expiry_time = time.gmtime(opened_session.expires_at)
        return f"{session_id}; Expires={time.strftime('%Y-%m-%dT%H:%M:%SZ', expiry_time)}"

    def remember(self, session_id: str, text: str) -> list[str]:
        """Store `text` in a session and return all its texts.

        Raises `ValidationError` if there is no such session, `ValueError` if its memory is full.
        """
        with self._sessions_lock:
            remembered_texts = self._find_session(session_id).remembered_texts
            if sum(map(len, remembered_texts)) + len(text) > MEMORY_LIMIT:
                raise ValueError(f"a session remembers at most {MEMORY_LIMIT} characters")
            remembered_texts.append(text)
            return remembered_texts.copy()

    def close(self, session_id: str) -> None:
        """Delete a session; raises `ValidationError` if there is no such session."""
        with self._sessions_lock:
            self._find_session(session_id)
            del self._open_sessions[session_id]

    def _find_session(self, session_id: str) -> _OpenSession:
        found_session = self._open_sessions.get(session_id)
        if found_session is None or found_session.expires_at <= self._clock():
            raise ValidationError(f"session not found: {session_id}")
        return found_session

    def _remove_expired(self, now: float) -> None:
        self._open_sessions = {
            session_id: session
            for session_id, session in self._open_sessions.items()
            if session.expires_at > now
        }
