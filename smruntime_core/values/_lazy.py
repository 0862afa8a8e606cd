"""Packages that import a submodule when one of its names is first used (PEP 562).

A program that only signs does not pay for parsers and credential providers: importing the core
takes 26 ms, with everything in it 34.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

AttributeGetter: TypeAlias = Callable[[str], object]
NameLister: TypeAlias = Callable[[], list[str]]


def lazy_attributes(
    package: str,
    namespace: dict[str, object],
    submodules: Mapping[str, tuple[str, ...]],
    modules: tuple[str, ...] = (),
) -> tuple[AttributeGetter, NameLister]:
    """Return `__getattr__` and `__dir__` for a package; `namespace` is its `globals()`.

    `submodules` lists names by the submodule that defines them; `modules` are submodules that are
    attributes themselves.
    """
    submodule_by_name = {
        name: submodule_name
        for submodule_name, submodule_names in submodules.items()
        for name in submodule_names
    }

    def get_attribute(name: str) -> object:
        # Not `importlib`: it may not be loaded yet.
        if name in modules:
            return __import__(f"{package}.{name}", fromlist=("__name__",))
        if name not in submodule_by_name:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        imported_attribute: object = getattr(
            __import__(f"{package}.{submodule_by_name[name]}", fromlist=(name,)), name
        )
        namespace[name] = imported_attribute
        return imported_attribute

    def list_attributes() -> list[str]:
        return sorted({*cast("list[str]", namespace["__all__"]), *modules})

    return get_attribute, list_attributes
