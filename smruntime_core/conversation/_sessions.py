"""Stateful sessions: what opens one, what its name is, what closes it.

    NEW_SESSION in the session header  ──>  the answer's header: <id>; Expires=<time>
    <id> in the session header         ──>  the same container, with what it remembers
    <id> and a body that says CLOSE    ──>  the answer's header names the closed session

The service only forwards the header. The bodies are those that AWS's own container library reads; a container with words of its
own gets others. A request that opens a session is sent once: a second one would open a second session that nobody closes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import ResponseError
from ..protocol._operations import InvokeEndpointOutput
from ..values._record import Record

if TYPE_CHECKING:
    from datetime import datetime

OPENING_BODY = b'{"requestType":"NEW_SESSION"}'
CLOSING_BODY = b'{"requestType":"CLOSE"}'

_OPENED = r"([^;\s]+)(?:\s*;\s*Expires=([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z))?"


class SessionId(Record):
    """The name of an open session, and when the service will forget it (an aware time, None if it did not say)."""

    id: str
    expires: datetime | None = None

    @classmethod
    def of(cls, output: InvokeEndpointOutput) -> SessionId:
        """The session that `output` says is open; raises `ResponseError` if it says none."""
        found = re.fullmatch(_OPENED, output.new_session_id or "")
        try:
            if found is None:
                raise ValueError
            return cls(found[1], _moment(found[2]))
        except ValueError:
            message = (
                "no session was opened: the answer names none, or not as '<id>; Expires=<time>'"
            )
            raise ResponseError(message).about(output.metadata) from None


def _moment(text: str | None) -> datetime | None:
    from datetime import datetime  # a millisecond that only sessions pay

    return None if text is None else datetime.fromisoformat(text)
