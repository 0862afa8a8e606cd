"""The beginning of a body, where a program asks to show it."""

from __future__ import annotations

from typing import Final

from ..errors import escape_unprintable
from ._rules import WholeNumber

_LIMIT: Final = WholeNumber(1, 1024 * 1024)


def preview(body: bytes, limit: int) -> str:
    """Return at most `limit` bytes of `body` as text, or as hexadecimal digits if it is not UTF-8.

    What is not printable is escaped, except line ends. A body that is longer ends with "…" and its
    size. Raises `ConstructionError` unless `limit` is from 1 to 1,048,576.
    """
    beginning = bytes(body[: _LIMIT.check("bytes", limit)])
    try:
        text = _decode(beginning, whole=len(beginning) == len(body))
    except UnicodeDecodeError:
        text = beginning.hex(" ")
    shown = "\n".join(map(escape_unprintable, text.split("\n")))
    return shown if len(beginning) == len(body) else f"{shown}… ({len(body)} bytes)"


def _decode(beginning: bytes, whole: bool) -> str:
    """Return text without the character that the cut has split, if it has."""
    from codecs import getincrementaldecoder

    return getincrementaldecoder("utf-8")().decode(beginning, final=whole)
