"""Server-sent events of an answer that may not have any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smruntime_core.errors import ResponseError, escape_unprintable
from smruntime_core.payload import SSEDecoder

if TYPE_CHECKING:
    from smruntime_core.values import Body

# What the other formats begin with, and the method that reads each. A line of server-sent events
# that begins so has an unknown name, and would be ignored without a word.
_READERS = {
    b"{": "read JSON with .json() or .jsonl()",
    b"[": "read JSON with .json() or .jsonl()",
    b"<": "read the page with .text(): it may come from a proxy instead of the model",
}


class CheckedSSEDecoder(SSEDecoder):
    """A decoder that refuses an answer which begins like JSON or HTML.

    Containers label server-sent events with all kinds of content types, so what counts is the first
    byte.
    """

    _checked = False

    def __init__(self, content_type: str | None) -> None:
        super().__init__()
        self._content_type = content_type

    def receive_data(self, data: Body) -> None:
        """Process bytes; raise `ResponseError` if the first one begins something else."""
        if not self._checked and (beginning := bytes(data).lstrip()):
            self._checked = True
            reader = _READERS.get(beginning[:1])
            if reader is not None:
                shown_type = escape_unprintable((self._content_type or "none")[:100])
                raise ResponseError(
                    "sse() found no server-sent event: the answer begins with "
                    f"{beginning[:1].decode()!r}, its content type is {shown_type}; {reader}"
                )
        super().receive_data(data)
