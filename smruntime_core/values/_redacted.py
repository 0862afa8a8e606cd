"""Mappings of values that may be secret: settings, an environment, a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NoReturn, TypeVar

ValueT_co = TypeVar("ValueT_co", covariant=True)


class NeverPickled:
    """Base of classes that may hold a secret, which stays in its process."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} may hold secrets and is not pickled: read it where it is used"
        )


class RedactedMapping(NeverPickled, Mapping[str, ValueT_co]):
    """A read-only mapping; its repr shows the names only."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, ValueT_co]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> ValueT_co:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"RedactedMapping({', '.join(self._values)})"
