"""README.md's Python runs from top to bottom, as a reader would type it: one namespace, one block after the other."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_python_of_the_readme_runs() -> None:
    text = README.read_text("utf-8")
    blocks = list(BLOCK.finditer(text))
    assert blocks
    namespace: dict[str, object] = {"__name__": "readme"}
    for block in blocks:
        above = text.count("\n", 0, block.start(1))
        code = compile("\n" * above + block[1], str(README), "exec")  # so that a traceback names the README's own line
        exec(code, namespace)  # noqa: S102 - the README's own code is what is tested
