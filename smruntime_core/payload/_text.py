"""Decoding of UTF-8 text with characters that may be cut anywhere."""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from ..errors import ConstructionError, StreamError, TruncatedStream
from ..values._incremental import IncrementalDecoder

Errors: TypeAlias = Literal["strict", "replace"]

# Bytes that are decoded at once: one character beyond U+FFFF makes a str take 4 bytes a character.
BLOCK_SIZE: Final = 64 * 1024


class TextDecoder(IncrementalDecoder[str]):
    """Decoder of UTF-8 in any pieces into text.

    The pieces of text have at most 64 Ki characters and are not empty; joined, they are what
    `bytes.decode` makes of the whole.

    A byte that is not UTF-8 raises `StreamError`, and a stream that ends within a character
    `TruncatedStream`; with `errors="replace"`, each becomes U+FFFD instead. A byte order mark is
    text like any other (U+FEFF), as in `bytes.decode`.
    """

    def __init__(self, *, errors: Errors = "strict") -> None:
        super().__init__()
        self._errors: Errors = checked_errors(errors)
        self._character_start = b""  # at most three bytes
        self._stream_position = 0  # of `_character_start`

    def _read(self, part: bytes) -> Iterator[str]:
        for offset in range(0, len(part), BLOCK_SIZE):
            block = self._character_start + part[offset : offset + BLOCK_SIZE]
            invalid_character: UnicodeDecodeError | None = None
            try:
                text, decoded_size = utf_8_decode(block, self._errors)
            except UnicodeDecodeError as error:
                invalid_character = error
                text, decoded_size = utf_8_decode(block[: invalid_character.start])
            if text:
                yield text
            if invalid_character is not None:
                position = self._stream_position + invalid_character.start
                raise StreamError(f"not UTF-8: {invalid_character.reason} at byte {position}")
            self._character_start = block[decoded_size:]
            self._stream_position += decoded_size

    def _finish(self) -> Iterator[str]:
        if self._character_start:
            yield decode_last(self._character_start, self._errors)


def decode_last(line: bytes, errors: Errors) -> str:
    """Return the text of the last line of a stream.

    Raises `StreamError`, `TruncatedStream` if the stream ended within a character.
    """
    try:
        return line.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise TruncatedStream("the stream ended within a character") from None
        raise not_utf8(error) from None


def not_utf8(error: UnicodeDecodeError) -> StreamError:
    """Return the error for a line that is not UTF-8."""
    return StreamError(f"a line is not UTF-8: {error.reason} at its byte {error.start}")


def checked_errors(errors: Errors) -> Errors:
    """Return `errors` if it is one of the two; raises `ConstructionError`."""
    if errors not in ("strict", "replace"):
        raise ConstructionError("errors", "'strict' or 'replace'")
    return errors
