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
from functools import cache
from typing import TYPE_CHECKING, Final

from smruntime_core.errors import escape_unprintable
from smruntime_core.notices import AttemptEnded, Notice

if TYPE_CHECKING:
    import logging

LOG_VARIABLE: Final = "SMRUNTIME_LOG"
LOG_LEVELS: Final = ("INFO", "DEBUG")
RECORD_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
MAX_VALUE_LENGTH: Final = 200  # characters


def logging_observer() -> Callable[[Notice], None] | None:
    """Return an observer that logs, None if neither logging nor the environment asks for it."""
    level_name = os.environ.get(LOG_VARIABLE, "").strip().upper()
    requested = level_name in LOG_LEVELS
    if not requested and "logging" not in sys.modules:
        return None  # nothing can be listening, so save the 8 ms of the import
    import logging

    notice_logger = _notice_logger()
    if requested:
        if not notice_logger.handlers:
            error_handler = logging.StreamHandler()
            error_handler.setFormatter(logging.Formatter(RECORD_FORMAT))
            notice_logger.addHandler(error_handler)
        notice_logger.setLevel(level_name)
    if not notice_logger.isEnabledFor(logging.INFO):
        return None

    def observe(notice: Notice) -> None:
        record_level = logging.INFO if isinstance(notice, AttemptEnded) else logging.DEBUG
        if notice_logger.isEnabledFor(record_level):
            notice_logger.log(record_level, "%s", format_notice(notice))

    return observe


@cache
def _notice_logger() -> logging.Logger:
    """Return the logger, without the lock of logging after the first call.

    Up to Python 3.12 an exception of a signal handler just after logging has taken its lock leaves
    it locked, and other threads then wait for ever.
    """
    import logging

    return logging.getLogger("smruntime")


def format_notice(notice: Notice) -> str:
    """Return `notice` as one printable line."""
    shown_values = {
        value_name: _format_value(value)
        for value_name, value in vars(notice).items()
        if value_name not in ("operation", "invocation") and value is not None
    }
    shown_text = " ".join(f"{value_name}={value}" for value_name, value in shown_values.items())
    return f"{type(notice).__name__} {notice.operation} {shown_text} [{notice.invocation}]"


def _format_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return escape_unprintable(str(value))[:MAX_VALUE_LENGTH]
