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

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")
ErrorT = TypeVar("ErrorT", bound=BaseException)
_PACKAGES: Final = ("smruntime_core.", "smruntime_transports.")


def boundary(method: Callable[Parameters, ResultT]) -> Callable[Parameters, ResultT]:
    """Return `method` as a public one: its errors have no internal frames."""

    @wraps(method)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> ResultT:
        try:
            return method(*args, **kwargs)
        except (SmRuntimeError, TypeError) as error:  # TypeError: a misspelt argument
            del args, kwargs
            raise without_internals(error)  # noqa: B904 - it is the same error

    return call


def async_boundary(
    method: Callable[Parameters, Awaitable[ResultT]],
) -> Callable[Parameters, Coroutine[Any, Any, ResultT]]:
    """Return an async `method` as a public one: its errors have no internal frames."""

    @wraps(method)
    async def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> ResultT:
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
    visited_errors: list[BaseException] = []
    chained_error: BaseException | None = error
    while chained_error is not None and chained_error not in visited_errors:
        visited_errors.append(chained_error)
        traceback = (
            None if isinstance(chained_error, SmRuntimeError) else chained_error.__traceback__
        )
        while traceback is not None and _is_internal(
            traceback.tb_frame.f_globals.get("__name__", "")
        ):
            traceback = traceback.tb_next
        chained_error = (
            chained_error.with_traceback(traceback).__cause__ or chained_error.__context__
        )
    return error


def _is_internal(module_name: str) -> bool:
    return f"{module_name}.".startswith(_PACKAGES)
