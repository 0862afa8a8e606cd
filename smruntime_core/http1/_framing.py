"""The framing: where a body ends (RFC 9112 section 6.3): by its length, by its chunks, or with the connection; every part bounded."""

from __future__ import annotations

import re
from typing import Protocol

from ._head import FIELD, TOKEN, Head, ProtocolViolation

MAX_CHUNK_LINE = 16 * 1024
MAX_TRAILERS = 64 * 1024
BODILESS = (204, 304)  # statuses

# Compiled where there are any.
_TRAILER = rf"(?!(?i:content-length|transfer-encoding):){FIELD}\r".encode("latin-1")
_quoted = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_extension = rf"(?:;{TOKEN}+(?:=(?:{TOKEN}+|{_quoted}))?+)*+"
_CHUNK_SIZE = rf"([0-9A-Fa-f]{{1,16}}){_extension}\r".encode("latin-1")
_half_size = re.compile(rb"[0-9A-Fa-f]{0,16}(?![^ \t;\r])").match
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
        """The part of the body that `data` bears; raises `ProtocolViolation`."""
        ...

    def skip(self, count: int) -> None:
        """So many of those `left` have been received elsewhere."""
        ...

    def receive_eof(self) -> None:
        """The peer closed: raises `ProtocolViolation` unless the body may end so."""
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
        raise ProtocolViolation("truncated", f"the body ended {self.left} bytes early")


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
        self._line = bytearray()  # the beginning of a line that has not ended
        self._left = 0  # bytes of the chunk to come, then 2 for its CRLF
        self._in_trailers = False
        self._trailers_size = 0  # of the lines that have ended
        self.complete = False
        self.excess = False

    def receive_data(self, data: bytes) -> bytes:
        if self.complete:
            self.excess = True
            return b""
        pieces: list[bytes] = []
        position = 0
        while position < len(data) and not self.complete:
            # The common case: all of a chunk is there.
            if self._left == 0 and not self._line and (line := _whole_chunk(data, position)):
                begin = line.end()
                end = begin + int(line[1], 16)
                if data[end : end + 2] == b"\r\n" and not self._in_trailers and end > begin:
                    pieces.append(data[begin:end])
                    position = end + 2
                    continue
            if self._in_trailers:
                position = self._read_trailer(data, position)
            elif self._left > 2:
                piece = data[position : position + self._left - 2]
                pieces.append(piece)
                self._left -= len(piece)
                position += len(piece)
            elif self._left:
                if data[position] != b"\r\n"[2 - self._left]:
                    raise ProtocolViolation("protocol", "a chunk does not end where its size says")
                self._left -= 1
                position += 1
            else:
                position = self._read_size(data, position)
        self.excess = position < len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_size(self, data: bytes, position: int) -> int:
        line, position = self._read_line(data, position, MAX_CHUNK_LINE)
        if line is None:
            if not _half_size(self._line):
                raise ProtocolViolation("protocol", f"not a chunk size: {bytes(self._line[:24])!r}")
            if len(self._line) >= MAX_CHUNK_LINE:
                raise ProtocolViolation(
                    "too_large", f"a chunk's line is longer than {MAX_CHUNK_LINE} bytes"
                )
            return position
        found = re.fullmatch(_CHUNK_SIZE, line)
        if found is None:
            raise ProtocolViolation("protocol", f"not a chunk size: {line[:24]!r}")
        size = int(found[1], 16)
        self._in_trailers = size == 0
        self._left = size + 2 if size else 0
        return position

    def _read_trailer(self, data: bytes, position: int) -> int:
        limit = MAX_TRAILERS - self._trailers_size
        line, position = self._read_line(data, position, limit)
        if line is None:
            if len(self._line) >= limit:
                raise ProtocolViolation(
                    "too_large", f"the trailers are longer than {MAX_TRAILERS} bytes"
                )
        elif line == b"\r":
            self.complete = True
        elif re.fullmatch(_TRAILER, line):
            self._trailers_size += len(line) + 1
        else:
            raise ProtocolViolation("protocol", "malformed trailers")
        return position

    def _read_line(self, data: bytes, position: int, limit: int) -> tuple[bytes | None, int]:
        """Return the next line without its LF, and where it ends.

        The line is None if it goes on after `data`, or after `limit` bytes. Each byte is looked at
        once, however few come at a time.
        """
        stop = position + limit - len(self._line)
        end = data.find(b"\n", position, stop)
        self._line += data[position : stop if end < 0 else end]
        if end < 0:
            return None, min(stop, len(data))
        line = bytes(self._line)
        self._line.clear()
        return line, end + 1

    def receive_eof(self) -> None:
        raise ProtocolViolation("truncated", "the body ended inside its chunks")
