"""Run the code of a notebook without Jupyter, and write what it prints into the notebook.

    python -m tests.notebooks

renews the outputs in `examples/notebook.ipynb`, which `tests/test_notebook.py` compares.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook.ipynb"


def read_notebook() -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text("utf-8"))
    return notebook


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


async def run_cells(notebook: dict[str, Any]) -> list[str]:
    """Return what each code cell prints, run from top to bottom in one event loop."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed: list[str] = []
    for number, cell in enumerate(code_cells(notebook), 1):
        code = compile(
            "".join(cell["source"]),
            f"code cell {number}",
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )
        output = io.StringIO()
        with redirect_stdout(output):
            result = eval(code, namespace)  # noqa: S307 - the notebook's own code is what is tested
            if inspect.isawaitable(result):
                await result
        printed.append(output.getvalue())
    return printed


def saved_text(cell: dict[str, Any]) -> str:
    """Return the text that a code cell printed when the notebook was saved."""
    return "".join("".join(output.get("text", ())) for output in cell["outputs"])


def main() -> None:
    notebook = read_notebook()
    printed = asyncio.run(run_cells(notebook))
    for number, (cell, text) in enumerate(zip(code_cells(notebook), printed, strict=True), 1):
        lines = text.splitlines(keepends=True)
        output = {"name": "stdout", "output_type": "stream", "text": lines}
        cell |= {"execution_count": number, "outputs": [output] if text else []}
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
