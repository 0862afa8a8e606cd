"""Examples in docstrings are true, and the documents name what there is: modules and tests."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import smruntime_core
import smruntime_local
import smruntime_transports

TESTS = Path(__file__).parent
ROOT = TESTS.parent
MAP = ROOT / "CONTRIBUTING.md"


def is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


OVER_A_LIBRARY = (
    "smruntime_transports.auth.",
    "smruntime_transports.http_clients.",
    "smruntime_transports.openai.",
)
ALL_MODULES = [
    info.name
    for package in (smruntime_core, smruntime_transports, smruntime_local)
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not info.name.startswith(OVER_A_LIBRARY)
]
GUIDED = (
    "values",
    "protocol",
    "conversation",
    "config",
    "http1",
    "client",
    "wire",
    "connect",
    "system",
    "nonblocking",
    "batch",
    "cli",
    "boto",
    "openai",
    "models",
)
MODULES = [
    smruntime_core.__name__,
    *(m.name for m in pkgutil.walk_packages(smruntime_core.__path__, "smruntime_core.")),
]


@pytest.mark.parametrize("name", MODULES)
def test_doctests_pass(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_doctests_are_found() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert (
        sum(
            len(test.examples)
            for name in MODULES
            for test in finder.find(importlib.import_module(name))
        )
        > 0
    )


@pytest.mark.parametrize(
    "package",
    [smruntime_core, smruntime_transports, smruntime_local],
    ids=lambda package: package.__name__,
)
def test_map_in_contributing_names_every_entry_of_a_package(package: ModuleType) -> None:
    section = MAP.read_text("utf-8").partition(f"{package.__name__}/   ")[2].partition("\n\n")[0]
    named = {
        word
        for line in section.splitlines()
        for word in re.findall(r"\w+", re.split(r"(?<=\S) {3,}", line)[0])
    }
    missing = {module.name for module in pkgutil.iter_modules(package.__path__)} - named
    assert not missing, f"add to the map in CONTRIBUTING.md: {sorted(missing)}"


@pytest.mark.parametrize("name", [name for name in ALL_MODULES if is_package(name)])
def test_package_docstring_names_every_private_module(name: str) -> None:
    package = importlib.import_module(name)
    modules = [
        info.name
        for info in pkgutil.iter_modules(package.__path__)
        if info.name.startswith("_") and info.name != "__main__"
    ]
    missing = [
        module for module in modules if not re.search(rf"\b{module}\b", package.__doc__ or "")
    ]
    assert not missing or not name.endswith(GUIDED), (
        f"the docstring of {name} does not mention {missing}"
    )


CITING_FILES = (
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "smruntime_core" / "testing" / "_faults.py",
)


@pytest.mark.parametrize("path", CITING_FILES, ids=lambda path: path.name)
def test_cited_tests_exist(path: Path) -> None:
    test_sources = {source.name: source.read_text("utf-8") for source in TESTS.glob("test_*.py")}
    # a page may define tests itself, those of docs/testing.md
    all_tests = "\n".join([*test_sources.values(), path.read_text("utf-8")])
    for file_name, test in re.findall(
        r"(?:\b(test_\w+\.py)(?:::)?)?(?:\b(test_\w+)\b(?!\.py))?", path.read_text("utf-8")
    ):
        if file_name:
            assert file_name in test_sources, f"{path.name} cites {file_name}"
        if test:
            source = test_sources[file_name] if file_name else all_tests
            assert re.search(rf"def {test}\b", source), f"{path.name} cites {file_name}::{test}"
