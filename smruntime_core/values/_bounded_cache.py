"""Things worked out once and kept with what they belong to, a bounded number of them: whoever asks for more works them out anew."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

MOST = 64


class Kept(dict[object, T]):
    """What was worked out, by what it was worked out from. Safe for threads: at worst, two of them work out the same."""

    def keep(self, wanted: object, made: T, most: int = MOST) -> T:
        """`made`, which is found under `wanted` from now on."""
        if len(self) >= most:
            self.clear()
        self[wanted] = made
        return made
