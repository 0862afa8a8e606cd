"""Packages that import a submodule when one of its names is first asked for (PEP 562).

A program that only signs does not pay for parsers and credential providers: importing the core takes 26 ms, with all of it 34.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast


def lazy_attributes(
    package: str,
    namespace: dict[str, object],
    submodules: Mapping[str, tuple[str, ...]],
    modules: tuple[str, ...] = (),
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for `package`, which has the names listed by submodule in `submodules`.

    `modules` are submodules that are attributes themselves.
    """

    def get_attribute(name: str) -> object:
        if name in modules:
            return __import__(
                f"{package}.{name}", fromlist=("__name__",)
            )  # `importlib` may not be loaded yet
        submodule = next((module for module, names in submodules.items() if name in names), None)
        if submodule is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = __import__(f"{package}.{submodule}", fromlist=(name,))
        value: object = getattr(module, name)
        namespace[name] = value
        return value

    def list_attributes() -> list[str]:
        return sorted({*cast("list[str]", namespace["__all__"]), *modules})

    return get_attribute, list_attributes
