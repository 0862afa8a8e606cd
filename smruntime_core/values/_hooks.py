"""Functions that callers give: checked when they are set, and shown by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..errors import ConstructionError

# inspect.CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR; importing inspect takes 8 ms
_NOT_PLAIN: Final = 0x20 | 0x80 | 0x200


def function_name(function: object) -> str:
    """Return the name of a function, or the type of another callable; never its arguments."""
    qualified_name: object = getattr(function, "__qualname__", None)
    return qualified_name if isinstance(qualified_name, str) else type(function).__qualname__


def hook(description: str) -> Callable[[str, object], Callable[..., Any] | None]:
    """Return the check of a member that is None or a plain function, `description`."""

    def check(member: str, value: object) -> Callable[..., Any] | None:
        if value is None:
            return None
        if not callable(value):
            raise ConstructionError(member, description, f"found {type(value).__name__}")
        code_flags: object = getattr(_find_code(value), "co_flags", 0)
        if isinstance(code_flags, int) and code_flags & _NOT_PLAIN:
            found = f"{function_name(value)} is async or a generator"
            raise ConstructionError(member, f"{description}, which returns at once", found)
        return value

    return check


def _find_code(function: object) -> object:
    """Return the code of a function, of the function in a partial, or of a callable object."""
    function = getattr(function, "func", function)
    if not hasattr(function, "__code__"):
        function = type(function).__dict__.get("__call__")
    return getattr(function, "__code__", None)
