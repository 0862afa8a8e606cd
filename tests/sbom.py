"""Check the software bill of materials that `make sbom` writes: `python -m tests.sbom FILE`.

It must name this distribution with version and license, a version for every package that an extra
installs, and nothing that changes from run to run. The exit status is 1 if it does not.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .release_check import ROOT, read_version


def find_problems(
    bill: Mapping[str, Any], project: Mapping[str, Any], version: str
) -> Iterator[str]:
    """Find what a bill of materials lacks, given the table [project] of `pyproject.toml`."""
    main = bill["metadata"]["component"]
    if (main["name"], main.get("version")) != (project["name"], version):
        yield f"it names {main['name']} {main.get('version')}, not {project['name']} {version}"
    if project["license"] not in json.dumps(main.get("licenses")):
        yield f"it does not name the license of {project['name']}, {project['license']}"
    if "serialNumber" in bill or "timestamp" in bill["metadata"] or "file://" in json.dumps(bill):
        yield "it holds a serial number, a time or a path: pass --output-reproducible"
    components = {canonicalize_name(part["name"]): part for part in bill["components"]}
    for name, component in components.items():
        lacking = [key for key in ("version", "purl", "licenses") if not component.get(key)]
        if lacking:
            yield f"{name} has no {', '.join(lacking)}"
    for extra, requirements in project["optional-dependencies"].items():
        for requirement in map(Requirement, requirements):
            found = components.get(canonicalize_name(requirement.name), {}).get("version")
            if not found or not requirement.specifier.contains(found, prereleases=True):
                yield f"{requirement} of the extra {extra!r} is missing: run `make lock`"


def main(path: Path) -> int:
    """Return the exit status."""
    content = path.read_bytes()
    bill = json.loads(content)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    problems = list(find_problems(bill, project, read_version()))
    for problem in problems:
        print(f"sbom: {path}: {problem}")
    print(f"{hashlib.sha256(content).hexdigest()}  {path}: {len(bill['components'])} packages")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
