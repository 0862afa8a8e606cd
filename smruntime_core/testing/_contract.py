"""The contract of every transport: all scenarios, in the order of their faults."""

from __future__ import annotations

from ._early import EARLY_SCENARIOS
from ._faults import FAULTS
from ._framing import FRAMING_SCENARIOS
from ._head import HEAD_SCENARIOS
from ._pool import POOL_SCENARIOS
from ._scenario import Scenario
from ._service import SERVICE_SCENARIOS
from ._stream import STREAM_SCENARIOS
from ._time import TIME_SCENARIOS

_FAULT_ORDER = {fault.number: index for index, fault in enumerate(FAULTS)}
_SCENARIOS = (
    *POOL_SCENARIOS,
    *FRAMING_SCENARIOS,
    *HEAD_SCENARIOS,
    *TIME_SCENARIOS,
    *EARLY_SCENARIOS,
    *SERVICE_SCENARIOS,
    *STREAM_SCENARIOS,
)
CONTRACT: tuple[Scenario, ...] = tuple(
    sorted(_SCENARIOS, key=lambda scenario: _FAULT_ORDER[scenario.fault])
)
