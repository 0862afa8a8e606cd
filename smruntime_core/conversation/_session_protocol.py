"""The protocol of stateful sessions: how one is opened, named and closed.

    NEW_SESSION in the session header  ──>  the response's header: <id>; Expires=<time>
    <id> in the session header         ──>  the same container, with what it remembers
    <id> and a body that says CLOSE    ──>  the response's header names the closed session

The service only forwards the header. The bodies are those that AWS's container library reads; other
containers may expect others. A request that opens a session is sent once: a second one could open a
second session, which would never be closed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..errors import ResponseError
from ..protocol._operations import NEW_SESSION, InvokeEndpointOutput
from ..values._record import Record
from ..values._rules import SESSION_ID

if TYPE_CHECKING:
    from datetime import datetime

OPENING_BODY: Final = b'{"requestType":"NEW_SESSION"}'
CLOSING_BODY: Final = b'{"requestType":"CLOSE"}'

_EXPIRY_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_SESSION_HEADER = rf"([^;\s]+)(?:\s*;\s*Expires=({_EXPIRY_TIME}))?"


class SessionId(Record):
    """The id of an open session, and when it expires (an aware time, None if unknown)."""

    id: str
    expires: datetime | None = None

    @classmethod
    def of(cls, output: InvokeEndpointOutput) -> SessionId:
        """Return the session that `output` names.

        Raises `ResponseError` if it names none, or one that a request could not name.
        """
        session_match = re.fullmatch(_SESSION_HEADER, output.new_session_id or "")
        try:
            if session_match is None or session_match[1] == NEW_SESSION:
                raise ValueError
            session_id = SESSION_ID.check("session_id", session_match[1])
            return cls(session_id, _parse_time(session_match[2]))
        except ValueError:  # a ConstructionError is one
            message = (
                "no session was opened: the response names none in the form <id>; Expires=<time>"
            )
            raise ResponseError(message).about(output.metadata) from None


def _parse_time(text: str | None) -> datetime | None:
    from datetime import datetime  # importing it takes a millisecond

    return None if text is None else datetime.fromisoformat(text)
