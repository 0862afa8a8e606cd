"""Bytes → lines. A line ends with CR, LF or CRLF, and with nothing else.

UTF-8 has no CR or LF inside a character, so lines are cut from the bytes and decoded whole. (Cutting text with `str.splitlines`
would be wrong: it also cuts at U+0085, U+2028 and six more, which stand unescaped in JSON strings.)

A CR ends its line at once, although an LF that belongs to it may follow in the next part: to wait for that byte would hold back
the last event of a stream that pauses. That LF is swallowed when it comes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import StreamError
from ..values._incremental import MAX_SIZE, IncrementalDecoder, checked_limit
from ._text import Errors, checked_errors, decode_last, not_utf8

# Bytes of a part that are cut into lines at once: a list of all lines could be many times the part.
BLOCK = 16 * 1024


class LineDecoder(IncrementalDecoder[str]):
    """UTF-8 in any pieces → its lines, without their ends.

    The last line needs no end: it comes after `receive_eof`. Raises `StreamError` for a line of more than `max_line` bytes, or
    one that is not UTF-8 (`errors="replace"` puts U+FFFD there), `TruncatedStream` if the stream ends within a character. A byte
    order mark is part of the first line.
    """

    def __init__(self, *, max_line: int = MAX_SIZE, errors: Errors = "strict") -> None:
        super().__init__()
        self._max_line = checked_limit("max_line", max_line)
        self._errors: Errors = checked_errors(errors)
        self._held = bytearray()  # the beginning of a line
        self._after_cr = False

    def _read(self, part: bytes) -> Iterator[str]:
        held, limit, errors = self._held, self._max_line, self._errors
        for start in range(0, len(part), BLOCK):
            block = part[start : start + BLOCK]
            if self._after_cr:
                block = block.removeprefix(b"\n")
                self._after_cr = False
                if not block:
                    continue
            self._after_cr = block.endswith(b"\r")
            lines = block.splitlines()
            rest = b"" if block.endswith((b"\n", b"\r")) else lines.pop()
            if held and lines:
                lines[0] = bytes(held) + lines[0]
                held.clear()
            try:
                for line in lines:
                    if len(line) > limit:
                        raise _too_long(limit)
                    yield line.decode("utf-8", errors)
            except UnicodeDecodeError as error:
                raise not_utf8(error) from None
            held += rest
            if len(held) > limit:
                raise _too_long(limit)

    def _finish(self) -> Iterator[str]:
        if self._held:
            yield decode_last(bytes(self._held), self._errors)


def _too_long(limit: int) -> StreamError:
    return StreamError(f"a line is longer than {limit} bytes")
