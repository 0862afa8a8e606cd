"""Small damage, the same for the same chance: what is near to what is right finds more than what is far from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import TypeAlias

HUGE = 70_000  # bytes: over every limit of a head

Mutation: TypeAlias = Callable[[Random, bytes, Sequence[bytes]], bytes]


def place(random: Random, data: bytes) -> int:
    """Somewhere in `data`, its end included."""
    return int(random.random() * (len(data) + 1))


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = place(random, data)
    return start, start + int(random.random() ** 3 * 20) + 1


def _flip(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    at = place(random, data)
    return (
        data[:at] + bytes((data[at] ^ 1 << int(random.random() * 8),)) + data[at + 1 :]
        if at < len(data)
        else data
    )


def _insert(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    at = place(random, data)
    return data[:at] + random.choice(words) + data[at:]


def _overwrite(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    at, word = place(random, data), random.choice(words)
    return data[:at] + word + data[at + len(word) :]


def _delete(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _repeat(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return (
        data[:end]
        + data[start:end] * (HUGE // (end - start) if random.random() < 0.01 else 1)
        + data[end:]
    )


def _cut(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    return data[: place(random, data)]


def _lines(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    """A line that is there twice, is gone, or stands elsewhere."""
    lines = data.split(b"\r\n")
    line = lines.pop(int(random.random() * len(lines)))
    for _ in range(int(random.random() * 3)):
        lines.insert(int(random.random() * (len(lines) + 1)), line)
    return b"\r\n".join(lines)


def _case(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[start:end].swapcase() + data[end:]


MUTATIONS: tuple[Mutation, ...] = (
    _flip,
    _insert,
    _insert,
    _overwrite,
    _delete,
    _repeat,
    _cut,
    _lines,
    _case,
)


def mutate(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    """`data` after one to four mutations, mostly one."""
    for _ in range(1 + int(random.random() ** 3 * 4)):
        data = random.choice(MUTATIONS)(random, data, words)
    return data


def cut(random: Random, data: bytes) -> list[bytes]:
    """`data` in pieces: one byte each, all of one small size, or cut in a few places; a piece may be empty."""
    kind = random.random()
    if kind < 0.1 and len(data) < 2000:
        return [data[i : i + 1] for i in range(len(data))]
    if kind < 0.3:
        step = 2 + int(random.random() * 5) + len(data) // 1000
        return [data[i : i + step] for i in range(0, len(data), step)]
    places = sorted(place(random, data) for _ in range(1 + int(random.random() * 4)))
    return [data[start:end] for start, end in pairwise([0, *places, len(data)])]
