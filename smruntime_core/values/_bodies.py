"""Request bodies that are files or iterators.

SigV4 signs the hash of a body and HTTP sends its length, both before its first byte. So the IO
measures every such body first (the effect `Measure`), and each attempt sends what was measured:

    bytes, bytearray, memoryview    sent as they are, never copied
    file that can seek              hashed piece by piece; each attempt reads it again from the
                                    position that it had at the first call
    other file, iterator            collected in memory, since it can be read only once

A file must not change until the call is over; one that has become shorter is an error. An operation
with such a body may be used for several calls: a file is measured again by each, collected bytes
are kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeAlias, cast

from ..errors import ConstructionError
from ._record import Record, field
from ._rules import Blob, bytes_remedy

Body: TypeAlias = "bytes | bytearray | memoryview"
SourceKind: TypeAlias = Literal["file", "iterator", "async iterator"]


class BinaryFile(Protocol):
    """A file that can be read; one that can seek is a `Seekable` too."""

    def read(self, size: int, /) -> bytes | None: ...


class Seekable(BinaryFile, Protocol):
    """A file that can be read again."""

    def seek(self, offset: int, /) -> int: ...
    def tell(self) -> int: ...


Pieces: TypeAlias = "BinaryFile | Iterator[bytes] | AsyncIterator[bytes]"


class Source:
    """A body that the IO has to measure before it can be sent.

    The other attributes are for that IO: `start` is the first position of a file that can seek,
    `collected` are the bytes of any other source, `begun` is set when it starts to collect.
    """

    def __init__(self, given: Pieces, kind: SourceKind) -> None:
        self.given: Pieces = given
        self.kind: SourceKind = kind
        self.start: int | None = None
        self.collected: bytes | None = None
        self.begun: bool = False

    def __repr__(self) -> str:
        return f"<{self.kind}>"


class Upload(Record):
    """A measured file: `size` bytes from `start` on, and their SHA-256 in hexadecimal.

    `lock` is held while they are read, because a file has one position.
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
    """Bytes of any type, or a file or iterator of bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.description = f"{self.description}, a binary file, or an iterator of bytes"

    # wider than the base class: it returns sources too
    def check(self, member: str, value: object) -> Body | Source:  # type: ignore[override]
        """Return bytes as they are and anything else as a `Source`; raise `ConstructionError`."""
        if isinstance(value, bytearray | memoryview | bytes | str):
            return super().check(member, cast("object", value))
        return value if isinstance(value, Source) else self._make_source(member, value)

    def _make_source(self, member: str, value: object) -> Source:
        # A file of an event loop has a `read` that must be awaited; such files are iterators too.
        for method_name, kind in _SOURCE_KINDS:
            if callable(getattr(value, method_name, None)) and not isinstance(value, type):
                return Source(cast("Pieces", value), kind)
        rule = f"{self.description}{bytes_remedy(value)}"
        raise ConstructionError(member, rule, f"found {type(value).__name__}")


_SOURCE_KINDS: tuple[tuple[str, SourceKind], ...] = (
    ("__anext__", "async iterator"),
    ("read", "file"),
    ("__next__", "iterator"),
)
STREAMED = StreamedBlob()


class BodyMember:
    """The type of a `STREAMED` member for type checkers: it accepts any body and reads as bytes."""

    # only for type checkers, and never called
    def __get__(self, instance: object, owner: type) -> Body: ...  # type: ignore[empty-body]
    def __set__(self, instance: object, value: Body | Pieces | Source) -> None: ...
