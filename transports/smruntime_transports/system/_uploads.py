"""Bodies from files and iterators: measured before a call, supplied in pieces during an attempt.

| body             | `measure`                                         | `supply`                |
|------------------|---------------------------------------------------|-------------------------|
| file that seeks  | reads it once for size and SHA-256; small: bytes  | seeks and reads a piece |
| other file,      | collects it in memory, at most `MAX_BODY` bytes;  |                         |
| or an iterator   | later calls send the same bytes again             |                         |

Everything here may block, so the asynchronous IOs call it in a thread. Only an asynchronous
iterator is awaited, on its own event loop.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from typing import Final, cast

from smruntime_core import ConstructionError
from smruntime_core.conversation import MAX_BODY
from smruntime_core.effects import BinaryFile, Measure, Seekable, Sendable, Source, Supply, Upload
from smruntime_core.http1 import MAX_SINGLE_WRITE

PIECE: Final = 512 * 1024


def measure(effect: Measure) -> Sendable:
    """Return what to send for a source; raises `ConstructionError` if it cannot be read."""
    source = effect.source
    if source.kind == "async iterator":
        found = "found an asynchronous iterator, which needs an asynchronous client"
        raise ConstructionError("body", "a plain iterator", found)
    if source.kind == "file" and _can_seek(source.given):
        return _measure_file(source, cast("Seekable", source.given))
    return source.collected if source.collected is not None else _collect(source)


async def measure_awaited(source: Source) -> Sendable:
    """Return what to send for an asynchronous iterator; raises like `measure`."""
    if source.collected is None:
        collector = Collector(source)
        async for piece in cast("AsyncIterator[object]", source.given):
            collector.add(piece)
        source.collected = collector.joined()
    return source.collected


def supply(effect: Supply) -> bytes:
    """Return the bytes asked for; raises `ConstructionError` if the file has become shorter."""
    upload, data = effect.upload, b""
    with upload.lock or nullcontext():
        _seek(upload.file, upload.start + effect.offset)
        while len(data) < effect.size:
            piece = _read(upload.file, effect.size - len(data))
            if not piece:
                rule = "a file that does not change until the call is over"
                raise ConstructionError("body", rule, "it has become shorter")
            data = data + piece if data else piece
    return data


def _can_seek(file: object) -> bool:
    try:
        return bool(getattr(file, "seekable", lambda: hasattr(file, "seek"))())
    except (OSError, ValueError):
        return False


def _measure_file(source: Source, file: Seekable) -> Sendable:
    """Read a file to its end, from its position when it was first measured."""
    digest, size, first = sha256(), 0, b""
    with _lock_of(source):
        try:
            source.start = file.tell() if source.start is None else source.start
        except (OSError, ValueError) as error:
            raise _unreadable(error) from None
        _seek(file, source.start)
        while piece := _read(file, PIECE):
            digest.update(piece)
            first = first or piece
            size += len(piece)
    if len(first) == size <= MAX_SINGLE_WRITE:
        return first  # it fits into one write with the head
    return Upload(file, source.start, size, digest.hexdigest(), _lock_of(source))


def _lock_of(source: Source) -> AbstractContextManager[object]:
    """Return the lock of a file, to be held between seeking and reading."""
    # in one step, since threads may share the operation
    lock: threading.Lock = vars(source).setdefault("lock", threading.Lock())
    return lock


def _collect(source: Source) -> bytes:
    collector = Collector(source)
    if source.kind == "file":
        while piece := _read(cast("BinaryFile", source.given), PIECE):
            collector.add(piece)
    else:
        for part in cast("Iterator[object]", source.given):
            collector.add(part)
    source.collected = collector.joined()
    return source.collected


class Collector:
    """The pieces of a source that can be read only once.

    Raises `ConstructionError` if another call has begun to read it, or for a piece that is not
    bytes.
    """

    def __init__(self, source: Source) -> None:
        if source.begun:
            found = f"this {source.kind} was begun by another call, which has not read all of it"
            raise ConstructionError("body", "given anew", found)
        source.begun = True
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: object) -> None:
        """Add a piece; raises `ConstructionError`."""
        if not isinstance(piece, bytes | bytearray | memoryview):
            found = f"it gave {type(piece).__name__}"
            raise ConstructionError("body", "an iterator of bytes", found)
        self._pieces.append(bytes(cast("bytes", piece)))
        self._size += len(self._pieces[-1])
        if self._size > MAX_BODY:
            rule = f"at most {MAX_BODY} bytes, since it cannot be read twice (a file can)"
            raise ConstructionError("body", rule)

    def joined(self) -> bytes:
        """Return all pieces as one."""
        return b"".join(self._pieces)


def _seek(file: Seekable, offset: int) -> None:
    try:
        file.seek(offset)
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise _unreadable(error) from None


def _read(file: BinaryFile, size: int) -> bytes:
    try:
        piece: object = file.read(size)
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise _unreadable(error) from None
    if not isinstance(piece, bytes):
        rule, found = "a binary file that blocks", f"it gave {type(piece).__name__}"
        raise ConstructionError("body", rule, found)
    return piece


def _unreadable(error: Exception) -> ConstructionError:
    return ConstructionError("body", "a file that can be read", type(error).__name__)
