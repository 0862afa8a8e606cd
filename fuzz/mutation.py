"""Small random damage to bytes: input that is nearly right finds more than noise.

Equal states of the random generator give equal damage. `random.random()` is used throughout since
`randrange` is several times slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import TypeAlias

REPEATED_LENGTH = 70_000  # bytes: above every limit of a head

Mutation: TypeAlias = Callable[[Random, bytes, Sequence[bytes]], bytes]


def random_below(random: Random, limit: int) -> int:
    """Return a whole number from 0 to `limit` - 1."""
    return int(random.random() * limit)


def random_offset(random: Random, data: bytes) -> int:
    """Return an offset in `data`, its end included."""
    return random_below(random, len(data) + 1)


def _random_span(random: Random, data: bytes) -> tuple[int, int]:
    """Return the start and end of 1 to 20 bytes, more often few than many."""
    start = random_offset(random, data)
    return start, start + int(random.random() ** 3 * 20) + 1


def _flip_bit(random: Random, data: bytes, fragments: Sequence[bytes]) -> bytes:
    offset = random_offset(random, data)
    if offset == len(data):
        return data
    flipped = data[offset] ^ 1 << random_below(random, 8)
    return data[:offset] + bytes((flipped,)) + data[offset + 1 :]


def _insert_fragment(random: Random, data: bytes, fragments: Sequence[bytes]) -> bytes:
    offset = random_offset(random, data)
    return data[:offset] + random.choice(fragments) + data[offset:]


def _overwrite_with_fragment(random: Random, data: bytes, fragments: Sequence[bytes]) -> bytes:
    offset, fragment = random_offset(random, data), random.choice(fragments)
    return data[:offset] + fragment + data[offset + len(fragment) :]


def _delete_span(random: Random, data: bytes, fragments: Sequence[bytes]) -> bytes:
    start, end = _random_span(random, data)
    return data[:start] + data[end:]


def _repeat_span(random: Random, data: bytes, fragments: Sequence[bytes]) -> bytes:
    start, end = _random_span(random, data)
    times = REPEATED_LENGTH // (end - start) if random.random() < 0.01 else 1
    return data[:end] + data[start:end] * times + data[end:]


def _truncate(random: Random, data: bytes, fragments: Sequence[bytes]) -> bytes:
    return data[: random_offset(random, data)]


def _move_line(random: Random, data: bytes, fragments: Sequence[bytes]) -> bytes:
    """Remove a line, and insert it up to twice elsewhere."""
    lines = data.split(b"\r\n")
    line = lines.pop(random_below(random, len(lines)))
    for _ in range(random_below(random, 3)):
        lines.insert(random_below(random, len(lines) + 1), line)
    return b"\r\n".join(lines)


def _swap_case(random: Random, data: bytes, fragments: Sequence[bytes]) -> bytes:
    start, end = _random_span(random, data)
    return data[:start] + data[start:end].swapcase() + data[end:]


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bit,
    _insert_fragment,
    _insert_fragment,
    _overwrite_with_fragment,
    _delete_span,
    _repeat_span,
    _truncate,
    _move_line,
    _swap_case,
)


def mutate(random: Random, data: bytes, fragments: Sequence[bytes]) -> bytes:
    """Return `data` after one to four mutations, mostly one; `fragments` are what may be put in."""
    for _ in range(1 + int(random.random() ** 3 * 4)):
        data = random.choice(MUTATIONS)(random, data, fragments)
    return data


def cut(random: Random, data: bytes) -> list[bytes]:
    """Return `data` in pieces: single bytes, pieces of one size, or a few, some perhaps empty."""
    kind = random.random()
    if kind < 0.1 and len(data) < 2000:
        return [data[offset : offset + 1] for offset in range(len(data))]
    if kind < 0.3:
        size = 2 + random_below(random, 5) + len(data) // 1000
        return [data[offset : offset + size] for offset in range(0, len(data), size)]
    offsets = sorted(random_offset(random, data) for _ in range(1 + random_below(random, 4)))
    return [data[start:end] for start, end in pairwise([0, *offsets, len(data)])]
