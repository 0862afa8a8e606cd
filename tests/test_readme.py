"""The Python of README.md and of each page in docs/ runs from top to bottom, as a reader would type it: one namespace a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page: Path) -> None:
    text = page.read_text("utf-8")
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in BLOCK.finditer(text):
        above = text.count("\n", 0, block.start(1))
        code = compile(
            "\n" * above + block[1], str(page), "exec"
        )  # so that a traceback names the page's own line
        exec(code, namespace)  # noqa: S102 - the page's own code is what is tested


@pytest.mark.parametrize("name", ["README.md", "signing.md"])
def test_there_is_some(name: str) -> None:
    assert any(BLOCK.search(page.read_text("utf-8")) for page in PAGES if page.name == name)
