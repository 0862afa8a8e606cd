"""What happens to calls, for the standard `logging`: logger `smruntime`, one INFO line an attempt, the rest at DEBUG.

Nothing is logged that could be a secret or a customer's: methods, paths, sizes, times, statuses, ids and error codes are all there is
in a notice. `SMRUNTIME_LOG=info` (or `debug`) in the environment turns it on with a handler for standard error, for programs
that set up no logging of their own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from smruntime_core.errors import escape_unprintable
from smruntime_core.notices import AttemptEnded, Notice

VARIABLE = "SMRUNTIME_LOG"


def logging_observer() -> Callable[[Notice], None] | None:
    """An observer that logs, if somebody listens to the logger `smruntime` or the environment asks for it; else None."""
    wanted = os.environ.get(VARIABLE, "").strip().upper()
    asked = wanted in ("INFO", "DEBUG")
    if not asked and "logging" not in sys.modules:
        return (
            None  # a program that has not imported it listens to nothing, and need not pay the 8 ms
        )
    import logging

    logger = logging.getLogger("smruntime")
    if asked:
        if not logger.handlers:
            handler = logging.StreamHandler()
            handler.setFormatter(
                logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
            )
            logger.addHandler(handler)
        logger.setLevel(wanted)
    if not logger.isEnabledFor(logging.INFO):
        return None

    def observe(notice: Notice) -> None:
        level = logging.INFO if isinstance(notice, AttemptEnded) else logging.DEBUG
        if logger.isEnabledFor(level):
            logger.log(level, "%s", line(notice))

    return observe


def line(notice: Notice) -> str:
    """`notice` in one escape_unprintable line."""
    told = vars(notice)
    shown = (
        f"{name}={_short(value)}"
        for name, value in told.items()
        if name not in ("operation", "invocation") and value is not None
    )
    return f"{type(notice).__name__} {notice.operation} {' '.join(shown)} [{notice.invocation}]"


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else escape_unprintable(str(value))[:200]
