"""Importing the core does no I/O and loads few modules, counted in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import smruntime_core

ROOT = str(Path(smruntime_core.__file__).parents[1])

IMPURE = [
    "socket",
    "ssl",
    "selectors",
    "asyncio",
    "threading",
    "logging",
    "subprocess",
    "random",
    "http.client",
    "urllib3",
    "trio",
    "h11",
    "cryptography",
    "dataclasses",
    "inspect",
    "json",
]


def modules_after(statement: str) -> set[str]:
    """Return the modules that `statement` adds to those of a fresh, isolated interpreter."""
    code = (
        f"import sys; before = set(sys.modules); sys.path.insert(0, {ROOT!r}); {statement}; "
        "print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def core() -> set[str]:
    return modules_after("import smruntime_core")


@pytest.mark.parametrize("name", IMPURE)
def test_importing_the_core_loads_no_io_module(name: str, core: set[str]) -> None:
    assert name not in core


def test_importing_the_core_loads_at_most_a_third_of_what_botocore_does(core: set[str]) -> None:
    pytest.importorskip("botocore")
    assert len(core) * 3 <= len(modules_after("import botocore.session"))


def test_signing_loads_no_other_feature(core: set[str]) -> None:
    """The features of signing that are imported by name only are not loaded."""
    rooms = {
        f"smruntime_core.signing.{room}"
        for room in (
            "_bearer",
            "_chunk_signer",
            "_chunk_verifier",
            "_events",
            "_explain",
            "_presign",
            "_sigv4a",
        )
    }
    assert not rooms & core
    assert not rooms & modules_after("from smruntime_core.signing import sign, verify")
    everything = modules_after("from smruntime_core.signing import *")
    assert rooms - {"smruntime_core.signing._sigv4a"} <= everything
    assert not {name for name in everything if name.startswith("cryptography")}


def test_probe_reports_a_module_that_is_loaded() -> None:
    assert {"socket", "selectors"} <= modules_after("import socket")


FROM_THE_ENVIRONMENT = """
import time
from smruntime_core import run
from smruntime_core.credentials import DefaultChain, ProviderContext
environ = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s"}
run(DefaultChain().provide(ProviderContext(environ, home="/", clock=time, random=float)), None)
"""


def test_environment_credentials_load_no_other_source(core: set[str]) -> None:
    loaded = modules_after(f"exec({FROM_THE_ENVIRONMENT!r})") - core
    rooms = {
        name.rpartition(".")[2] for name in loaded if name.startswith("smruntime_core.credentials.")
    }
    assert rooms <= {"_chain", "_static", "_context", "_provider"}
    assert {name for name in loaded if not name.startswith("smruntime_core.")} <= {"time"}
