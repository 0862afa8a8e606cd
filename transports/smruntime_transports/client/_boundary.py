"""Where tracebacks end: the public methods of clients raise our own errors without the frames of
this library.

A traceback that shows the locals of each frame, as error trackers collect it, would show keys,
header values and bodies. Nothing inside deletes its locals for that; instead each public method,
and the constructor of records in the core, raises our errors anew: without internal frames, and
without its own arguments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from smruntime_core import SmRuntimeError

P = ParamSpec("P")
T = TypeVar("T")
ErrorT = TypeVar("ErrorT", bound=BaseException)
_OURS = ("smruntime_core.", "smruntime_transports.")


def boundary(method: Callable[P, T]) -> Callable[P, T]:
    """Make `method` a public one."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (SmRuntimeError, TypeError) as error:  # TypeError: a misspelt argument
            del args, kwargs
            raise without_internals(error)  # noqa: B904 - it is the same error

    return call


def async_boundary(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make `method`, which is awaited, a public one."""

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(*args, **kwargs)
        except SmRuntimeError as error:
            del args, kwargs
            raise without_internals(error)  # noqa: B904 - it is the same error

    return call


def without_internals(error: ErrorT) -> ErrorT:
    """Return `error` without internal frames.

    Errors of others behind it lose those frames of this library that called the failing code.
    """
    seen: list[BaseException] = []
    behind: BaseException | None = error
    while behind is not None and behind not in seen:
        seen.append(behind)
        trace = None if isinstance(behind, SmRuntimeError) else behind.__traceback__
        while trace is not None and f"{trace.tb_frame.f_globals.get('__name__', '')}.".startswith(
            _OURS
        ):
            trace = trace.tb_next
        behind = behind.with_traceback(trace).__cause__ or behind.__context__
    return error
