"""Text of others as text to show."""

from __future__ import annotations


def escape_unprintable(text: str) -> str:
    """Return `text` as one line for a log, with unprintable characters escaped."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
