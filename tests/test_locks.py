"""The locks of `make lock` fit `pyproject.toml` and name no place to install from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "tools" / "locks"
find_pins = re.compile(r"(?m)^([\w.-]+)==([^ ;\\]+)").findall


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pins_of_group(groups: dict[str, list[Any]], name: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for entry in groups[name]:
        if isinstance(entry, dict):
            found |= pins_of_group(groups, entry["include-group"])
        else:
            found |= set(find_pins(re.sub(r"\[\w+\]", "", entry)))
    return found


@pytest.mark.parametrize("name", ["build", "dev", "release"])
def test_lock_has_the_versions_of_its_group(project: dict[str, Any], name: str) -> None:
    locked = set(find_pins((LOCKS / f"{name}.txt").read_text("utf-8")))
    missing = pins_of_group(project["dependency-groups"], name) - locked
    assert not missing, "run `make lock`"


@pytest.mark.parametrize("name", ["build", "dev", "release", "extras"])
def test_every_locked_package_has_hashes_and_no_address(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text("utf-8")
    entries = [entry for entry in re.split(r"(?m)^(?=[\w.-]+==)", text) if entry.strip()]
    assert len(entries) > 3
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


def test_lock_of_extras_has_each_package_of_an_extra(project: dict[str, Any]) -> None:
    """The software bill of materials is that of these versions."""
    locked = dict(find_pins((LOCKS / "extras.txt").read_text("utf-8")))
    for requirements in project["project"]["optional-dependencies"].values():
        for requirement in map(Requirement, requirements):
            assert requirement.specifier.contains(locked[requirement.name]), "run `make lock`"


def test_release_is_built_with_what_the_build_locks() -> None:
    build, release = (
        (LOCKS / f"{name}.txt").read_text("utf-8").splitlines() for name in ("build", "release")
    )
    assert not set(build) - set(release), "run `make lock`"


def test_build_backend_is_pinned_as_it_is_locked(project: dict[str, Any]) -> None:
    assert project["build-system"]["requires"] == project["dependency-groups"]["build"]
