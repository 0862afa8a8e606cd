"""What holds for every test: the installed wheel is what is tested, and a run can be repeated exactly."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from .callers import Performer

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# The settings of whoever runs the tests are none of theirs.
for name in [name for name in os.environ if name.startswith(("AWS_", "SMRUNTIME_LOG"))]:
    del os.environ[name]
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

PACKAGES = ("smruntime_core", "smruntime_transports", "smruntime_local")


def pytest_configure() -> None:
    """Refuse to test the source tree by accident: a file missing from the wheel would go unnoticed."""
    if os.environ.get("SMRUNTIME_SOURCE_TREE") == "1":
        return
    for name in PACKAGES:
        found = importlib.import_module(name).__file__
        assert found is not None, f"{name} is a namespace package: its __init__.py is missing"
        assert "site-packages" in Path(found).parts, (
            f"{name} comes from {found}; use `make test`, or set SMRUNTIME_SOURCE_TREE=1"
        )


@pytest.fixture
def perform(transport: str) -> Performer:
    """What has the transport of this turn do a list of steps."""
    from .callers import PERFORMERS

    return PERFORMERS[transport]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that names `transport` is run once on each. Imported here only: the tests apart have none of their packages."""
    if "transport" in metafunc.fixturenames:
        from .callers import PERFORMERS

        metafunc.parametrize("transport", PERFORMERS)
