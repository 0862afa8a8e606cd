"""Tables for notebooks: names and values as text, which is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ._text import escape_unprintable

MAX_CELL: Final = 2000  # characters
_STYLE: Final = "text-align: left; white-space: pre-wrap"


def render_table(title: str, rows: Mapping[str, object]) -> str:
    """Return HTML in which all text is escaped; see `html_table`."""
    lines = [
        f'<tr><th style="{_STYLE}">{_cell(name)}</th><td style="{_STYLE}">{_cell(value)}</td></tr>'
        for name, value in rows.items()
        if value is not None
    ]
    body = "\n".join(lines)
    return f"<table>\n<caption>{_cell(title)}</caption>\n<tbody>\n{body}\n</tbody>\n</table>"


def _cell(value: object) -> str:
    from html import escape

    lines = str(value)[:MAX_CELL].split("\n")
    return escape("\n".join(map(escape_unprintable, lines)))
