"""The framing: where a body ends (RFC 9112 section 6.3): by its length, by its chunks, or with the connection; every part bounded."""

from __future__ import annotations

import re
from typing import Protocol

from ._head import FIELD, TOKEN, Head, Violation, bare_lf

MAX_CHUNK_LINE = 16 * 1024
MAX_TRAILERS = 64 * 1024
BODILESS = (204, 304)  # statuses

_TRAILERS = rf"(?:(?!(?i:content-length|transfer-encoding):){FIELD}\r\n)*\r\n".encode("latin-1")  # compiled where there are any
_quoted = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_extension = rf"(?:;{TOKEN}+(?:=(?:{TOKEN}+|{_quoted}))?+)*+"
_CHUNK_SIZE = rf"([0-9A-Fa-f]{{1,16}}){_extension}".encode("latin-1")
_whole_chunk = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n").match


class Framing(Protocol):
    """Reads one body. `excess` is true once bytes came that are not part of it; `left` counts those to come that need not be looked at."""

    @property
    def left(self) -> int: ...
    @property
    def complete(self) -> bool: ...
    @property
    def excess(self) -> bool: ...

    def receive_data(self, data: bytes) -> bytes:
        """The part of the body that `data` bears; raises `Violation`."""
        ...

    def skip(self, count: int) -> None:
        """So many of those `left` have been received elsewhere."""
        ...

    def receive_eof(self) -> None:
        """The peer closed: raises `Violation` unless the body may end so."""
        ...


def frame(head: Head, bodiless: bool) -> Framing:
    """The reader of the body that `head` announces (RFC 9112 section 6.3)."""
    if bodiless or head.status in BODILESS:
        return ByLength(0)
    if head.chunked:
        return Chunked()
    return UntilClose() if head.length is None else ByLength(head.length)


class ByLength:
    """A body of a known number of bytes."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.complete = length == 0
        self.excess = False

    def receive_data(self, data: bytes) -> bytes:
        left = self.left - len(data)
        if left < 0:
            self.excess = True
            data = data[: self.left]
            left = 0
        self.left = left
        self.complete = left == 0
        return data

    def skip(self, count: int) -> None:
        self.left -= count
        self.complete = self.left == 0

    def receive_eof(self) -> None:
        raise Violation("truncated", f"the body ended {self.left} bytes early")


class Looked:
    """A body whose every byte is looked at."""

    left = 0

    def skip(self, count: int) -> None:
        """Never asked."""


class UntilClose(Looked):
    """A body that ends with the connection."""

    complete = False
    excess = False

    def receive_data(self, data: bytes) -> bytes:
        return data

    def receive_eof(self) -> None:
        self.complete = True


class Chunked(Looked):
    """A body in chunks, each with its size before it; extensions and trailers are read, bounded and dropped."""

    def __init__(self) -> None:
        self._held = b""  # the beginning of a line that has not ended
        self._left = 0  # bytes of the chunk to come, then 2 for its CRLF
        self._in_trailers = False
        self.complete = False
        self.excess = False

    def receive_data(self, data: bytes) -> bytes:
        if self.complete:
            self.excess = True
            return b""
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[bytes] = []
        position = 0
        while position < len(data) and not self.complete:
            if self._left == 0 and (line := _whole_chunk(data, position)):  # the common case: all of a chunk is there
                begin = line.end()
                end = begin + int(line[1], 16)
                if data[end : end + 2] == b"\r\n" and not self._in_trailers and end > begin:
                    pieces.append(data[begin:end])
                    position = end + 2
                    continue
            if self._in_trailers:
                position = self._read_trailers(data, position)
            elif self._left > 2:
                piece = data[position : position + self._left - 2]
                pieces.append(piece)
                self._left -= len(piece)
                position += len(piece)
            elif self._left:
                if data[position] != b"\r\n"[2 - self._left]:
                    raise Violation("protocol", "a chunk does not end where its size says")
                self._left -= 1
                position += 1
            else:
                position = self._read_size(data, position)
        self.excess = position < len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_size(self, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position, position + MAX_CHUNK_LINE)
        line = data[position : end if end >= 0 else position + MAX_CHUNK_LINE]
        if end < 0:
            if b"\n" in line or not re.match(rb"[0-9A-Fa-f]{0,16}(?![^ \t;\r])", line):
                raise Violation("protocol", f"not a chunk size: {line[:24]!r}")
            if len(line) >= MAX_CHUNK_LINE:
                raise Violation("too_large", f"a chunk's line is longer than {MAX_CHUNK_LINE} bytes")
            self._held = line
            return len(data)
        found = re.fullmatch(_CHUNK_SIZE, line)
        if found is None:
            raise Violation("protocol", f"not a chunk size: {line[:24]!r}")
        size = int(found[1], 16)
        self._in_trailers = size == 0
        self._left = size + 2 if size else 0
        return end + 2

    def _read_trailers(self, data: bytes, position: int) -> int:
        rest = data[position : position + MAX_TRAILERS]
        end = 0 if rest.startswith(b"\r\n") else rest.find(b"\r\n\r\n") + 2
        if end == 1:  # not found
            if bare_lf(rest):
                raise Violation("protocol", "malformed trailers")
            if len(rest) >= MAX_TRAILERS:
                raise Violation("too_large", f"the trailers are longer than {MAX_TRAILERS} bytes")
            self._held = rest
            return len(data)
        if not re.fullmatch(_TRAILERS, rest[: end + 2]):
            raise Violation("protocol", "malformed trailers")
        self.complete = True
        return position + end + 2

    def receive_eof(self) -> None:
        raise Violation("truncated", "the body ended inside its chunks")
