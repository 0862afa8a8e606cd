"""A call as a container receives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smruntime_core import InvokeEndpoint
from smruntime_core.codecs import read_csv, read_json, read_jsonl, read_text

if TYPE_CHECKING:
    from smruntime_core.payload import JSON


class Call(InvokeEndpoint):
    """A call as a container receives it: the members of the operation, and the body as a value.

        operation   the name of the operation that was called
        variant     the production variant that answers
        worker      the number of the instance that answers, from 0

    A body that cannot be read is the caller's mistake: `json`, `text`, `jsonl` and `csv` raise
    `ResponseError`, which the endpoint answers with a `ModelError` of status 400.
    """

    operation: str = "InvokeEndpoint"
    variant: str = "AllTraffic"
    worker: int = 0
    if TYPE_CHECKING:
        # what arrived; the operation takes more
        body: bytes  # pyright: ignore[reportIncompatibleVariableOverride]

    def json(self) -> JSON:
        """Return the JSON value in the body."""
        return read_json(self.body, self.content_type)

    def text(self) -> str:
        """Return the body as text, in the charset of its content type."""
        return read_text(self.body, self.content_type)

    def jsonl(self) -> list[JSON]:
        """Return the JSON value of each line of the body."""
        return read_jsonl(self.body, self.content_type)

    def csv(self) -> list[list[str]]:
        """Return the rows of the body, each a list of cells."""
        return read_csv(self.body, self.content_type)
