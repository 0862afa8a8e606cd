"""Every test runs against the installed wheel, without settings of AWS, and repeatably."""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    import trustme

    from .callers import Performer

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# The tests must not use the settings of the person who runs them.
for name in [name for name in os.environ if name.startswith(("AWS_", "SMRUNTIME_LOG"))]:
    del os.environ[name]
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

os.environ.pop("PYTEST_ADDOPTS", None)  # of this run, not of those that tests start

# In the background of a shell SIGINT is ignored, and the commands that tests start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

PACKAGES = ("smruntime_core", "smruntime_transports", "smruntime_local")


def pytest_configure() -> None:
    """Refuse to test the source tree by accident, where a file missing from the wheel is found."""
    if os.environ.get("SMRUNTIME_SOURCE_TREE") == "1":
        return
    for name in PACKAGES:
        module_file = importlib.import_module(name).__file__
        assert module_file is not None, f"{name} is a namespace package: its __init__.py is missing"
        assert "site-packages" in Path(module_file).parts, (
            f"{name} comes from {module_file}; use `make test`, or set SMRUNTIME_SOURCE_TREE=1"
        )


@pytest.fixture
def perform(transport: str) -> Performer:
    """Return the function that performs steps on the transport under test."""
    from .callers import PERFORMERS

    return PERFORMERS[transport]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return a certificate authority; the import is here because few tests need it."""
    import trustme

    return trustme.CA()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `transport` on each transport.

    The import is here because tools/test-apart lacks the packages of some transports.
    """
    if "transport" in metafunc.fixturenames:
        from .callers import PERFORMERS

        metafunc.parametrize("transport", PERFORMERS)
