"""Every example in a docstring of the core is true, and every module is on the map in CONTRIBUTING.md."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import smruntime_core
import smruntime_local
import smruntime_transports

MAP = Path(__file__).parents[1] / "CONTRIBUTING.md"
MODULES = [smruntime_core.__name__, *(m.name for m in pkgutil.walk_packages(smruntime_core.__path__, "smruntime_core."))]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_there_are_doctests() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name))) > 0


@pytest.mark.parametrize("package", [smruntime_core, smruntime_transports, smruntime_local], ids=lambda package: package.__name__)
def test_every_module_is_on_the_map(package: ModuleType) -> None:
    rooms = MAP.read_text("utf-8").partition(f"{package.__name__}/   ")[2]
    named: set[str] = set()
    for line in rooms.splitlines()[1:]:
        if not line.startswith("  "):
            break
        named.update(re.findall(r"\w+", re.split(r"(?<=\S) {3,}", line)[0]))
    assert {module.name for module in pkgutil.iter_modules(package.__path__)} <= named
