"""Notices as records of the standard library's logging, logger `smruntime`.

The end of each attempt is logged at INFO, all else at DEBUG. A notice holds methods, paths, sizes,
times, statuses, ids and error codes, so no secret and no customer data is logged. For programs that
do not configure logging, `SMRUNTIME_LOG=info` (or `debug`) in the environment adds a handler for
standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from smruntime_core.errors import escape_unprintable
from smruntime_core.notices import AttemptEnded, Notice

VARIABLE: Final = "SMRUNTIME_LOG"
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
MAX_VALUE: Final = 200  # characters


def logging_observer() -> Callable[[Notice], None] | None:
    """Return an observer that logs, None if neither logging nor the environment asks for it."""
    level_name = os.environ.get(VARIABLE, "").strip().upper()
    requested = level_name in ("INFO", "DEBUG")
    if not requested and "logging" not in sys.modules:
        return None  # nothing can be listening, so save the 8 ms of the import
    import logging

    logger = logging.getLogger("smruntime")
    if requested:
        if not logger.handlers:
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter(FORMAT))
            logger.addHandler(handler)
        logger.setLevel(level_name)
    if not logger.isEnabledFor(logging.INFO):
        return None

    def observe(notice: Notice) -> None:
        level = logging.INFO if isinstance(notice, AttemptEnded) else logging.DEBUG
        if logger.isEnabledFor(level):
            logger.log(level, "%s", format_notice(notice))

    return observe


def format_notice(notice: Notice) -> str:
    """Return `notice` as one printable line."""
    values = {
        name: _format_value(value)
        for name, value in vars(notice).items()
        if name not in ("operation", "invocation") and value is not None
    }
    shown = " ".join(f"{name}={value}" for name, value in values.items())
    return f"{type(notice).__name__} {notice.operation} {shown} [{notice.invocation}]"


def _format_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return escape_unprintable(str(value))[:MAX_VALUE]
