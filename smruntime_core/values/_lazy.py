"""Rooms that are imported when a name of theirs is first asked for: who only signs does not pay for the rest (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain


def opening(
    package: str, names: dict[str, object], rooms: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of `package`, whose namespace is `names`: what of its `rooms` has the name that is asked for."""

    def find(name: str) -> object:
        room = next((room for room, there in rooms.items() if name in there), None)
        if room is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        names[name] = value = getattr(__import__(f"{package}.{room}", fromlist=(name,)), name)  # `importlib` may not be loaded yet
        return value

    return find, lambda: sorted({*names, *chain(*rooms.values())})
