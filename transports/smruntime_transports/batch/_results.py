"""What a record ends as: an answer or an error, one line of JSON each."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from smruntime_core.errors import Delivery

INVALID_RECORD: Final = "InvalidRecord"
INTERRUPTED: Final = "Interrupted"


class RecordError(NamedTuple):
    """Why a record has no answer.

    `type` is the name of the error's class, `code` the service's code or the kind of a failure of
    the network. `delivery` says whether the model may have run: not_sent, maybe_sent or answered.
    """

    type: str
    code: str | None
    delivery: Delivery
    message: str


@dataclass(frozen=True, slots=True)
class Result:
    """What the record at `index` ended as: `output`, or `error` if that is not None."""

    index: int
    output: object = None
    error: RecordError | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the result as its line has it: index and output, or index and error."""
        if self.error is None:
            return {"index": self.index, "output": self.output}
        return {"index": self.index, "error": self.error._asdict()}

    def as_line(self) -> bytes:
        """Return the result as a line of JSON."""
        return f"{json.dumps(self.as_dict())}\n".encode()


class ResultQueue:
    """Results until they are written; if `ordered`, until all earlier records have one."""

    def __init__(self, *, ordered: bool) -> None:
        self._is_ordered = ordered
        self._expected: deque[int] = deque()
        self._early: dict[int, Result] = {}
        self._results: list[Result] = []

    @property
    def waiting(self) -> int:
        """Records that were read and not written, if ordered."""
        return len(self._expected)

    def expect(self, index: int) -> None:
        """Note that a record was read, in the order of the records."""
        if self._is_ordered:
            self._expected.append(index)

    def add(self, results: Iterator[Result]) -> None:
        if self._is_ordered:
            self._early.update((result.index, result) for result in results)
        else:
            self._results.extend(results)

    def take(self) -> list[Result]:
        """Return what can be written, and forget it."""
        while self._expected and self._expected[0] in self._early:
            self._results.append(self._early.pop(self._expected.popleft()))
        results, self._results = self._results, []
        return results
