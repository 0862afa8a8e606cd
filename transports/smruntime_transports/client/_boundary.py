"""The public methods of clients raise our own errors without the frames of this library.

A traceback that shows the locals of each frame, as error trackers collect it, would show keys,
header values and bodies. Nothing inside deletes its locals for that. Instead each public method,
and the constructor of records in the core, raises our errors anew: without internal frames, and
without its own arguments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from smruntime_core import SmRuntimeError

P = ParamSpec("P")
ResultT = TypeVar("ResultT")
ErrorT = TypeVar("ErrorT", bound=BaseException)
_PACKAGES: Final = ("smruntime_core.", "smruntime_transports.")


def boundary(method: Callable[P, ResultT]) -> Callable[P, ResultT]:
    """Return `method` as a public one, whose errors have no internal frames."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> ResultT:
        try:
            return method(*args, **kwargs)
        except (SmRuntimeError, TypeError) as error:  # TypeError: a misspelt argument
            del args, kwargs
            raise without_internals(error)  # noqa: B904 - it is the same error

    return call


def async_boundary(
    method: Callable[P, Awaitable[ResultT]],
) -> Callable[P, Coroutine[Any, Any, ResultT]]:
    """Return an async `method` as a public one, whose errors have no internal frames."""

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> ResultT:
        try:
            return await method(*args, **kwargs)
        except SmRuntimeError as error:
            del args, kwargs
            raise without_internals(error)  # noqa: B904 - it is the same error

    return call


def without_internals(error: ErrorT) -> ErrorT:
    """Return `error` without internal frames.

    Errors behind it that are not ours lose those frames of this library that called the failing
    code.
    """
    seen: list[BaseException] = []
    chained: BaseException | None = error
    while chained is not None and chained not in seen:
        seen.append(chained)
        trace = None if isinstance(chained, SmRuntimeError) else chained.__traceback__
        while trace is not None and _is_internal(trace.tb_frame.f_globals.get("__name__", "")):
            trace = trace.tb_next
        chained = chained.with_traceback(trace).__cause__ or chained.__context__
    return error


def _is_internal(module: str) -> bool:
    return f"{module}.".startswith(_PACKAGES)
