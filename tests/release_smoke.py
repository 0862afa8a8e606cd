"""Try an installed release: `python -I release_smoke.py [local]`, without the tree.

Import every public module, run `smruntime --version`; with the extra `local`, make a signed call.
The exit status is 0 if all of it works.
"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import smruntime_core

PACKAGES = ("smruntime_core", "smruntime_transports", "smruntime_local")
LOADED_BY_PYTEST = "smruntime_local.pytest_plugin"


def import_public_modules(name: str) -> Iterator[tuple[str, ImportError | None]]:
    """Import a module and those below it; return each with why it cannot be imported."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        yield name, error
        return
    yield name, None
    for info in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if not info.name.startswith("_") and f"{name}.{info.name}" != LOADED_BY_PYTEST:
            yield from import_public_modules(f"{name}.{info.name}")


def import_all(extra: str) -> str:
    """Import what needs no package but that of `extra`; return how many modules those are."""
    count = 0
    for name, error in [pair for package in PACKAGES for pair in import_public_modules(package)]:
        package = name.partition(".")[0]
        complete = package == "smruntime_core" or (package == "smruntime_local" and bool(extra))
        if error and (complete or " needs " not in str(error)):
            raise error
        count += error is None
    return f"{count} public modules"


def run_command_line() -> str:
    """Return what `smruntime --version` prints."""
    command = (Path(sys.executable).with_name("smruntime"), "--version")
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert printed == f"smruntime {smruntime_core.__version__}", printed
    return printed


def make_signed_call() -> str:
    """Return the answer of the local endpoint, which verifies the signature."""
    import smruntime_local
    from smruntime_transports import Client

    with smruntime_local.serve() as endpoint:
        client = Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        )
        with client:
            output = client.invoke_endpoint(
                "iris", body=b"5.1,3.5,1.4,0.2", content_type="text/csv", accept="application/json"
            )
    assert "setosa" in output.text(), output
    return "a signed call"


def main(extra: str = "") -> None:
    """Try the installed packages, which must be those of this environment."""
    assert Path(smruntime_core.__file__).is_relative_to(sys.prefix), smruntime_core.__file__
    done = [import_all(extra), run_command_line(), *([make_signed_call()] if extra else [])]
    print(f"tried with the extra {extra}:" if extra else "tried without extras:", ", ".join(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
