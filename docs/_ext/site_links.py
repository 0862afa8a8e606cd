"""Links between pages that work on a code host and on the site.

A page links to files of the repository by their relative paths. On the site, files that are pages
lead there (CHANGELOG.md and the like are included by generated pages), and source files are offered
for download.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

INCLUDED = {
    "CHANGELOG.md": "_generated/changelog",
    "CONTRIBUTING.md": "_generated/contributing",
    "SECURITY.md": "_generated/reporting",
    "README.md": "_generated/readme",
    "CODE_OF_CONDUCT.md": "_generated/conduct",
    "LICENSE": "_generated/license",
}
LINK = re.compile(r"\]\((?!https?:|mailto:|#|<)([^)\s#]+)(#[^)\s]*)?\)")


def rewrite(text: str, folder: Path, root: Path, prefix: str) -> str:
    """Return a page with links that Sphinx follows; `folder` is where its links begin."""

    def replace(match: re.Match[str]) -> str:
        target = (folder / match[1]).resolve()
        if not target.is_relative_to(root):
            return match[0]
        name = target.relative_to(root).as_posix()
        fragment = match[2] or ""
        if name in INCLUDED:
            return f"]({prefix}{INCLUDED[name]}.md{fragment})"
        if name.startswith("docs/") and target.exists():
            return f"]({prefix}{name.removeprefix('docs/')}{fragment})"
        if target.is_dir():
            page = "examples" if name == "examples" else "contributing"
            return f"]({prefix}_generated/{page}.md)"
        return f"]({prefix}../{name})"

    return LINK.sub(replace, text)


def read_source(app: Sphinx, page_name: str, source: list[str]) -> None:
    """Rewrite the links of a page of docs/."""
    if page_name.startswith("_generated/"):
        return  # written with links that fit
    docs = Path(app.srcdir)
    source[0] = rewrite(source[0], docs, docs.parent, "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook."""
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
