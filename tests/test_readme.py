"""The Python in README.md and docs/ runs, and every file that a page links to exists.

The Python of a page runs from top to bottom in one namespace, as a reader would type it.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import smruntime_core
import smruntime_local
from smruntime_transports.cli import main as run_command_line

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


PACKAGE_FOLDERS = os.pathsep.join(
    {str(Path(package.__file__ or "").parents[1]) for package in (smruntime_core, smruntime_local)}
)
NEEDED_PACKAGES = {"openai-sdks.md": ["openai", "httpx2"]}
PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


def test_python_of_the_readme_runs_in_an_empty_folder_and_prints_what_it_says(
    tmp_path: Path,
) -> None:
    """With the variables of `smruntime serve -- python`, as the page says."""
    blocks = PYTHON_BLOCK.findall(README.read_text("utf-8"))
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks), "utf-8")
    with smruntime_local.serve() as endpoint:
        completed = subprocess.run(
            [sys.executable, "-P", program.name],
            cwd=tmp_path,
            env={**os.environ, **endpoint.environment, "PYTHONPATH": PACKAGE_FOLDERS},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (completed.returncode, completed.stderr) == (0, "")
    printed = completed.stdout.splitlines()
    expected = [line for block in blocks for line in PRINTED.findall(block)]
    assert len(expected) >= 10
    assert [line for line in printed if line in expected] == expected, completed.stdout


@pytest.fixture(scope="module")
def endpoint_environment() -> Iterator[dict[str, str]]:
    with smruntime_local.serve() as endpoint:
        yield dict(endpoint.environment)


# a page need not close what ends with its process
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != README], ids=lambda page: page.name
)
def test_python_of_a_page_runs_and_prints_what_it_says(
    page: Path,
    endpoint_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In an empty folder, with the variables of `smruntime serve -- python`."""
    for package in NEEDED_PACKAGES.get(page.name, ()):
        pytest.importorskip(package, reason="tools/test-sdks runs this page")
    for name, value in endpoint_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    text = page.read_text("utf-8")
    namespace: dict[str, object] = {"__name__": page.stem}
    expected: list[str] = []
    for block in PYTHON_BLOCK.finditer(text):
        lines_above = text.count("\n", 0, block.start(1))  # for the line numbers of tracebacks
        code = compile("\n" * lines_above + block[1], str(page), "exec")
        exec(code, namespace)  # noqa: S102 - the page's own code is what is tested
        expected += PRINTED.findall(block[1])
    namespace.clear()
    gc.collect()  # within the scope of the filters above
    logging.getLogger("smruntime").setLevel(logging.NOTSET)  # a page may have set it
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line in expected] == expected, printed


SH_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# what a block may begin with, and where it is run instead; `smruntime` is checked here
RUN_ELSEWHERE = {
    "pip": "the tests of the wheel",
    "make": "CI",
    "git": "CI",
    "cp": "the Python below it does the same",
    "curl": "tests/test_examples.py",
}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if SH_BLOCK.search(page.read_text("utf-8"))],
    ids=lambda p: p.name,
)
def test_commands_of_a_page_run(
    page: Path,
    endpoint_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of `smruntime`; a command that it is to start is replaced by a short one."""
    for name, value in endpoint_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "row.csv").write_text("5.1,3.5,1.4,0.2\n", "utf-8")
    (tmp_path / "flowers.csv").write_text("a,b,c,d\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n", "utf-8")
    for block in SH_BLOCK.findall(page.read_text("utf-8")):
        for line in filter(None, block.splitlines()):
            program, *arguments = shlex.split(line, comments=True)
            if program != "smruntime":
                assert program in RUN_ELSEWHERE, f"{page.name}: {line}"
                continue
            if "--" in arguments:
                arguments[arguments.index("--") + 1 :] = [sys.executable, "-c", ""]
            assert run_command_line(arguments) == 0, line


@pytest.mark.parametrize("name", ["README.md", "credentials.md", "signing.md"])
def test_page_has_python(name: str) -> None:
    (page,) = [page for page in PAGES if page.name == name]
    assert PYTHON_BLOCK.search(page.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_links_only_to_files_that_exist(page: Path) -> None:
    targets = LINK.findall(page.read_text("utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing, f"{page.name} links to files that do not exist: {missing}"
