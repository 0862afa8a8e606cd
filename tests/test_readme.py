"""The Python in README.md and docs/ runs, and every file that a page links to exists.

The Python of a page runs from top to bottom in one namespace, as a reader would type it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_of_a_page_runs(page: Path) -> None:
    text = page.read_text("utf-8")
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in PYTHON_BLOCK.finditer(text):
        lines_above = text.count("\n", 0, block.start(1))  # for the line numbers of tracebacks
        code = compile("\n" * lines_above + block[1], str(page), "exec")
        exec(code, namespace)  # noqa: S102 - the page's own code is what is tested


@pytest.mark.parametrize("name", ["README.md", "credentials.md", "signing.md"])
def test_page_has_python(name: str) -> None:
    (page,) = [page for page in PAGES if page.name == name]
    assert PYTHON_BLOCK.search(page.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_links_only_to_files_that_exist(page: Path) -> None:
    targets = LINK.findall(page.read_text("utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing, f"{page.name} links to files that do not exist: {missing}"
