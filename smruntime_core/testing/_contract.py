"""The contract of every transport: all scenarios, in the order of their faults."""

from __future__ import annotations

from ._early import EARLY
from ._faults import FAULTS
from ._framing import FRAMING
from ._head import HEAD
from ._pool import POOL
from ._scenario import Scenario
from ._service import SERVICE
from ._time import TIME

_ORDER = {fault.number: index for index, fault in enumerate(FAULTS)}
_SCENARIOS = (*POOL, *FRAMING, *HEAD, *TIME, *EARLY, *SERVICE)
CONTRACT: tuple[Scenario, ...] = tuple(sorted(_SCENARIOS, key=lambda case: _ORDER[case.fault]))
