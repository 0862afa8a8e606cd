"""Every example in a docstring of the core is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import smruntime_core

MODULES = [smruntime_core.__name__, *(m.name for m in pkgutil.walk_packages(smruntime_core.__path__, "smruntime_core."))]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_there_are_doctests() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name))) > 0
