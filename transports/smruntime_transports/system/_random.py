"""Random numbers for jitter and identifiers; no secret is made of them.

The module `random` costs 1.3 of the 69 ms until a process has its first answer; without it, a call
takes 0.7 µs more of 97. The first has a budget that would be missed by 1 %.
"""

from __future__ import annotations

import os


def random_number() -> float:
    """Return a random number in [0, 1) from the operating system, also after a fork."""
    return (int.from_bytes(os.urandom(7)) >> 3) / 2**53
