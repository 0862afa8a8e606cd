"""The contract of every transport: all scenarios, in the order of their rows."""

from __future__ import annotations

from ._early import EARLY
from ._framing import FRAMING
from ._head import HEAD
from ._pool import POOL
from ._rows import ROWS
from ._scenario import Scenario
from ._service import SERVICE
from ._time import TIME

_order = {row.number: place for place, row in enumerate(ROWS)}
CONTRACT: tuple[Scenario, ...] = tuple(
    sorted(
        (*POOL, *FRAMING, *HEAD, *TIME, *EARLY, *SERVICE), key=lambda scenario: _order[scenario.row]
    )
)
