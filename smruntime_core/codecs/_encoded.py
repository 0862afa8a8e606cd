"""What an `as_...` function returns, and the checks that several of them share."""

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


def checked_flag(member: str, value: object) -> bool:
    """Return `value` if it is True or False; raise `ConstructionError` otherwise."""
    if not isinstance(value, bool):
        raise ConstructionError(member, "True or False", f"found {type(value).__name__}")
    return value


def is_collection(value: object) -> TypeGuard[Iterable[object]]:
    """Say whether a value has items of its own, unlike text (characters) and mappings (keys)."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def check_callable(member: str, value: object, purpose: str) -> None:
    """Raise `ConstructionError` unless `value` is a function; `purpose` says from what to what."""
    if not callable(value):
        rule = f"a function from {purpose}"
        raise ConstructionError(member, rule, f"found {type(value).__name__}")


def reason(error: Exception) -> str:
    """Return what a third-party error says, escaped and cut: the text may be the server's."""
    return f"{type(error).__name__} {str(error)[:120]!r}"


def load(module: str, function: str, extra: str) -> ModuleType:
    """Import a third-party module for `function`; raise `ImportError` naming the extra to install.

    The import is dynamic because these packages are typed in part or not at all: the type checkers
    then see the same whether the packages are installed or not.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as missing:
        package = module.partition(".")[0]
        install = f"pip install 'smruntime-core[{extra}]'"
        raise ImportError(f"{function}() needs {package}: {install}", name=package) from missing
