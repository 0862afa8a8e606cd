"""Importing the core does no I/O and loads few modules, counted in fresh interpreters."""

from __future__ import annotations

from pathlib import Path

import pytest

import smruntime_core

from .helpers import modules_after

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
    late_modules = {
        f"smruntime_core.signing.{name}"
        for name in (
            "_bearer",
            "_chunk_signer",
            "_chunk_verifier",
            "_events",
            "_explain",
            "_presign",
            "_sigv4a",
        )
    }
    assert not late_modules & core
    assert not late_modules & modules_after("from smruntime_core.signing import sign, verify")
    everything = modules_after("from smruntime_core.signing import *")
    assert late_modules - {"smruntime_core.signing._sigv4a"} <= everything
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
    sources = {
        name.rpartition(".")[2] for name in loaded if name.startswith("smruntime_core.credentials.")
    }
    assert sources <= {"_chain", "_static", "_context", "_provider"}
    assert {name for name in loaded if not name.startswith("smruntime_core.")} <= {"time"}
