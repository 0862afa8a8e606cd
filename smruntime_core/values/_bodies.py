"""Bodies that are no bytes yet: a file, or an iterator of pieces, plain or asynchronous.

SigV4 signs the hash of a body and HTTP wants its length, both of them before its first byte. So whatever it is, it is measured first,
by I/O and not here (`Measure`), and every attempt at a call sends what was measured:

    bytes, bytearray, memoryview       as it is, neither copied nor read
    file that can seek                 hashed piece by piece; each attempt reads it again, from where it stood at the first call
    other file, iterator               collected, for it comes but once

A file must not change until the call is over; one that has become shorter is noticed. An operation with any of them may be used for
several calls: a file is measured again by each, what was collected is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeAlias, cast

from ..errors import ConstructionError
from ._record import Record, field
from ._rules import Blob

Body: TypeAlias = "bytes | bytearray | memoryview"
SourceKind: TypeAlias = Literal["file", "iterator", "async iterator"]


class BinaryFile(Protocol):
    """What is needed of a file; `tell` and `seek` too, if it can seek."""

    def read(self, size: int, /) -> bytes | None: ...


class Seekable(BinaryFile, Protocol):
    """A file that can be read again."""

    def seek(self, offset: int, /) -> int: ...
    def tell(self) -> int: ...


Pieces: TypeAlias = "BinaryFile | Iterator[bytes] | AsyncIterator[bytes]"


class Source:
    """A body that an operation was given and that must be measured.

    `start` and `collected` are for the IO that measures it.
    """

    def __init__(self, given: Pieces, kind: SourceKind) -> None:
        self.given = given
        self.kind: SourceKind = kind
        self.start: int | None = None  # of a file that can seek: where it stood
        self.collected: bytes | None = None
        self.begun = False  # nothing is left for the next reader

    def __repr__(self) -> str:
        return f"<{self.kind}>"


class Upload(Record):
    """The `size` bytes of `file` from `start` on, as every attempt sends them, and their SHA-256 in
    hexadecimal.

    `lock` is held while they are read: a file has one position.
    """

    file: Seekable = field(secret=True)
    start: int
    size: int
    sha256: str
    lock: AbstractContextManager[object] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return self.size


Sendable: TypeAlias = "Body | Upload"


class StreamedBlob(Blob):
    """Bytes in any form, or what gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.says: str = f"{self.says}, a binary file, or an iterator of bytes"

    def check(self, member: str, value: object) -> Body | Source:  # type: ignore[override]  # what else may be sent
        """`value`, or a `Source` of it; raises `ConstructionError` if it is neither bytes nor gives them."""
        if isinstance(value, bytearray | memoryview | bytes | str):
            return super().check(member, cast("object", value))
        return value if isinstance(value, Source) else self._source(member, value)

    def _source(self, member: str, value: object) -> Source:
        # the files of event loops have a `read` that must be awaited: they are the iterators that they are too
        for name, kind in (
            ("__anext__", "async iterator"),
            ("read", "file"),
            ("__next__", "iterator"),
        ):
            if callable(getattr(value, name, None)) and not isinstance(value, type):
                return Source(value, kind)  # type: ignore[arg-type]  # it has what this kind must have
        raise ConstructionError(member, self.says, f"found {type(value).__name__}")


STREAMED = StreamedBlob()


class BodyMember:
    """For type checkers: what a member that is `STREAMED` takes, and what it is to all who know that they gave bytes."""

    def __get__(self, instance: object, owner: type) -> Body: ...  # type: ignore[empty-body]  # never called
    def __set__(self, instance: object, value: Body | Pieces | Source) -> None: ...
