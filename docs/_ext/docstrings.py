"""Docstrings of this project as reStructuredText: prose, and everything indented as it stands.

Our docstrings are plain text for `help()`: paragraphs, words in backticks, and indented blocks
whose columns matter. So prose is escaped, and each indented block or Markdown table becomes
literal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

IN_BACKTICKS = re.compile(r"(`+[^`]+`+)")
SETTING = re.compile(r"([a-z_0-9]+): ")


def convert(lines: list[str]) -> list[str]:
    """Return the lines of a docstring as reStructuredText."""
    converted: list[str] = []
    is_literal = False
    for line in lines:
        starts_literal = bool(line) and (line[0] == " " or line.startswith(("|", ">>>")))
        if not line:
            converted.append("")
        elif starts_literal or (is_literal and not was_blank(converted)):
            if not is_literal:
                converted += ["", "::", ""]
                is_literal = True
            converted.append(f"    {line}")
        else:
            if is_literal:
                converted.append("")
            is_literal = False
            setting = SETTING.match(line)
            if setting and is_setting_list(lines):
                converted.append(f"- ``{setting[1]}``: {escape(line[setting.end() :])}")
            else:
                converted.append(escape(line))
    return converted


def is_setting_list(lines: list[str]) -> bool:
    """Return whether a docstring lists the settings of a client, one a line."""
    return sum(1 for line in lines if SETTING.match(line)) > 5


def was_blank(lines: list[str]) -> bool:
    """Return whether the last line is blank, if there is one."""
    return not lines or not lines[-1]


def escape(line: str) -> str:
    """Escape what reStructuredText would read as markup, outside backticks."""
    parts = IN_BACKTICKS.split(line)
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"([*|_\\])", r"\\\1", parts[index])
    for index in range(1, len(parts), 2):
        parts[index] = f"``{parts[index].strip('`')}``"
        following = parts[index + 1]
        if following[:1].isalnum():
            parts[index + 1] = "\\ " + following
        if parts[index - 1][-1:].isalnum():
            parts[index - 1] += "\\ "
    return "".join(parts)


def process(
    app: Sphinx, kind: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Convert a docstring in place."""
    del app, kind, name, value, options
    lines[:] = convert(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook."""
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
