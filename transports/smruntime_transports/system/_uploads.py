"""Bodies from files and iterators: measured before a call, supplied piece by piece during an attempt.

Everything here may block, so the asynchronous IOs have it done in a thread; only an asynchronous iterator is awaited where it lives.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from typing import cast

from smruntime_core import ConstructionError
from smruntime_core.conversation import MAX_BODY
from smruntime_core.effects import BinaryFile, Measure, Seekable, Sendable, Source, Supply, Upload
from smruntime_core.http1 import MAX_SINGLE_WRITE

PIECE = 512 * 1024


def measure(effect: Measure) -> Sendable:
    """What to send for the source of `effect`; raises `ConstructionError` if it cannot be read."""
    source = effect.source
    if source.kind == "async iterator":
        raise ConstructionError(
            "body", "a plain iterator", "this client blocks, and its body is an asynchronous one"
        )
    if source.kind == "file" and _can_seek(source.given):
        return _measured(source, cast("Seekable", source.given))
    return source.collected if source.collected is not None else _collected(source)


async def measure_awaited(source: Source) -> Sendable:
    """The same for an asynchronous iterator."""
    if source.collected is None:
        collecting = Collecting(source)
        async for piece in cast("AsyncIterator[object]", source.given):
            collecting.add(piece)
        source.collected = collecting.whole
    return source.collected


def supply(effect: Supply) -> bytes:
    """The bytes asked for; raises `ConstructionError` if they are not there any more."""
    upload, data = effect.upload, b""
    with upload.lock or nullcontext():
        _seek(upload.file, upload.start + effect.offset)
        while len(data) < effect.size:
            piece = _read(upload.file, effect.size - len(data))
            if not piece:
                raise ConstructionError(
                    "body",
                    "a file that stays as it is until the call is over",
                    "it has become shorter",
                )
            data = data + piece if data else piece
    return data


def _can_seek(file: object) -> bool:
    try:
        return bool(getattr(file, "seekable", lambda: hasattr(file, "seek"))())
    except (OSError, ValueError):
        return False


def _measured(source: Source, file: Seekable) -> Sendable:
    """Of a file: it is read to the end, from where it stood when it was first measured."""
    digest, size, first = sha256(), 0, b""
    with _lock(source):
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
        return first  # one write with the head, and nothing to read again
    return Upload(file, source.start, size, digest.hexdigest(), _lock(source))


def _lock(source: Source) -> AbstractContextManager[object]:
    """Return the lock of a file: no other thread may move its position between seeking and reading."""
    lock: threading.Lock = vars(source).setdefault(
        "lock", threading.Lock()
    )  # in one step: threads may share the operation
    return lock


def _collected(source: Source) -> bytes:
    collecting = Collecting(source)
    if source.kind == "file":
        while piece := _read(cast("BinaryFile", source.given), PIECE):
            collecting.add(piece)
    else:
        for part in cast("Iterator[object]", source.given):
            collecting.add(part)
    source.collected = collecting.whole
    return source.collected


class Collecting:
    """The pieces of what comes but once. Raises `ConstructionError` if somebody else has begun, or for what are no bytes."""

    def __init__(self, source: Source) -> None:
        if source.begun:
            raise ConstructionError(
                "body",
                "given anew",
                f"this {source.kind} was begun by another call, which has not come to its end",
            )
        source.begun = True
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: object) -> None:
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise ConstructionError(
                "body", "an iterator of bytes", f"it gave {type(piece).__name__}"
            )
        self._pieces.append(bytes(cast("bytes", piece)))
        self._size += len(self._pieces[-1])
        if self._size > MAX_BODY:
            raise ConstructionError("body", f"at most {MAX_BODY} bytes, if it has to be collected")

    @property
    def whole(self) -> bytes:
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
        raise ConstructionError(
            "body",
            "a file that is opened in binary mode and blocks",
            f"it gave {type(piece).__name__}",
        )
    return piece


def _unreadable(error: Exception) -> ConstructionError:
    return ConstructionError("body", "a file that can be read", type(error).__name__)
