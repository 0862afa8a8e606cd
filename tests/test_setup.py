"""`tools/find-python` and `tools/make-venv` find a Python, whatever the machine has.

They run in a folder with a space in its name, with a PATH that has only the standard tools and the
stand-ins that a test makes: scripts that run this Python with another version number.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "tools"
STANDARD_TOOLS = ("bash", "dirname", "env", "ls", "mkdir", "cat", "chmod", "rm", "sort", "touch")

# A stand-in reports the version VERSION; `-m venv` makes an environment whose Python writes its
# arguments to a file, and exits with the status PIP_STATUS.
STAND_IN = """\
#!/usr/bin/env bash
if [ "$1" = -c ]; then
    exec {python} -c "import sys; sys.version_info = {version}; {imports}; exec(sys.argv[1])" "$2"
fi
mkdir -p "$3/bin"
echo '#!/usr/bin/env bash
echo {label} "$@" >>"$(dirname "$0")/calls"
exit {pip_status}' >"$3/bin/python"
chmod +x "$3/bin/python"
"""


class Machine:
    """A folder with copies of the tools, a home and a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "a checkout"
        self.path = self.folder / "on PATH"
        self.pyenv = self.folder / "my home" / ".pyenv" / "versions"
        for needed in (self.folder / "tools", self.path, self.pyenv):
            needed.mkdir(parents=True)
        for name in ("find-python", "make-venv"):
            shutil.copy(TOOLS / name, self.folder / "tools" / name)
        for name in STANDARD_TOOLS:
            found = shutil.which(name)
            assert found, name
            (self.path / name).symlink_to(found)

    def add(self, place: Path, version: str, *, imports: str = "pass", pip_status: int = 0) -> Path:
        """Add a stand-in for a Python of `version`."""
        place.parent.mkdir(parents=True, exist_ok=True)
        numbers = tuple(int(number) for number in version.split("."))
        place.write_text(
            STAND_IN.format(
                python=shlex.quote(sys.executable),
                version=numbers,
                imports=imports,
                label=version,
                pip_status=pip_status,
            )
        )
        place.chmod(0o755)
        return place

    def run(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.path), "HOME": str(self.folder / "my home")}
        return subprocess.run(
            [f"tools/{tool}", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def find(self, *arguments: str) -> str:
        completed = self.run("find-python", *arguments)
        assert completed.returncode == 0, completed.stderr
        return completed.stdout.removesuffix("\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("name", ["python3.14", "python3", "python"])
@pytest.mark.parametrize("version", ["3.14.0", "3.14.7"])
def test_only_python_3_14_is_found_under_each_name(
    machine: Machine, name: str, version: str
) -> None:
    stand_in = machine.add(machine.path / name, version)
    assert machine.find() == str(stand_in)
    assert machine.find("3.14") == str(stand_in)


@pytest.mark.parametrize("name", ["python3.17", "python3"])
def test_only_a_newer_python_is_found(machine: Machine, name: str) -> None:
    stand_in = machine.add(machine.path / name, "3.17.1")
    assert machine.find() == str(stand_in)


def test_oldest_supported_version_is_preferred(machine: Machine) -> None:
    machine.add(machine.path / "python3", "3.15.0")
    machine.add(machine.path / "python3.14", "3.14.0")
    oldest = machine.add(machine.path / "python3.12", "3.12.9")
    assert machine.find() == str(oldest)


def test_newest_patch_of_pyenv_is_found(machine: Machine) -> None:
    machine.add(machine.pyenv / "3.14.9" / "bin" / "python", "3.14.9")
    newest = machine.add(machine.pyenv / "3.14.10" / "bin" / "python", "3.14.10")
    assert machine.find("3.14") == machine.find() == str(newest)


def test_pythons_that_cannot_be_used_are_passed_over(machine: Machine) -> None:
    (machine.path / "python3.11").write_text("#!/usr/bin/env bash\nexit 127\n")  # pyenv's, unset
    (machine.path / "python3.11").chmod(0o755)
    without_ensurepip = "sys.modules['ensurepip'] = None"  # as Debian's without python3-venv
    machine.add(machine.path / "python3.13", "3.13.1", imports=without_ensurepip)
    machine.add(machine.path / "python3", "3.10.4")
    usable = machine.add(machine.path / "python3.14", "3.14.0")
    assert machine.find() == str(usable)


def test_missing_version_is_not_replaced_by_another(machine: Machine) -> None:
    machine.add(machine.path / "python3.14", "3.14.0")
    completed = machine.run("find-python", "3.12")
    assert (completed.returncode, completed.stdout) == (1, "")


def test_environment_is_made_with_the_python_that_is_found(machine: Machine) -> None:
    machine.add(machine.path / "python3", "3.14.0")
    completed = machine.run("make-venv", ".venv")
    assert completed.returncode == 0, completed.stderr
    calls = machine.folder / ".venv" / "bin" / "calls"
    (call,) = calls.read_text().splitlines()
    assert call.startswith("3.14.0 -m pip install"), call

    again = machine.run("make-venv", ".venv")
    assert again.returncode == 0
    assert calls.read_text().splitlines() == [call], "an environment is made once"


def test_half_made_environment_is_removed(machine: Machine) -> None:
    machine.add(machine.path / "python3", "3.14.0", pip_status=1)
    assert machine.run("make-venv", ".venv").returncode != 0
    assert not (machine.folder / ".venv").exists()


@pytest.mark.parametrize(
    ("arguments", "wanted"), [((), "3.11 or newer"), (("3.13",), "no Python 3.13 ")]
)
def test_error_names_what_is_missing(
    machine: Machine, arguments: tuple[str, ...], wanted: str
) -> None:
    machine.add(machine.path / "python3", "3.10.4")
    completed = machine.run("make-venv", ".venv", *arguments)
    assert completed.returncode == 1
    assert wanted in completed.stderr
    assert completed.stderr.count("\n") == 1
    assert not (machine.folder / ".venv").exists()
