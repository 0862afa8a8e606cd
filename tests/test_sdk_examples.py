"""Each SDK's example runs, in a process of its own: over InvokeEndpoint and with a bearer token."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import smruntime_core
import smruntime_local

from .sdk_models import TEXT, chat, messages
from .test_sdks import NAMES

FOLDER = Path(__file__).parents[1] / "examples" / "sdks"
# The example of each SDK, what it prints, and the requests that it makes.
EXAMPLES = {
    "openai on httpx2": ("openai_sdk", TEXT, 3),
    "anthropic": ("anthropic_sdk", TEXT, 2),
    "langchain-openai": ("langchain_openai_sdk", TEXT, 3),
    "litellm": ("litellm_sdk", TEXT, 3),
    "llama-index": ("llama_index_sdk", TEXT, 3),
    "pydantic-ai": ("pydantic_ai_sdk", TEXT, 3),
    "instructor": ("instructor_sdk", "Weather(city='Oslo')", 2),
    "strands": ("strands_sdk", TEXT, 3),
}


def test_every_example_is_run() -> None:
    names = {path.stem for path in FOLDER.glob("*_sdk.py")}
    assert names == {name for name, _, _ in EXAMPLES.values()}


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name in NAMES])
def test_example_runs_and_prints_the_model_s_text(name: str) -> None:
    example, expected_text, request_count = EXAMPLES[name]
    packages = str(Path(smruntime_core.__file__).parents[1])
    python_path = os.pathsep.join([packages, os.environ.get("PYTHONPATH", "")])
    with smruntime_local.serve(models={"llm": chat, "messages": messages}) as endpoint:
        completed = subprocess.run(
            [sys.executable, "-P", str(FOLDER / f"{example}.py")],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | endpoint.environment | {"PYTHONPATH": python_path},
        )
        assert completed.returncode == 0, completed.stderr
        assert completed.stdout.count(expected_text) == request_count, completed.stdout
        assert endpoint.requests_seen == request_count
