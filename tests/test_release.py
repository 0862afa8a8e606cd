"""`make release-check` finds what is wrong with a release; each mutation of a good one is named.

The first part changes lists of names and metadata. The second changes copies of this tree and runs
the whole check there; it takes too long for CI, `make test-all` runs it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from packaging.metadata import Metadata

from .release_check import (
    PACKAGES,
    ROOT,
    Head,
    check_build_pins,
    check_entry_points,
    check_metadata,
    check_sdist_files,
    check_version,
    check_wheel_files,
    compare_archives,
)
from .sbom import find_problems as find_sbom_problems

ONLY_THERE = pytest.mark.skipif(
    "RELEASE_MUTATIONS" not in os.environ, reason="takes too long for CI; see `make test-all`"
)
TRACKED = {
    "LICENSE",
    "README.md",
    *(f"{folder}/{name}" for folder in PACKAGES.values() for name in ("__init__.py", "py.typed")),
    "transports/smruntime_transports/cli.py",
    "transports/smruntime_local/pytest_plugin.py",
}
INFO = "smruntime_core-1.2.3.dist-info"
WHEEL = {
    *(f"{package}/{name}" for package in PACKAGES for name in ("__init__.py", "py.typed")),
    "smruntime_transports/cli.py",
    "smruntime_local/pytest_plugin.py",
    *(f"{INFO}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")),
    f"{INFO}/licenses/LICENSE",
}
SDIST = {f"smruntime_core-1.2.3/{name}" for name in TRACKED | {"PKG-INFO"}}
PROJECT: dict[str, Any] = {
    "build-system": {"requires": ["hatchling==1.33.0"]},
    "project": {
        "name": "smruntime-core",
        "license": "Apache-2.0",
        "requires-python": ">=3.11",
        "scripts": {"smruntime": "smruntime_transports.cli:main"},
        "entry-points": {"pytest11": {"smruntime": "smruntime_local.pytest_plugin"}},
        "optional-dependencies": {"local": ["h11>=0.16"]},
    },
}
LOCK = "hatchling==1.33.0 \\\n    --hash=sha256:0123\n"
METADATA = """\
Metadata-Version: 2.4
Name: smruntime-core
Version: 1.2.3
License-Expression: Apache-2.0
License-File: LICENSE
Project-URL: Source, https://example.com/source
Classifier: Typing :: Typed
Requires-Python: >=3.11
Provides-Extra: local
Requires-Dist: h11>=0.16; extra == 'local'
Description-Content-Type: text/markdown

# A title
"""
ENTRY_POINTS = """\
[console_scripts]
smruntime = smruntime_transports.cli:main

[pytest11]
smruntime = smruntime_local.pytest_plugin
"""
CITATION = "cff-version: 1.2.0\nversion: 1.2.3\nlicense: Apache-2.0\n"
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2027-01-02\n"
UNTAGGED = Head([], ["README.md"])
TAGGED = Head(["v1.2.3"], [])


def changed_project(*path: str, to: object) -> dict[str, Any]:
    """Return a copy of the project in which the value at that path is another one."""
    project = deepcopy(PROJECT)
    table = project
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = to
    return project


def metadata_problems(text: str, project: dict[str, Any] = PROJECT) -> list[str]:
    return list(check_metadata(Metadata.from_email(text.encode()), project))


def test_good_release_has_no_problems() -> None:
    problems = [
        *check_build_pins(PROJECT, LOCK),
        *check_wheel_files(WHEEL, TRACKED, "1.2.3"),
        *check_sdist_files(SDIST, TRACKED, "1.2.3"),
        *metadata_problems(METADATA),
        *check_entry_points(ENTRY_POINTS, PROJECT, WHEEL),
        *check_version("1.2.3", "1.2.3", CITATION, CHANGELOG, TAGGED),
        *check_version("1.2.3", "1.2.3", CITATION, CHANGELOG, UNTAGGED),
    ]
    assert problems == []


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        ("hatchling", "write hatchling==VERSION"),
        ("hatchling>=1.33.0", "is not pinned"),
        ("hatchling==1.*", "is not pinned"),
        ("hatchling==1.34.0", "tools/locks/build.txt does not lock hatchling==1.34.0"),
    ],
)
def test_build_requirement_that_is_not_pinned_and_locked_is_named(
    requirement: str, problem: str
) -> None:
    project = changed_project("build-system", "requires", to=[requirement])
    (found,) = check_build_pins(project, LOCK)
    assert problem in found
    assert found.endswith("run `make lock`")


def test_lock_without_hashes_is_named() -> None:
    (found,) = check_build_pins(PROJECT, "hatchling==1.33.0\n")
    assert found.startswith("tools/locks/build.txt")


@pytest.mark.parametrize(
    "stray", ["smruntime_core/notes.txt", "tests/__init__.py", "smruntime_extra/__init__.py"]
)
def test_stray_file_or_package_in_the_wheel_is_named(stray: str) -> None:
    (found,) = check_wheel_files(WHEEL | {stray}, TRACKED, "1.2.3")
    assert found.startswith(f"the wheel holds {stray}, which git does not track")


def test_tracked_file_that_is_no_module_is_found() -> None:
    notes = "smruntime_core/notes.txt"
    (found,) = check_wheel_files(WHEEL | {notes}, TRACKED | {notes}, "1.2.3")
    assert "smruntime_core/notes.txt, which is no module" in found


@pytest.mark.parametrize("missing", sorted(WHEEL))
def test_each_file_that_the_wheel_lacks_is_named(missing: str) -> None:
    (found,) = check_wheel_files(WHEEL - {missing}, TRACKED, "1.2.3")
    assert found.startswith(f"the wheel lacks {missing}:")


@pytest.mark.parametrize("folder", PACKAGES.values())
def test_package_without_py_typed_is_named(folder: str) -> None:
    marker = f"{folder}/py.typed"
    found = check_wheel_files(WHEEL - {marker}, TRACKED - {marker}, "1.2.3")
    assert any(problem.startswith(f"{marker} is not tracked") for problem in found)


@pytest.mark.parametrize("name", ["LICENSE", "PKG-INFO", "README.md"])
def test_each_file_that_the_sdist_lacks_is_named(name: str) -> None:
    tracked = TRACKED - {"LICENSE"} if name == "LICENSE" else TRACKED  # removed from git, too
    (found,) = check_sdist_files(SDIST - {f"smruntime_core-1.2.3/{name}"}, tracked, "1.2.3")
    assert found.startswith(f"the sdist lacks {name}:")


@pytest.mark.parametrize(
    ("stray", "shown"),
    [
        ("smruntime_core-1.2.3/build/site/index.html", "build/site/index.html, which git"),
        ("smruntime_core-1.2.4/README.md", "smruntime_core-1.2.4/README.md outside"),
    ],
)
def test_stray_file_in_the_sdist_is_named(stray: str, shown: str) -> None:
    (found,) = check_sdist_files(SDIST | {stray}, TRACKED, "1.2.3")
    assert found.startswith(f"the sdist holds {shown}")


@pytest.mark.parametrize(
    ("line", "other_line", "problem"),
    [
        ("Name: smruntime-core", "Name: smruntime", "the name is 'smruntime'"),
        ("Requires-Python: >=3.11", "Requires-Python: >=3.9", "has Requires-Python >=3.9"),
        ("License-File: LICENSE\n", "", "does not name Apache-2.0 and LICENSE"),
        ("License-Expression: Apache-2.0\n", "", "does not name Apache-2.0 and LICENSE"),
        ("# A title\n", "", "has no long description"),
        ("text/markdown", "text/plain", "has no long description"),
        ("Project-URL: Source, https://example.com/source\n", "", "has no [project.urls]"),
        ("https://example.com/source", "file:///tmp", "'Source' is 'file:///tmp'"),
        ("Typing :: Typed", "Typing :: Typewritten", "'Typing :: Typewritten' does not exist"),
        ("Provides-Extra: local\n", "Provides-Extra: loc\n", "the extra 'local' is not both in"),
        ("; extra == 'local'", "", "h11 is a dependency outside the extras"),
        ("; extra == 'local'", "; python_version < '3.12'", "h11 is a dependency outside the"),
    ],
)
def test_wrong_metadata_is_named_with_its_file(line: str, other_line: str, problem: str) -> None:
    assert line in METADATA
    found = metadata_problems(METADATA.replace(line, other_line))
    assert any(problem in text for text in found), found
    assert all(re.search(r"METADATA|pyproject\.toml", text) for text in found)


@pytest.mark.parametrize(
    ("text", "wheel", "problem"),
    [
        ("", WHEEL, "is not both in the wheel and in pyproject.toml"),
        (ENTRY_POINTS + "other = os:abort\n", WHEEL, "the entry point os:abort"),
        (ENTRY_POINTS, WHEEL - {"smruntime_transports/cli.py"}, "names no module of the wheel"),
    ],
)
def test_wrong_entry_point_is_named(text: str, wheel: set[str], problem: str) -> None:
    found = list(check_entry_points(text, PROJECT, wheel))
    assert found and all(problem in text for text in found)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("1.2.4", "1.2.3", CITATION.replace("1.2.3", "1.2.4"), CHANGELOG, UNTAGGED), "METADATA"),
        (("1.2.4", "1.2.4", CITATION, CHANGELOG, UNTAGGED), "CITATION.cff has 1.2.3"),
        (
            ("1.2.3", "1.2.3", "\nlicense: Apache-2.0\n", CHANGELOG, UNTAGGED),
            "CITATION.cff has no version",
        ),
        (("1.2.3", "1.2.3", None, CHANGELOG, UNTAGGED), "CITATION.cff is missing"),
        (("1.2.3", "1.2.3", "version: 1.2.3\n", CHANGELOG, UNTAGGED), "CITATION.cff is missing"),
        (("1.2.3", "1.2.3", CITATION, CHANGELOG, Head(["vnext"], [])), "has the tag vnext"),
        (("1.2.3", "1.2.3", CITATION, "# Changelog\n", UNTAGGED), "no section '## [Unreleased]'"),
        (("1.2.3", "1.2.3", CITATION, "\n## [Unreleased]\n", TAGGED), "no section '## [1.2.3] -"),
        (("1.2.3", "1.2.3", CITATION, "\n## [1.2.3] - unreleased\n", TAGGED), "no section '##"),
        (("1.2.3", "1.2.3", CITATION, CHANGELOG, Head(["v1.2.4"], [])), "has the tag v1.2.4"),
        (("1.2.3", "1.2.3", CITATION, CHANGELOG, Head(["v1.2.3"], ["a.py"])), "a.py is not as"),
    ],
)
def test_place_that_names_another_version_is_named(arguments: Any, problem: str) -> None:
    (found,) = check_version(*arguments)
    assert problem in found


def test_archives_that_differ_are_named_with_their_files(tmp_path: Path) -> None:
    def make_archive(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "same.py").write_text("same")
        (folder / "module.py").write_text(name)
        return Path(shutil.make_archive(str(folder), "gztar", folder))

    (found,) = compare_archives(make_archive("one"), make_archive("two"), "of the second copy")
    assert re.search(r"two\.tar\.gz of the second copy differs .* in \./module\.py:", found), found


COMPONENT = {"name": "h11", "version": "0.16.0", "purl": "pkg:pypi/h11@0.16.0", "licenses": [{}]}
BILL: dict[str, Any] = {
    "metadata": {
        "component": {
            "name": "smruntime-core",
            "version": "1.2.3",
            "licenses": [{"license": {"id": "Apache-2.0"}}],
        }
    },
    "components": [COMPONENT],
}
MAIN = BILL["metadata"]["component"]


@pytest.mark.parametrize(
    ("bill", "problem"),
    [
        ({"metadata": {"component": {**MAIN, "version": "1.2.4"}}}, "smruntime-core 1.2.4, not"),
        ({"metadata": {"component": {**MAIN, "licenses": []}}}, "does not name the license"),
        ({"metadata": {**BILL["metadata"], "timestamp": "2027-01-02"}}, "a serial number, a time"),
        ({"serialNumber": "urn:uuid:0"}, "a serial number, a time"),
        ({"components": []}, "h11>=0.16 of the extra 'local' is missing"),
        ({"components": [{**COMPONENT, "version": "0.15.0"}]}, "h11>=0.16 of the extra 'local'"),
        ({"components": [{**COMPONENT, "purl": ""}]}, "h11 has no purl"),
    ],
)
def test_bill_of_materials_that_lacks_something_is_refused(
    bill: dict[str, Any], problem: str
) -> None:
    assert list(find_sbom_problems(BILL, PROJECT["project"], "1.2.3")) == []
    (found,) = find_sbom_problems({**BILL, **bill}, PROJECT["project"], "1.2.3")
    assert problem in found


# The whole check, on changed copies of this tree

Mutation: TypeAlias = Callable[[Path], object]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a clone of this tree with what is not committed yet, committed there."""
    clone = tmp_path / "clone"
    git("clone", "--quiet", str(ROOT), str(clone), cwd=tmp_path)
    listing = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in listing.split("\0")[:-1]:
        if (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
        else:
            (clone / name).unlink()
    git("add", "--all", cwd=clone)
    return clone


def git(*arguments: str, cwd: Path) -> str:
    command = ("git", *arguments)
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


def check_copy(clone: Path) -> subprocess.CompletedProcess[str]:
    """Run `make release-check` in a clone, with the environment of this tree."""
    subprocess.run([ROOT / "tools" / "make-release-venv"], cwd=ROOT, check=True)
    command = (ROOT / ".venv-release" / "bin" / "python", "-m", "tests.release_check")
    return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)


def edit(name: str, pattern: str, replacement: str) -> Mutation:
    """Return a change of a file in a clone, which must change something."""

    def change(clone: Path) -> None:
        text = (clone / name).read_text("utf-8")
        changed = re.sub(pattern, replacement, text, count=1)
        assert changed != text
        (clone / name).write_text(changed, "utf-8")

    return change


def add(name: str) -> Mutation:
    """Return the addition of a file to a clone, not tracked by git."""

    def change(clone: Path) -> None:
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text("", "utf-8")

    return change


MUTATIONS: dict[str, tuple[Mutation, str]] = {
    "stray file": (
        add("smruntime_core/stray.txt"),
        "the wheel holds smruntime_core/stray.txt, which git does not track",
    ),
    "stray package": (
        edit("pyproject.toml", r'packages = \["smruntime_core"', r'packages = ["tests"'),
        "the wheel holds tests/conftest.py, which git does not track",
    ),
    "changed version": (
        edit("smruntime_core/values/_version.py", r"VERSION = .*", 'VERSION = "9.9.9"'),
        "CITATION.cff has ",
    ),
    "missing license": (lambda clone: (clone / "LICENSE").unlink(), "the sdist lacks LICENSE"),
    "removed license": (
        lambda clone: git("rm", "-f", "LICENSE", cwd=clone),
        "METADATA does not name Apache-2.0 and LICENSE",
    ),
    "unpinned build": (
        edit("pyproject.toml", r'requires = \["hatchling==[\d.]+"', 'requires = ["hatchling"'),
        "the build requirement 'hatchling' is not pinned",
    ),
    "broken description": (
        edit("pyproject.toml", r'content-type = "text/markdown"', 'content-type = "text/x-rst"'),
        "twine refuses the metadata",
    ),
    "empty description": (
        lambda clone: (clone / "README.md").write_text(""),
        "METADATA has no long description",
    ),
    "dependency of the core": (
        edit("pyproject.toml", r"dependencies = \[\]", 'dependencies = ["requests"]'),
        "requests is a dependency outside the extras",
    ),
    "broken module": (
        edit("smruntime_core/effects.py", r"(?m)^from __future__.*$", r"\g<0>\nimport no_such"),
        "tests/release_smoke.py fails",
    ),
}


@ONLY_THERE
def test_this_tree_can_be_released_twice_with_equal_hashes(copy: Path) -> None:
    first, second = check_copy(copy), check_copy(copy)
    assert first.returncode == 0, first.stdout
    assert len(re.findall(r"(?m)^[0-9a-f]{64}  ", first.stdout)) == 2
    assert first.stdout == second.stdout


@ONLY_THERE
@pytest.mark.parametrize("name", MUTATIONS)
def test_changed_release_is_refused_with_a_sentence(copy: Path, name: str) -> None:
    change, sentence = MUTATIONS[name]
    change(copy)
    completed = check_copy(copy)
    assert completed.returncode == 1, completed.stdout + completed.stderr
    problems = re.findall(r"(?m)^release-check: (.*)$", completed.stdout)
    assert any(sentence in problem for problem in problems), completed.stdout
    assert "Traceback" not in completed.stderr
    assert not (copy / "build" / "release").exists()
