"""Names that still work for a while after they were renamed; docs/stability.md has the policy.

Each of the three packages has a table of its deprecated names, by their full names, in its module
`_deprecated`:

    DEPRECATED = {
        "package.module.OldName": Renamed("package.module.NewName", since="1.2", removed_in="1.4"),
        "package.module.function(old)": Renamed("new", since="1.2", removed_in="1.4"),
    }

An attribute needs two lines in `package/module.py`, an argument a decorator:

    if not TYPE_CHECKING:  # a type checker would take every name for one of the module
        __getattr__ = deprecated_attributes(__name__, DEPRECATED)

    @renamed_arguments("package.module.function", DEPRECATED)
    def function(new): ...

For the arguments of a class, its `__init__` is decorated, with the name of the class. Names that
are not deprecated cost nothing: Python asks `__getattr__` only for what a module lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Final, NamedTuple, ParamSpec, TypeAlias, TypeVar

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["DeprecationTable", "Renamed", "deprecated_attributes", "renamed_arguments"]

ParametersT = ParamSpec("ParametersT")
ReturnT = TypeVar("ReturnT")


class Renamed(NamedTuple):
    """What takes the place of a name, since which version, and the version that removes it.

    `replacement` is the full name of an attribute, or the name of an argument.
    """

    replacement: str
    since: str
    removed_in: str


DeprecationTable: TypeAlias = Mapping[str, Renamed]

_OWN_PACKAGES: Final = ("smruntime_core", "smruntime_transports", "smruntime_local")


def deprecated_attributes(
    module: str, table: DeprecationTable, get_attribute: Callable[[str], object] | None = None
) -> Callable[[str], object]:
    """Return a `__getattr__` for a module; `get_attribute` is the one that it has without this."""

    def get_deprecated_attribute(name: str) -> object:
        renamed = table.get(f"{module}.{name}")
        if renamed is not None:
            replacement_module, _, replacement_name = renamed.replacement.rpartition(".")
            _warn(f"{module}.{name}", renamed)
            imported = __import__(replacement_module, fromlist=(replacement_name,))
            replacement: object = getattr(imported, replacement_name)
            return replacement
        if get_attribute is not None:
            return get_attribute(name)
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return get_deprecated_attribute


def renamed_arguments(
    function_name: str, table: DeprecationTable
) -> Callable[[Callable[ParametersT, ReturnT]], Callable[ParametersT, ReturnT]]:
    """Return a decorator for a function that takes the old names of its keyword arguments, too.

    Not for coroutine functions, which it would hide as such.
    """
    prefix = f"{function_name}("
    renamed_by_name = {
        name.removeprefix(prefix).removesuffix(")"): renamed
        for name, renamed in table.items()
        if name.startswith(prefix)
    }

    def decorate(function: Callable[ParametersT, ReturnT]) -> Callable[ParametersT, ReturnT]:
        @wraps(function)
        def translate(*arguments: ParametersT.args, **options: ParametersT.kwargs) -> ReturnT:
            try:
                for name in renamed_by_name.keys() & options.keys():
                    renamed = renamed_by_name[name]
                    if renamed.replacement in options:
                        raise TypeError(
                            f"{function_name}: {name} is the old name of {renamed.replacement}: "
                            f"pass {renamed.replacement} only"
                        )
                    _warn(f"the argument {name} of {function_name}", renamed)
                    options[renamed.replacement] = options.pop(name)
                return function(*arguments, **options)
            finally:
                del arguments, options  # a traceback would keep them, and some are secret

        return translate

    return decorate


def _package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _warn(subject: str, renamed: Renamed) -> None:
    """Warn the line that uses a deprecated name, which is the first one outside our packages."""
    import sys
    import warnings

    frame, level = sys._getframe(2), 3
    while frame.f_back and _package_of(frame) in _OWN_PACKAGES:
        frame, level = frame.f_back, level + 1
    message = (
        f"{subject} is deprecated since version {renamed.since}: use {renamed.replacement}; "
        f"version {renamed.removed_in} removes it"
    )
    warnings.warn(message, DeprecationWarning, stacklevel=level)
