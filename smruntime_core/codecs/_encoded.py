"""The result of an `as_...` function, and checks that several of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TypedDict, TypeGuard

from ..errors import ConstructionError


class EncodedBody(TypedDict):
    """The members of a request that an encoder decides, to be unpacked with `**`."""

    body: bytes
    content_type: str
    accept: str


def is_collection(value: object) -> TypeGuard[Iterable[object]]:
    """Return whether a value is iterable, but not text or a mapping."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def check_callable(member: str, value: object, purpose: str) -> None:
    """Raise `ConstructionError` ("a function from `purpose`") unless `value` is callable."""
    if not callable(value):
        requirement = f"a function from {purpose}"
        raise ConstructionError(member, requirement, f"found {type(value).__name__}")


def describe_error(error: Exception) -> str:
    """Return the text of a third-party error, escaped and cut, because it may be the server's."""
    return f"{type(error).__name__} {str(error)[:120]!r}"


def import_optional(module: str, function: str, extra: str) -> ModuleType:
    """Import a third-party module for `function`; raise `ImportError` naming the extra to install.

    The import is dynamic because these packages are typed in part or not at all: the type checkers
    then see the same whether the packages are installed or not.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as import_error:
        package_name = module.partition(".")[0]
        install_command = f"pip install 'smruntime-core[{extra}]'"
        message = f"{function}() needs {package_name}: {install_command}"
        raise ImportError(message, name=package_name) from import_error
