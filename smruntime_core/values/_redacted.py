"""Names and values, of which only the names are for everybody's eyes: settings, an environment, a document with secrets in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NoReturn, TypeVar

V_co = TypeVar("V_co", covariant=True)


class NeverPickled:
    """What may hold a secret stays in its process."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} may hold secrets and is not pickled: read it where it is used"
        )


class RedactedMapping(NeverPickled, Mapping[str, V_co]):
    """Values by name, which cannot be changed; a repr shows the names only."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, V_co]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> V_co:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Section({', '.join(self._values)})"
