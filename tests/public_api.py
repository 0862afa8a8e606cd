"""The public API as text, one line for each name.

`python -m tests.public_api` writes the snapshot that the tests compare. A line has the module, the
name, and the signature with its types. Methods and properties follow their class; what is inherited
from another public class is not repeated. Types are the source text of annotations, so the snapshot
is the same on every supported version of Python.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import cast, get_origin

from smruntime_core.values import Record

PACKAGES = ("smruntime_core", "smruntime_transports", "smruntime_local")
SNAPSHOT = Path(__file__).with_name("public_api.txt")
CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"
NEEDS_OTHER_PACKAGES = (  # one HTTP client each; niquests may not be installed beside urllib3
    "smruntime_transports.auth.",
    "smruntime_transports.http_clients.",
)


def public_modules() -> list[str]:
    """Return the names of all modules without a private part that declare `__all__`."""
    found: list[str] = []
    for package in PACKAGES:
        module = importlib.import_module(package)
        names = [
            package,
            *(info.name for info in pkgutil.walk_packages(module.__path__, f"{package}.")),
        ]
        found += [
            name
            for name in names
            if is_public(name) and hasattr(importlib.import_module(name), "__all__")
        ]
    return found


def is_public(module: str) -> bool:
    """Return whether a module is public and can be imported without a package of its own."""
    private = any(part.startswith("_") for part in module.split("."))
    return not private and not module.startswith(NEEDS_OTHER_PACKAGES)


def lines() -> Iterator[str]:
    """Return the snapshot, line by line."""
    for name in public_modules():
        module = importlib.import_module(name)
        for attribute in sorted(module.__all__):
            yield from describe(module, attribute)


def describe(module: ModuleType, name: str) -> Iterator[str]:
    """Return the lines of one name of a module."""
    value = getattr(module, name)
    where = f"{module.__name__}.{name}"
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"{where}({bases})" if bases else where
        yield from (f"{where}{line}" for line in members(value))
    elif callable(value) and hasattr(value, "__name__"):
        yield f"{where}{signature(value)}"
    else:
        yield f"{where}: {annotation(module, name, value)}"


def annotation(module: ModuleType, name: str, value: object) -> str:
    """Return the declared type of a constant or alias, or the name of its type."""
    declared = getattr(module, "__annotations__", {}).get(name)
    return str(declared or type(value).__name__)


def members(kind: type) -> Iterator[str]:
    """Return the lines of the public attributes that a class defines itself, and how it is made."""
    if not getattr(kind, "_is_protocol", False) and (
        "__init__" in vars(kind) or issubclass(kind, Record)
    ):
        yield signature(kind.__init__)  # type: ignore[misc]  # only its signature is read
    for name, value in sorted(vars(kind).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, property):
            getter = cast("Callable[..., object]", value.fget)
            yield f".{name}: {inspect.signature(getter).return_annotation}"
        elif isinstance(value, staticmethod | classmethod):
            yield f".{name}{signature(value.__func__)}"
        elif inspect.isfunction(value):
            yield f".{name}{signature(value)}"
    for name, declared in sorted(vars(kind).get("__annotations__", {}).items()):
        if not name.startswith("_"):
            yield f".{name}: {getattr(declared, '__forward_arg__', declared)}"


def signature(function: object) -> str:
    """Return the signature of a function, its defaults as they are shown.

    Return "(...)" for what has none, such as an alias of a `Callable`.
    """
    if get_origin(function) is not None:
        return "(...)"
    try:
        text = str(inspect.signature(cast("Callable[..., object]", function))).replace("'", "")
        return re.sub(" at 0x[0-9a-f]+", "", text)  # the address of a default
    except (TypeError, ValueError):
        return "(...)"


def fingerprint(text: str) -> str:
    """Return the eight digits that CHANGELOG.md must name."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


if __name__ == "__main__":
    text = "\n".join(lines()) + "\n"
    SNAPSHOT.write_text(text, "utf-8")
    print(f"{SNAPSHOT.name}: {text.count(chr(10))} lines")
    print(f"CHANGELOG.md must say: Public API {fingerprint(text)}")
