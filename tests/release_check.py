"""Check that this tree can be released, and leave sdist and wheel in build/release.

    make release-check

1. Build sdist and wheel in two clean copies of the tree, which differ in folder, umask, file times
   and time zone, and the wheel once more from the unpacked sdist: all must be equal byte for byte.
2. Compare their files with those that git tracks, and their metadata with `pyproject.toml`.
3. Install both in empty environments, far from the tree, and run `tests/release_smoke.py` there.

Each problem is one sentence that names a file and the remedy; the exit status is then 1.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from trove_classifiers import classifiers as valid_classifiers

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "build" / "release"
LOCK = "tools/locks/build.txt"
VERSION_FILE = "smruntime_core/values/_version.py"
PACKAGES = {  # each package of the wheel, with its folder in the tree
    "smruntime_core": "smruntime_core",
    "smruntime_transports": "transports/smruntime_transports",
    "smruntime_local": "transports/smruntime_local",
}
DIST_INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
ROOT_ENTRIES = frozenset(  # what the sdist may hold at its top, beside PKG-INFO
    (
        *(".ci", ".editorconfig", ".gitattributes", ".github", ".gitignore"),
        *(".pre-commit-config.yaml", "CHANGELOG.md", "CITATION.cff", "CODE_OF_CONDUCT.md"),
        *("CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md", "pyproject.toml"),
        *("benchmarks", "docs", "examples", "fuzz", "smruntime_core", "tests", "tools"),
        "transports",
    )
)
BINARY = (".png", ".gz", ".parquet", ".npy")
ENTRY_POINTS = {"smruntime_transports.cli:main", "smruntime_local.pytest_plugin"}
DATA_FILES = ("smruntime_local/models/iris.csv",)  # what packages hold beside modules
OTHER_TIME = 978_307_200  # of the files in the second copy: the year 2001

Problems: TypeAlias = Iterator[str]
Project: TypeAlias = Mapping[str, Any]  # what pyproject.toml holds


class ReleaseError(Exception):
    """A step that failed, so that later ones have nothing to check."""


class Builds(NamedTuple):
    """The two archives of one build."""

    sdist: Path
    wheel: Path


class Head(NamedTuple):
    """The version tags of HEAD, and the tracked files that differ from it."""

    tags: list[str]
    changed_files: list[str]


# What is compared, without files and processes


def check_build_pins(project: Project, lock: str) -> Problems:
    """Find requirements of the build that are not pinned, or not in the lock with their hashes."""
    for requirement in project["build-system"]["requires"]:
        name = Requirement(requirement).name
        if not re.fullmatch(r"[\w.-]+==[\w.]+", requirement):
            yield (
                f"pyproject.toml: the build requirement {requirement!r} is not pinned: "
                f"write {name}==VERSION and run `make lock`"
            )
        elif not re.search(rf"(?m)^{re.escape(requirement)} \\\n +--hash=sha256:", lock):
            yield f"{LOCK} does not lock {requirement} with its hashes: run `make lock`"


def check_wheel_files(names: Collection[str], tracked: Collection[str], version: str) -> Problems:
    """Find differences between a wheel and the tracked files of the three packages."""
    info = f"smruntime_core-{version}.dist-info"
    expected = {f"{info}/{name}" for name in DIST_INFO}
    for package, folder in PACKAGES.items():
        files = {name for name in tracked if name.startswith(f"{folder}/")}
        expected |= {package + name.removeprefix(folder) for name in files}
        if f"{folder}/py.typed" not in files:
            yield f"{folder}/py.typed is not tracked: type checkers need it, `git add` it"
    for name in sorted(set(names) - expected):
        yield f"the wheel holds {name}, which git does not track: remove it or `git add` it"
    for name in sorted(set(names) & expected):
        if not name.endswith((".py", "/py.typed", *DATA_FILES)) and not name.startswith(info):
            yield f"the wheel holds {name}, which is no module: remove it or add it to DATA_FILES"
    for name in sorted(expected - set(names)):
        yield f"the wheel lacks {name}: restore it, and see [tool.hatch.build] in pyproject.toml"


def check_sdist_files(names: Collection[str], tracked: Collection[str], version: str) -> Problems:
    """Find differences between an sdist and the tracked files; tests and docs belong to it."""
    root = f"smruntime_core-{version}/"
    for name in sorted(name for name in names if not name.startswith(root)):
        yield f"the sdist holds {name} outside {root}: see [tool.hatch.build] in pyproject.toml"
    found = {name.removeprefix(root) for name in names if name.startswith(root)}
    expected = {*tracked, "PKG-INFO", "LICENSE"}
    for name in sorted(found - expected):
        yield f"the sdist holds {name}, which git does not track: remove it or `git add` it"
    for name in sorted({name.partition("/")[0] for name in tracked} - ROOT_ENTRIES):
        yield f"{name} is tracked: remove it, or add it to ROOT_ENTRIES in tests/release_check.py"
    for name in sorted(tracked):
        if name.startswith("transports/") and not name.startswith((*PACKAGES.values(),)):
            yield f"{name} belongs to no package of the wheel: remove it"
    for name in sorted(expected - found):
        yield f"the sdist lacks {name}: restore it, and see [tool.hatch.build] in pyproject.toml"


def check_metadata(metadata: Metadata, project: Project) -> Problems:
    """Find metadata that differs from `pyproject.toml`, or that an index or a reader would miss."""
    table = project["project"]
    if metadata.name != "smruntime-core":
        yield f"pyproject.toml: the name is {metadata.name!r}: it must be 'smruntime-core'"
    if str(metadata.requires_python) != table["requires-python"]:
        yield (
            f"METADATA has Requires-Python {metadata.requires_python}, pyproject.toml has "
            f"{table['requires-python']}: they must be equal"
        )
    if str(metadata.license_expression) != "Apache-2.0" or metadata.license_files != ["LICENSE"]:
        yield "METADATA does not name Apache-2.0 and LICENSE: set both in pyproject.toml"
    if not metadata.description or metadata.description_content_type != "text/markdown":
        yield "METADATA has no long description: see fancy-pypi-readme in pyproject.toml"
    for target in re.findall(r"\]\((?!https?:|#)([^)]*)\)", metadata.description or ""):
        yield f"the long description links to {target}, which an index lacks: see fancy-pypi-readme"
    yield from _check_requirements(metadata, table["optional-dependencies"])
    yield from _check_urls(metadata.project_urls or {})
    for classifier in sorted(set(metadata.classifiers or ()) - valid_classifiers):
        yield f"pyproject.toml: the classifier {classifier!r} does not exist: see trove-classifiers"


def _check_requirements(metadata: Metadata, extras: Mapping[str, list[str]]) -> Problems:
    found_extras = set(metadata.provides_extra or ())
    for extra in sorted({canonicalize_name(name) for name in extras} ^ found_extras):
        yield (
            f"the extra {extra!r} is not both in METADATA and in [project.optional-dependencies] "
            "of pyproject.toml"
        )
    for requirement in metadata.requires_dist or ():
        if "extra ==" not in str(requirement.marker):
            yield (
                f"pyproject.toml: {requirement.name} is a dependency outside the extras: "
                "move it to [project.optional-dependencies]"
            )


def _check_urls(urls: Mapping[str, str]) -> Problems:
    if not urls:
        yield "pyproject.toml has no [project.urls]: name at least the source"
    for label, url in urls.items():
        if not re.fullmatch(r"https://[\w.-]+\.\w+(/\S*)?", url):
            yield f"pyproject.toml: the URL of {label!r} is {url!r}: it must begin with https://"


def check_entry_points(text: str, project: Project, wheel_names: Collection[str]) -> Problems:
    """Find entry points that differ from `pyproject.toml`, or that name no module of the wheel."""
    table = project["project"]
    groups = {"console_scripts": table["scripts"], **table.get("entry-points", {})}
    expected = {target for group in groups.values() for target in group.values()}
    found = set(re.findall(r"(?m)^\S+ = (\S+)$", text))
    for target in sorted(ENTRY_POINTS - expected):
        yield f"pyproject.toml lacks the entry point {target}: restore it"
    for target in sorted(expected ^ found):
        yield f"the entry point {target} is not both in the wheel and in pyproject.toml"
    for target in sorted(expected):
        path = target.partition(":")[0].replace(".", "/")
        if not {f"{path}.py", f"{path}/__init__.py"} & set(wheel_names):
            yield f"pyproject.toml: the entry point {target} names no module of the wheel"


def check_version(
    version: str, metadata_version: str, citation: str | None, changelog: str, head: Head
) -> Problems:
    """Find places that name another version than `VERSION_FILE`.

    A version tag asks for a section with a date in CHANGELOG.md, a tree without one for that or the
    section of what is not released.
    """
    if metadata_version != version:
        yield f"METADATA has version {metadata_version}, {VERSION_FILE} has {version}"
    if citation is None or "\nlicense: Apache-2.0\n" not in citation:
        yield "CITATION.cff is missing, or does not name the license Apache-2.0: restore it"
    else:
        cited = re.findall(r'(?m)^version: *["\']?([^"\'\s]*)', citation)
        if cited != [version]:
            shown = " and ".join(cited) or "no version"
            yield f"CITATION.cff has {shown}, {VERSION_FILE} has {version}: make them equal"
    for tag in head.tags:
        if tag != f"v{version}":
            yield f"HEAD has the tag {tag}, {VERSION_FILE} has {version}: make them equal"
        if head.changed_files:
            yield f"{head.changed_files[0]} is not as {tag} has it: commit it and tag that commit"
    section = rf"(?m)^## \[{re.escape(version)}\] - \d{{4}}-[01]\d-[0-3]\d$"
    has_section = re.search(section, changelog) is not None
    if head.tags and not has_section:
        yield f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD': add it"
    if not (head.tags or has_section or "\n## [Unreleased]" in changelog):
        yield "CHANGELOG.md has no section '## [Unreleased]': add it"


# What is done with files and processes


def run_command(
    *command: str | Path, cwd: Path, failure: str, umask: int = -1, **environment: str
) -> str:
    """Return the output of a command, run without variables that would change its result."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "AWS_", "SMRUNTIME_", "SOURCE_DATE_EPOCH"))
    }
    completed = subprocess.run(
        command,
        cwd=cwd,
        env={**kept, **environment},
        umask=umask,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if completed.returncode:
        print(completed.stdout)
        raise ReleaseError(failure)
    return completed.stdout


def check_files(names: Collection[str]) -> Problems:
    """Find tracked files that would differ elsewhere, and a license with another text."""
    for name in sorted(names):
        path = ROOT / name
        if path.is_symlink():
            yield f"{name} is a symbolic link: an archive holds what it points to, so replace it"
        elif b"\r\n" in path.read_bytes() and path.suffix not in BINARY:
            yield f"{name} has lines that end in CRLF: write LF"
    lines = (ROOT / "LICENSE").read_text("utf-8").split() if "LICENSE" in names else []
    if lines[:5] != ["Apache", "License", "Version", "2.0,", "January"]:
        yield "LICENSE is not the Apache License 2.0: restore it"


def list_files(*options: str) -> list[str]:
    """Return the names of `git ls-files`."""
    failure = f"{ROOT} is not a git clone: run `make release-check` in one"
    listing = run_command("git", "ls-files", "-z", *options, cwd=ROOT, failure=failure)
    return listing.split("\0")[:-1]


def copy_tree(names: Collection[str], target: Path, *, umask: int, time: int | None) -> None:
    """Copy files of the tree with the permissions that `umask` leaves, and set their times."""
    for name in names:
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        copy.chmod((0o777 if os.access(source, os.X_OK) else 0o666) & ~umask)
        if time is not None:
            os.utime(copy, (time, time))


def build_archives(
    tree: Path, output: Path, *options: str, umask: int = 0o022, **environment: str
) -> Path:
    """Build in a tree, with the backend of this environment; return the folder of the archives."""
    command = (sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(output))
    failure = "pyproject.toml: the build fails: correct what its output above names"
    run_command(*command, cwd=tree, failure=failure, umask=umask, **environment)
    return output


def build_twice(folder: Path, names: Collection[str]) -> tuple[Builds, Builds, Path]:
    """Build in two copies of the tree that differ in what must not matter.

    Return both builds, and the wheel that is built from the first sdist.
    """
    both = ("--sdist", "--wheel")
    first, second = folder / "first" / "tree", folder / "second" / "a longer name"
    copy_tree(names, first, umask=0o022, time=None)
    copy_tree(names, second, umask=0o077, time=OTHER_TIME)
    build = find_builds(build_archives(first, folder / "1", *both, TZ="UTC"))
    changed = {"TZ": "Asia/Kathmandu", "LC_ALL": "C"}
    other = find_builds(build_archives(second, folder / "2", *both, umask=0o077, **changed))
    with tarfile.open(build.sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    (wheel,) = build_archives(unpacked, folder / "3", "--wheel").glob("*.whl")
    return build, other, wheel


def find_builds(folder: Path) -> Builds:
    """Return the archives in a folder that has one of each kind."""
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Builds(sdist, wheel)


def read_archive(path: Path) -> dict[str, bytes]:
    """Return the contents of the files in a wheel or sdist."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(path) as sdist:
        files = {member.name: sdist.extractfile(member) for member in sdist if member.isfile()}
        return {name: file.read() for name, file in files.items() if file}


def compare_archives(first: Path, other: Path, origin: str) -> Problems:
    """Find differences between two archives; `origin` says where the other comes from."""
    if first.read_bytes() == other.read_bytes():
        return
    files, others = read_archive(first), read_archive(other)
    names = [name for name in files | others if files.get(name) != others.get(name)]
    yield (
        f"{other.name} {origin} differs from that of the first copy, in "
        f"{', '.join(names[:3]) or 'order, times or permissions'}: the build may depend on the "
        "tracked files only, see [tool.hatch] in pyproject.toml"
    )


def find_problems(builds: Builds, tracked: Collection[str], project: Project) -> Problems:
    """Find problems of two archives without installing them."""
    wheel, sdist = read_archive(builds.wheel), read_archive(builds.sdist)
    (metadata_name,) = (name for name in wheel if name.endswith(".dist-info/METADATA"))
    metadata = Metadata.from_email(wheel[metadata_name])
    version = str(metadata.version)
    yield from check_wheel_files(wheel, tracked, version)
    yield from check_sdist_files(sdist, tracked, version)
    yield from check_metadata(metadata, project)
    if sdist.get(f"smruntime_core-{version}/PKG-INFO") != wheel[metadata_name]:
        yield "PKG-INFO of the sdist differs from METADATA of the wheel: see pyproject.toml"
    entry_points = metadata_name.replace("METADATA", "entry_points.txt")
    yield from check_entry_points(wheel.get(entry_points, b"").decode(), project, wheel)
    citation = ROOT / "CITATION.cff"
    cited = citation.read_text("utf-8") if citation.exists() else None
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    yield from check_version(read_version(), version, cited, changelog, read_head())
    yield from check_rendering(builds)


def check_rendering(builds: Builds) -> Problems:
    """Find what an index would refuse, such as a long description that does not render."""
    failure = "twine refuses the metadata, see above: correct README.md or pyproject.toml"
    try:
        command = (sys.executable, "-m", "twine", "check", "--strict")
        run_command(*command, *builds, cwd=ROOT, failure=failure, NO_COLOR="1")
    except ReleaseError as error:
        yield str(error)


def read_version() -> str:
    """Return the version that `smruntime_core.__version__` has."""
    match = re.search(r'(?m)^VERSION = "(.+)"$', (ROOT / VERSION_FILE).read_text("utf-8"))
    if match is None:
        raise ReleaseError(f'{VERSION_FILE} has no line VERSION = "…": write it')
    return match[1]


def read_head() -> Head:
    """Return what git knows of HEAD."""
    failure = "git cannot read HEAD: see above"
    tags = run_command("git", "tag", "--points-at", "HEAD", cwd=ROOT, failure=failure).split()
    diff = ("git", "diff", "--name-only", "HEAD")
    changed_files = run_command(*diff, cwd=ROOT, failure=failure).splitlines()
    return Head([tag for tag in tags if tag.startswith("v")], changed_files)


def try_installed(folder: Path, archive: Path, extra: str, *options: str) -> None:
    """Install an archive in an empty environment and run the smoke test there."""
    environment = folder / f"environment of the {'wheel' if archive.suffix == '.whl' else 'sdist'}"
    python = environment / "bin" / "python"
    create = (sys.executable, "-m", "venv", "--without-pip", str(environment))
    run_command(*create, cwd=folder, failure="an empty environment cannot be created: see above")
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-cache-dir",
        *options,
    )
    failure = f"{archive.name} cannot be installed in an empty environment: see above"
    run_command(*pip, *options, f"{archive}{extra and f'[{extra}]'}", cwd=folder, failure=failure)
    smoke = shutil.copy(ROOT / "tests" / "release_smoke.py", folder)
    failure = f"{archive.name} is installed, but tests/release_smoke.py fails: see above"
    print(run_command(python, "-I", smoke, *extra.split(), cwd=folder, failure=failure), end="")


def check_release(folder: Path, problems: list[str]) -> None:
    """Append the problems of this tree; copies, builds and environments are made in `folder`."""
    tracked = list_files()
    missing = [name for name in tracked if not (ROOT / name).exists()]
    problems += [f"{name} is tracked, but missing: restore it or `git rm` it" for name in missing]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    problems += check_files(set(tracked) - set(missing))
    problems += check_build_pins(project, (ROOT / LOCK).read_text("utf-8"))
    # files that git would track are copied too: a stray one gets into the archives and is found
    present = {*tracked, *list_files("--others", "--exclude-standard")} - set(missing)
    first, second, from_sdist = build_twice(folder, present)
    problems += compare_archives(first.sdist, second.sdist, "of the second copy")
    problems += compare_archives(first.wheel, second.wheel, "of the second copy")
    problems += compare_archives(first.wheel, from_sdist, "built from the sdist")
    print("compared two builds in different folders, and the wheel that the sdist builds")
    problems += find_problems(first, tracked, project)
    print(f"compared files, metadata and version {read_version()} with git and pyproject.toml")
    if not problems:
        try_installed(folder, first.wheel, "", "--no-index")
        try_installed(folder, first.sdist, "local")
        OUTPUT.mkdir(parents=True)
        for archive in first:
            shutil.copy(archive, OUTPUT)
            print(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}")


def main() -> int:
    """Return the exit status."""
    shutil.rmtree(OUTPUT, ignore_errors=True)  # nothing that failed may be uploaded
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            check_release(Path(folder), problems)
        except ReleaseError as error:
            problems.append(str(error))
        except KeyError as error:
            problems.append(f"pyproject.toml has no table {error}: restore it")
        except OSError as error:
            problems.append(f"{error.filename} cannot be read ({error.strerror}): restore it")
    for problem in problems:
        print(f"release-check: {problem}")
    if not problems:
        print(f"release-check: all is well, the archives are in {OUTPUT.relative_to(ROOT)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
