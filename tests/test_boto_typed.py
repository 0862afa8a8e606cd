"""A program typed with mypy_boto3_sagemaker_runtime type-checks with our client in its place."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import smruntime_core
import smruntime_transports

PROGRAM = (Path(__file__).parent / "typed" / "boto_program.py").read_text("utf-8")
# what a user changes: two imports, and the name of the module in a call
CHANGES = {
    "import boto3\n": "from smruntime_transports import boto\n",
    "from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient\n": (
        "from smruntime_transports.boto import SageMakerRuntimeClient\n"
    ),
    "boto3.client(": "boto.client(",
}
WHOLE_ANSWER = """

from mypy_boto3_sagemaker_runtime.type_defs import InvokeEndpointOutputTypeDef


def whole(client: SageMakerRuntimeClient) -> InvokeEndpointOutputTypeDef:
    return client.invoke_endpoint(EndpointName="churn", Body=b"")
"""
CHECKERS = {
    "mypy": ("mypy", "--strict", "--no-incremental"),
    "pyright": ("pyright", "--pythonpath", sys.executable),
}
SOURCES = {Path(p.__file__ or "").parents[1] for p in (smruntime_core, smruntime_transports)}

pytestmark = pytest.mark.skipif(
    find_spec("mypy_boto3_sagemaker_runtime") is None or find_spec("mypy") is None,
    reason="tools/test-boto installs the types in an environment of their own",
)


def changed_program() -> str:
    program = PROGRAM
    for old, new in CHANGES.items():
        assert old in program
        program = program.replace(old, new)
    return program


@pytest.fixture(scope="module", params=CHECKERS)
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the errors in the program for boto3, for ours, and for ours with a whole answer."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "boto3_program.py").write_text(PROGRAM, "utf-8")
    (folder / "our_program.py").write_text(changed_program(), "utf-8")
    (folder / "whole_answer.py").write_text(changed_program() + WHOLE_ANSWER, "utf-8")
    ours = [str(source) for source in SOURCES if "site-packages" not in source.parts]
    lines = ["[mypy]", f"mypy_path = {':'.join(ours)}"]
    lines += ["[mypy-smruntime_core.*,smruntime_transports.*]", "follow_imports = silent"]
    (folder / "mypy.ini").write_text("\n".join(lines), "utf-8")
    extra_paths = ", ".join(f'"{source}"' for source in ours)
    (folder / "pyrightconfig.json").write_text(f'{{"extraPaths": [{extra_paths}]}}', "utf-8")
    programs = sorted(program.name for program in folder.glob("*.py"))
    completed = subprocess.run(
        [sys.executable, "-m", *CHECKERS[request.param], *programs],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 1, completed.stdout + completed.stderr
    return [line for line in completed.stdout.splitlines() if "error:" in line]


@pytest.mark.parametrize("program", ["boto3_program.py", "our_program.py"])
def test_program_typechecks_with_boto3_and_with_ours(errors: list[str], program: str) -> None:
    assert not [error for error in errors if program in error]


def test_only_the_type_of_a_whole_answer_differs(errors: list[str]) -> None:
    (error,) = errors  # about `Body`, which must have the same type in a mutable dictionary
    assert "whole_answer.py" in error
    assert "InvokeEndpointOutputTypeDef" in error
