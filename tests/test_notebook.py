"""`examples/notebook.ipynb` runs, prints what is saved in it, and shows nothing of a machine."""

from __future__ import annotations

import asyncio
import copy
import re
import warnings
from typing import Any

import pytest

from .notebooks import NOTEBOOK, code_cells, read_notebook, run_cells, saved_text

MACHINE = re.compile(r"/(?:home|root|tmp|usr|work|Users|var|opt)\b|[A-Z]:\\|127\.0\.0\.1|localhost")


def assert_same_as_saved(printed: list[str], notebook: dict[str, Any]) -> None:
    """Compare what cells print; one tagged `varies` depends on the version of Python."""
    for cell, text in zip(code_cells(notebook), printed, strict=True):
        if "varies" in cell["metadata"].get("tags", ()):
            assert bool(text) == bool(saved_text(cell))
        else:
            assert text == saved_text(cell), "run `python -m tests.notebooks`"


def test_every_cell_prints_what_is_saved() -> None:
    notebook = read_notebook()
    printed = asyncio.run(run_cells(notebook))
    assert_same_as_saved(printed, notebook)
    assert sum(1 for text in printed if text) >= 6


def test_outputs_are_printed_text_without_addresses_and_paths() -> None:
    cells = code_cells(read_notebook())
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream"}
    assert {output["name"] for output in outputs} == {"stdout"}
    assert not [found for cell in cells for found in MACHINE.findall(saved_text(cell))]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


def test_jupyter_prints_the_same() -> None:
    """Run with a real kernel where nbclient is installed: see tools/test-apart."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    executed = copy.deepcopy(notebook)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's packages
        nbclient.NotebookClient(executed, timeout=60, kernel_name="python3").execute()
    assert_same_as_saved([saved_text(cell) for cell in code_cells(executed)], notebook)
