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


def check(folder: Path, checker: str, program: str) -> tuple[int, str]:
    (folder / "program.py").write_text(program, "utf-8")
    ours = [str(source) for source in SOURCES if "site-packages" not in source.parts]
    lines = ["[mypy]", f"mypy_path = {':'.join(ours)}"]
    lines += ["[mypy-smruntime_core.*,smruntime_transports.*]", "follow_imports = silent"]
    (folder / "mypy.ini").write_text("\n".join(lines), "utf-8")
    extra = ", ".join(f'"{source}"' for source in ours)
    (folder / "pyrightconfig.json").write_text(f'{{"extraPaths": [{extra}]}}', "utf-8")
    completed = subprocess.run(
        [sys.executable, "-m", *CHECKERS[checker], "program.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return completed.returncode, completed.stdout + completed.stderr


def changed_program() -> str:
    program = PROGRAM
    for old, new in CHANGES.items():
        assert old in program
        program = program.replace(old, new)
    return program


@pytest.mark.parametrize("checker", CHECKERS)
def test_program_typechecks_with_boto3(tmp_path: Path, checker: str) -> None:
    status, output = check(tmp_path, checker, PROGRAM)
    assert status == 0, output


@pytest.mark.parametrize("checker", CHECKERS)
def test_program_typechecks_with_our_client(tmp_path: Path, checker: str) -> None:
    status, output = check(tmp_path, checker, changed_program())
    assert status == 0, output


@pytest.mark.parametrize("checker", CHECKERS)
def test_only_the_body_of_a_whole_answer_has_another_type(tmp_path: Path, checker: str) -> None:
    status, output = check(tmp_path, checker, changed_program() + WHOLE_ANSWER)
    errors = [line for line in output.splitlines() if "error:" in line]
    assert status == 1, output
    assert len(errors) == 1, output
    assert "InvokeEndpointOutputTypeDef" in errors[0]
    assert checker == "mypy" or '"Body"' in output, output
