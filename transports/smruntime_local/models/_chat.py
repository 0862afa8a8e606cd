"""The endpoint that remembers: in a session it repeats all that was said there, numbered, a line for each call."""

from __future__ import annotations

import json
from typing import cast

from smruntime_core import NEW_SESSION, InvokeEndpoint

from .._sessions import Sessions
from ._container import TEXT, Reply, reply


class Chat:
    """A container with sessions of its own; see `_sessions` for what opens and closes one."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def answer(self, call: InvokeEndpoint) -> Reply:
        """What was said in the session of `call`, its body last; without a session, the body alone."""
        text, name = bytes(call.body).decode(), call.session_id
        if name is None:
            return reply(call, TEXT, _numbered([text]))
        if name == NEW_SESSION:
            return self._open(call, text)
        if _request_type(text) == "CLOSE":
            self._sessions.close(name)
            return reply(call, TEXT, [f"closed {name}\n".encode()])._replace(closed_session_id=name)
        return reply(call, TEXT, _numbered(self._sessions.say(name, text)))

    def _open(self, call: InvokeEndpoint, text: str) -> Reply:
        if _request_type(text) != NEW_SESSION:
            raise ValueError('a session is opened by the body {"requestType": "NEW_SESSION"}')
        named = self._sessions.open()
        return reply(call, TEXT, [f"opened {named}\n".encode()])._replace(new_session_id=named)


def _numbered(said: list[str]) -> list[bytes]:
    return [f"{number} {text}\n".encode() for number, text in enumerate(said, 1)]


def _request_type(text: str) -> object:
    """What a body of the protocol asks for; None for any other."""
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return (
        cast("dict[str, object]", document).get("requestType")
        if isinstance(document, dict)
        else None
    )
