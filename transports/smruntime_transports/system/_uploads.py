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
        problem = "found an asynchronous iterator, which needs an asynchronous client"
        raise ConstructionError("body", "a plain iterator", problem)
    if source.kind == "file" and _can_seek(source.given):
        return _measure_file(source, cast("Seekable", source.given))
    return source.collected if source.collected is not None else _collect_source(source)


async def measure_async_iterator(source: Source) -> Sendable:
    """Return what to send for an asynchronous iterator; raises like `measure`."""
    if source.collected is None:
        collector = PieceCollector(source)
        async for iterated_piece in cast("AsyncIterator[object]", source.given):
            collector.add_piece(iterated_piece)
        source.collected = collector.joined_pieces()
    return source.collected


def supply(effect: Supply) -> bytes:
    """Return the bytes asked for; raises `ConstructionError` if the file has become shorter."""
    upload, supplied_bytes = effect.upload, b""
    with upload.lock or nullcontext():
        _seek_offset(upload.file, upload.start + effect.offset)
        while len(supplied_bytes) < effect.size:
            file_piece = _read_piece(upload.file, effect.size - len(supplied_bytes))
            if not file_piece:
                requirement = "a file that does not change until the call is over"
                raise ConstructionError("body", requirement, "it has become shorter")
            supplied_bytes = supplied_bytes + file_piece if supplied_bytes else file_piece
    return supplied_bytes


def _can_seek(seekable_file: object) -> bool:
    try:
        return bool(getattr(seekable_file, "seekable", lambda: hasattr(seekable_file, "seek"))())
    except (OSError, ValueError):
        return False


def _measure_file(source: Source, seekable_file: Seekable) -> Sendable:
    """Read a file to its end, from its position when it was first measured."""
    content_digest, total_size, first_piece = sha256(), 0, b""
    with _source_lock(source):
        try:
            source.start = seekable_file.tell() if source.start is None else source.start
        except (OSError, ValueError) as error:
            raise _unreadable(error) from None
        _seek_offset(seekable_file, source.start)
        while file_piece := _read_piece(seekable_file, PIECE):
            content_digest.update(file_piece)
            first_piece = first_piece or file_piece
            total_size += len(file_piece)
    if len(first_piece) == total_size <= MAX_SINGLE_WRITE:
        return first_piece  # it fits into one write with the head
    return Upload(
        seekable_file, source.start, total_size, content_digest.hexdigest(), _source_lock(source)
    )


def _source_lock(source: Source) -> AbstractContextManager[object]:
    """Return the lock of a file, to be held between seeking and reading."""
    # in one step, since threads may share the operation
    source_lock: threading.Lock = vars(source).setdefault("lock", threading.Lock())
    return source_lock


def _collect_source(source: Source) -> bytes:
    collector = PieceCollector(source)
    if source.kind == "file":
        while file_piece := _read_piece(cast("BinaryFile", source.given), PIECE):
            collector.add_piece(file_piece)
    else:
        for iterated_piece in cast("Iterator[object]", source.given):
            collector.add_piece(iterated_piece)
    source.collected = collector.joined_pieces()
    return source.collected


class PieceCollector:
    """The pieces of a source that can be read only once.

    Raises `ConstructionError` if another call has begun to read it, or for a piece that is not
    bytes.
    """

    def __init__(self, source: Source) -> None:
        if source.begun:
            problem = f"this {source.kind} was begun by another call, which has not read all of it"
            raise ConstructionError("body", "given anew", problem)
        source.begun = True
        self._pieces: list[bytes] = []
        self._total_size = 0

    def add_piece(self, added_piece: object) -> None:
        """Add a piece; raises `ConstructionError`."""
        if not isinstance(added_piece, bytes | bytearray | memoryview):
            problem = f"it gave {type(added_piece).__name__}"
            raise ConstructionError("body", "an iterator of bytes", problem)
        self._pieces.append(bytes(cast("bytes", added_piece)))
        self._total_size += len(self._pieces[-1])
        if self._total_size > MAX_BODY:
            requirement = f"at most {MAX_BODY} bytes, since it cannot be read twice (a file can)"
            raise ConstructionError("body", requirement)

    def joined_pieces(self) -> bytes:
        """Return all pieces as one."""
        return b"".join(self._pieces)


def _seek_offset(seekable_file: Seekable, offset: int) -> None:
    try:
        seekable_file.seek(offset)
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise _unreadable(error) from None


def _read_piece(binary_file: BinaryFile, piece_size: int) -> bytes:
    try:
        file_piece: object = binary_file.read(piece_size)
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise _unreadable(error) from None
    if not isinstance(file_piece, bytes):
        requirement, problem = "a binary file that blocks", f"it gave {type(file_piece).__name__}"
        raise ConstructionError("body", requirement, problem)
    return file_piece


def _unreadable(error: Exception) -> ConstructionError:
    return ConstructionError("body", "a file that can be read", type(error).__name__)
