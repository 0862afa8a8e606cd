"""A container with memory: in a session it repeats all texts so far, in numbered lines."""

from __future__ import annotations

import json
from typing import cast

from smruntime_core import NEW_SESSION, InvokeEndpoint

from ._container import TEXT_TYPE, ContainerReply, make_reply
from ._sessions import Sessions


class Chat:
    """A container with stateful sessions; `_sessions` describes what opens and closes one."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def respond(self, call: InvokeEndpoint) -> ContainerReply:
        """Return all texts of the session of `call`, its own last; without a session, only that."""
        text, session_id = bytes(call.body).decode(), call.session_id
        if session_id is None:
            return make_reply(call, TEXT_TYPE, _number_lines([text]))
        if session_id == NEW_SESSION:
            return self._open_session(call, text)
        if _parse_request_type(text) == "CLOSE":
            self._sessions.close(session_id)
            closing_reply = make_reply(call, TEXT_TYPE, [f"closed {session_id}\n".encode()])
            return closing_reply._replace(closed_session_id=session_id)
        return make_reply(call, TEXT_TYPE, _number_lines(self._sessions.remember(session_id, text)))

    def _open_session(self, call: InvokeEndpoint, text: str) -> ContainerReply:
        if _parse_request_type(text) != NEW_SESSION:
            raise ValueError('a session is opened by the body {"requestType": "NEW_SESSION"}')
        session_header = self._sessions.open()
        opening_reply = make_reply(call, TEXT_TYPE, [f"opened {session_header}\n".encode()])
        return opening_reply._replace(new_session_id=session_header)


def _number_lines(texts: list[str]) -> list[bytes]:
    return [f"{number} {text}\n".encode() for number, text in enumerate(texts, 1)]


def _parse_request_type(text: str) -> object:
    """Return the request type in a body of the session protocol; None for any other body."""
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return cast("dict[str, object]", document).get("requestType")
