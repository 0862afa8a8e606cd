"""Random numbers for jitter and identifiers; no secret is made of them.

The module `random` would add 1 % to the start of a process.
"""

from __future__ import annotations

import os


def random_number() -> float:
    """Return a random number in [0, 1) from the operating system, also after a fork."""
    return (int.from_bytes(os.urandom(7)) >> 3) / 2**53
