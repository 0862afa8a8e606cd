"""Batches on Dask, Ray Data and Spark, as the examples show them.

`tools/test-dask` and `tools/test-engines` run this where those are installed.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
ENGINES = {
    "dask": ("batch_dask", "4000 results, 2000 virginica"),
    "ray": ("batch_ray", "4000 results, 2000 virginica"),
    "pyspark": ("batch_spark", "4000 results, 2000 virginica"),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_example_answers_every_record_on_its_engine(engine: str) -> None:
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed; tools/test-dask and tools/test-engines install it")
    example, expected_output = ENGINES[engine]
    done = subprocess.run(
        [sys.executable, "-P", str(EXAMPLES / f"{example}.py")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert expected_output in done.stdout
