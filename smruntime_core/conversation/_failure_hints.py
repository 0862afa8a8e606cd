"""The setting behind the failure of a call, added where the settings are known: not in an IO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import DispatchFailure, Phase
from ..values._timeouts import Timeouts
from ._deadline import Deadline

# The member of `Timeouts` that limits each phase.
_LIMITS: Final[Mapping[Phase, str]] = {
    "pool": "pool",
    "resolve": "connect",
    "connect": "connect",
    "proxy": "connect",
    "tls": "connect",
    "send": "idle",
    "head": "response",
    "body": "idle",
}


def add_setting(failure: DispatchFailure, deadline: Deadline, timeouts: Timeouts) -> None:
    """Add to the hint of `failure` which setting limits it, or which names the wrong host."""
    if failure.kind == "timeout":
        if deadline.left() == 0:
            failure.add_hint(deadline.describe_limit())
            return
        setting = _LIMITS.get(failure.phase, "")
        seconds: float | None = getattr(timeouts, setting, None)
        if seconds is not None:
            failure.add_hint(f"the setting is Timeouts({setting}={seconds:g})")
    elif failure.kind == "refused" and failure.hint is None:
        is_proxy = failure.phase == "proxy"
        failure.add_hint("check proxy=" if is_proxy else "check endpoint_url= and region=")
