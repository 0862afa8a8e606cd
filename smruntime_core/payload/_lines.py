"""Decoding of lines. A line ends with CR, LF or CRLF, and with nothing else.

UTF-8 has no CR or LF inside a character, so the bytes are cut into lines and each line is decoded
whole. (`str.splitlines` would also cut at U+0085, U+2028 and six more, which may stand unescaped in
JSON strings.)

A CR ends its line at once, although an LF that belongs to it may follow in the next part: waiting
for that byte would delay the last event of a stream that pauses. The LF is skipped when it arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..errors import StreamError
from ..values._incremental import MAX_SIZE, IncrementalDecoder, checked_limit
from ._text import Errors, checked_errors, decode_last, not_utf8

# Bytes that are cut into lines at once: a list of all lines could be many times the part's size.
BLOCK_SIZE: Final = 16 * 1024


class LineDecoder(IncrementalDecoder[str]):
    """Decoder of UTF-8 in any pieces into lines, without their ends.

    The last line needs no end: it comes after `receive_eof`. Raises `StreamError` for a line of
    more than `max_line` bytes, or one that is not UTF-8 (`errors="replace"` decodes it with
    U+FFFD); `TruncatedStream` if the stream ends within a character. A byte order mark is part of
    the first line.
    """

    _limit_name = "max_line"

    def __init__(self, *, max_line: int = MAX_SIZE, errors: Errors = "strict") -> None:
        super().__init__()
        self._max_line = checked_limit("max_line", max_line)
        self._errors: Errors = checked_errors(errors)
        self._line_start = bytearray()
        self._after_cr = False

    def _read(self, part: bytes) -> Iterator[str]:
        line_start, max_line, errors = self._line_start, self._max_line, self._errors
        for offset in range(0, len(part), BLOCK_SIZE):
            block = part[offset : offset + BLOCK_SIZE]
            if self._after_cr:
                block = block.removeprefix(b"\n")
                self._after_cr = False
                if not block:
                    continue
            self._after_cr = block.endswith(b"\r")
            complete_lines = block.splitlines()
            incomplete_line = b"" if block.endswith((b"\n", b"\r")) else complete_lines.pop()
            if line_start and complete_lines:
                complete_lines[0] = bytes(line_start) + complete_lines[0]
                line_start.clear()
            try:
                for line in complete_lines:
                    if len(line) > max_line:
                        raise self._line_too_long()
                    yield line.decode("utf-8", errors)
            except UnicodeDecodeError as error:
                raise not_utf8(error) from None
            line_start += incomplete_line
            if len(line_start) > max_line:
                raise self._line_too_long()

    def _finish(self) -> Iterator[str]:
        if self._line_start:
            yield decode_last(bytes(self._line_start), self._errors)

    def _line_too_long(self) -> StreamError:
        setting_name = self._limit_name
        return StreamError(f"a line is longer than {self._max_line} bytes; raise {setting_name}")
