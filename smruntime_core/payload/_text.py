"""UTF-8 → text. A character may be cut anywhere: its first bytes wait for the rest."""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Iterator
from typing import Literal, TypeAlias

from ..errors import ConstructionError, StreamError, TruncatedStream
from ..values._incremental import IncrementalDecoder

Errors: TypeAlias = Literal["strict", "replace"]

# Bytes decoded at once: one character beyond U+FFFF makes all of a text take 4 bytes a character.
BLOCK = 64 * 1024


class TextDecoder(IncrementalDecoder[str]):
    """Decoder of UTF-8 in any pieces into text.

    The pieces of text have at most 64 Ki characters and are not empty; joined, they are what
    `bytes.decode` makes of the whole.

    A byte that is not UTF-8 raises `StreamError`, and a stream that ends within a character `TruncatedStream`; with
    `errors="replace"`, each becomes U+FFFD instead. A byte order mark is text like any other (U+FEFF), as in `bytes.decode`.
    """

    def __init__(self, *, errors: Errors = "strict") -> None:
        super().__init__()
        self._errors: Errors = checked_errors(errors)
        self._held = b""  # the beginning of a character, at most three bytes
        self._position = 0  # of `_held` in the stream

    def _read(self, part: bytes) -> Iterator[str]:
        for start in range(0, len(part), BLOCK):
            data = self._held + part[start : start + BLOCK]
            bad: UnicodeDecodeError | None = None
            try:
                text, used = utf_8_decode(data, self._errors)
            except UnicodeDecodeError as error:
                bad = error
                text, used = utf_8_decode(data[: bad.start])
            if text:
                yield text
            if bad is not None:
                raise StreamError(f"not UTF-8: {bad.reason} at byte {self._position + bad.start}")
            self._held = data[used:]
            self._position += used

    def _finish(self) -> Iterator[str]:
        if self._held:
            yield decode_last(self._held, self._errors)


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
    """`errors` if it is one of the two; raises `ConstructionError`."""
    if errors not in ("strict", "replace"):
        raise ConstructionError("errors", "'strict' or 'replace'")
    return errors
