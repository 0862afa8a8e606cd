"""Ctrl-C that is not lost.

Python drops an exception that is raised in a finalizer or in the callback of a weak reference, such
as those that run during an import. A `KeyboardInterrupt` that falls there is dropped as well, and
the call would go on. It is raised again a moment later.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

REPEAT_DELAY: Final = 0.05  # seconds; the finalizer is over then


@contextmanager
def repeat_lost_interrupts() -> Generator[None]:
    """Raise an interrupt again that Python drops; report other dropped exceptions as before."""
    report = sys.unraisablehook
    timers: list[threading.Timer] = []

    def repeat_interrupt(dropped: UnraisableHookArgs) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            report(dropped)
            return
        timer = threading.Timer(REPEAT_DELAY, interrupt_main_thread)
        timer.daemon = True
        timer.start()
        timers.append(timer)

    sys.unraisablehook = repeat_interrupt
    try:
        yield
    finally:
        sys.unraisablehook = report
        for timer in timers:
            timer.cancel()


def interrupt_main_thread() -> None:
    """Send the main thread SIGINT; this ends its waiting, too, if the system can."""
    main_thread_id = threading.main_thread().ident
    if sys.platform != "win32" and main_thread_id is not None:
        signal.pthread_kill(main_thread_id, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
