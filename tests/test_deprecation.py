"""Deprecated names warn, still work, and go when their version comes: docs/stability.md.

The tables of the packages may be empty, so the same checks also run on a package made up here.
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from smruntime_core import __version__
from smruntime_core._deprecated import DEPRECATED as CORE
from smruntime_core.deprecation import (
    DeprecationTable,
    Renamed,
    deprecated_attributes,
    renamed_arguments,
)
from smruntime_local._deprecated import DEPRECATED as LOCAL
from smruntime_transports._deprecated import DEPRECATED as TRANSPORTS

TABLES = {"smruntime_core": CORE, "smruntime_transports": TRANSPORTS, "smruntime_local": LOCAL}
THING = Renamed("made_up.shapes.Circle", since="1.2", removed_in="1.4")
ARGUMENT = Renamed("radius", since="1.2", removed_in="1.4")
MADE_UP_TABLE = {
    "made_up.shapes.Ring": THING,
    "made_up.Ring": THING,
    "made_up.shapes.draw(size)": ARGUMENT,
    "made_up.shapes.Circle(size)": ARGUMENT,
    "made_up.shapes.Circle.grow(size)": ARGUMENT,
}
MADE_UP_FILES = {
    "__init__.py": """
from smruntime_core.deprecation import deprecated_attributes
from tests.test_deprecation import MADE_UP_TABLE

def get_lazily(name):
    if name == "lazy":
        return "found"
    raise AttributeError(name)

__all__ = ["shapes"]
__getattr__ = deprecated_attributes(__name__, MADE_UP_TABLE, get_lazily)
""",
    "shapes.py": """
from smruntime_core.deprecation import deprecated_attributes, renamed_arguments
from tests.test_deprecation import MADE_UP_TABLE

__all__ = ["Circle", "draw"]
__getattr__ = deprecated_attributes(__name__, MADE_UP_TABLE)

class Circle:
    @renamed_arguments("made_up.shapes.Circle", MADE_UP_TABLE)
    def __init__(self, radius, secret=None):
        self.radius = radius
        if secret:
            raise ValueError("refused")

    @renamed_arguments("made_up.shapes.Circle.grow", MADE_UP_TABLE)
    def grow(self, radius):
        self.radius += radius

@renamed_arguments("made_up.shapes.draw", MADE_UP_TABLE)
def draw(radius, *, color="black"):
    return f"{color} {radius}"
""",
}


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the module of the made-up package that has deprecated names."""
    (tmp_path / "made_up").mkdir()
    for name, source in MADE_UP_FILES.items():
        (tmp_path / "made_up" / name).write_text(source, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "tests.test_deprecation", sys.modules[__name__])
    yield importlib.import_module("made_up.shapes")
    for name in ("made_up", "made_up.shapes"):
        del sys.modules[name]


# The rules of a table


def find_problems(package: str, table: DeprecationTable, version: str) -> Iterator[str]:
    """Return what is wrong with the deprecated names of a package in that version."""
    for name, renamed in table.items():
        if not name.startswith(f"{package}."):
            yield f"{name}: is not of {package}"
        if parse_version(renamed.removed_in) <= parse_version(version):
            yield f"{name}: version {renamed.removed_in} was to remove it; remove it"
        since, removed_in = parse_version(renamed.since), parse_version(renamed.removed_in)
        if removed_in[0] == since[0] and removed_in[1] < since[1] + 2:
            yield f"{name}: does not work for two minor versions"
        if name.endswith(")"):
            yield from find_argument_problems(name, renamed)
        else:
            yield from find_attribute_problems(name, renamed)


def parse_version(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def find_attribute_problems(name: str, renamed: Renamed) -> Iterator[str]:
    module_name, _, attribute = name.rpartition(".")
    replacement_module, _, replacement_name = renamed.replacement.rpartition(".")
    module = importlib.import_module(module_name)
    if attribute in module.__all__:
        yield f"{name}: is in __all__"
    replacement = getattr(importlib.import_module(replacement_module), replacement_name, None)
    if replacement is None:
        yield f"{name}: its replacement {renamed.replacement} does not exist"
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if getattr(module, attribute, None) is not replacement:
            yield f"{name}: is not its replacement"
    if not any(name in str(warning.message) for warning in caught):
        yield f"{name}: does not warn; __getattr__ of {module_name} must know it"


def find_argument_problems(name: str, renamed: Renamed) -> Iterator[str]:
    function_name, _, argument = name.removesuffix(")").partition("(")
    function = find_object(function_name)
    parameters = inspect.signature(function).parameters
    if argument in parameters or renamed.replacement not in parameters:
        yield f"{name}: the signature must have {renamed.replacement} in its place"
    try:  # both names at once are refused before anything is done
        with warnings.catch_warnings(action="ignore"):
            function(**{argument: None, renamed.replacement: None})
    except TypeError as error:
        if "is the old name of" in str(error):
            return
    yield f"{name}: is not taken; {function_name} needs the decorator renamed_arguments"


def find_object(name: str) -> Callable[..., object]:
    """Return what a dotted name means: modules first, then attributes."""
    parts = name.split(".")
    found: object = importlib.import_module(parts[0])
    for length, part in enumerate(parts[1:], 2):
        if isinstance(found, ModuleType) and not hasattr(found, part):
            importlib.import_module(".".join(parts[:length]))
        found = getattr(found, part)
    return cast("Callable[..., object]", found)


@pytest.mark.parametrize("package", TABLES)
def test_deprecated_names_of_a_package_warn_and_work(package: str) -> None:
    assert list(find_problems(package, TABLES[package], __version__)) == []


@pytest.mark.usefixtures("shapes")
def test_rules_accept_the_made_up_package() -> None:
    assert list(find_problems("made_up", MADE_UP_TABLE, "1.3.7")) == []


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize("version", ["1.4.0", "1.5.0", "2.0.0"])
def test_rules_want_names_removed_when_their_version_comes(version: str) -> None:
    problems = list(find_problems("made_up", MADE_UP_TABLE, version))
    assert len(problems) == len(MADE_UP_TABLE)
    assert all("version 1.4 was to remove it" in problem for problem in problems)


CIRCLE = "made_up.shapes.Circle"


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize(
    ("name", "renamed", "problem"),
    [
        ("other.Ring", THING, "is not of made_up"),
        ("made_up.shapes.Disc", THING, "does not warn"),
        ("made_up.shapes.Circle", THING, "is in __all__"),
        ("made_up.shapes.Ring", Renamed("made_up.shapes.Oval", "1.2", "1.4"), "does not exist"),
        ("made_up.shapes.Ring", Renamed("made_up.shapes.draw", "1.2", "1.4"), "is not its"),
        ("made_up.shapes.Ring", Renamed(CIRCLE, "1.2", "1.3"), "two minor versions"),
        ("made_up.shapes.draw(colour)", Renamed("color", "1.2", "1.4"), "needs the decorator"),
        ("made_up.shapes.draw(size)", Renamed("width", "1.2", "1.4"), "the signature"),
        ("made_up.shapes.draw(color)", ARGUMENT, "the signature"),
    ],
)
def test_rules_name_what_is_wrong(name: str, renamed: Renamed, problem: str) -> None:
    sys.modules.setdefault("other", ModuleType("other")).__dict__["__all__"] = []
    problems = list(find_problems("made_up", {name: renamed}, "1.3.0"))
    assert any(problem in found for found in problems), problems


# What users of a deprecated name see

USES = {
    "attribute": "import made_up.shapes\nx = made_up.shapes.Ring\n",
    "import of a name": "import made_up\nfrom made_up.shapes import Ring\n",
    "import from a package": "import made_up\nfrom made_up import Ring\n",
    "argument": "from made_up.shapes import draw\nassert draw(size=3) == 'black 3'\n",
    "argument of a class": "from made_up.shapes import Circle\nassert Circle(size=3).radius == 3\n",
}


def run_source(source: str, file_name: str, **namespace: object) -> dict[str, Any]:
    """Run source text as that of a file; return its namespace."""
    exec(compile(source, file_name, "exec"), namespace)  # noqa: S102 - text of this module
    return namespace


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize("use", USES)
def test_warning_names_replacement_versions_and_the_line_of_the_user(use: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")  # once for each line
        run_source(USES[use], "users.py", __name__="users")
    (warning,) = caught
    assert (warning.filename, warning.lineno) == ("users.py", 2)
    assert warning.category is DeprecationWarning
    replacement = "radius" if "argument" in use else "made_up.shapes.Circle"
    expected = f"is deprecated since version 1.2: use {replacement}; version 1.4 removes it"
    assert str(warning.message).endswith(expected)


def test_warning_passes_over_lines_of_our_packages(shapes: Any) -> None:
    """As where a subclass of a client hands the settings of the user on."""
    source = "def hand_on(**settings): return draw(**settings)"
    ours = run_source(source, "<ours>", __name__="smruntime_transports.sockets", draw=shapes.draw)
    with pytest.warns(DeprecationWarning, match="size") as caught:
        run_source("\n\nhand_on(size=3)", "users.py", __name__="users", hand_on=ours["hand_on"])
    assert [(warning.filename, warning.lineno) for warning in caught] == [("users.py", 3)]


def test_old_and_new_name_of_an_argument_are_refused_together(shapes: Any) -> None:
    with pytest.raises(TypeError, match=r"draw: size is the old name of radius: pass radius only"):
        shapes.draw(size=3, radius=4)


def test_old_class_is_the_new_one_also_when_it_is_unpickled(shapes: Any) -> None:
    with pytest.warns(DeprecationWarning, match="Ring"):
        old = shapes.Ring
    assert old is shapes.Circle
    assert pickle.loads(pickle.dumps(old(3))).radius == 3


def test_new_names_do_not_warn_and_others_are_missing_as_before(shapes: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shapes.draw(3, color="red") == "red 3"
        assert shapes.Circle(radius=3).radius == 3
        assert sys.modules["made_up"].lazy == "found"
        with pytest.raises(AttributeError, match=r"module 'made_up\.shapes' has no attribute 'x'"):
            _ = shapes.x
        with pytest.raises(AttributeError):
            _ = sys.modules["made_up"].x


def test_traceback_of_a_function_with_a_renamed_argument_holds_no_argument(shapes: Any) -> None:
    with pytest.raises(ValueError, match="refused") as raised:
        shapes.Circle(3, secret="hidden")
    frames = [entry.frame for entry in raised.traceback]
    names = [frame.code.name for frame in frames]
    assert names[1:] == ["translate", "__init__"]
    assert "hidden" not in repr(frames[1].f_locals)


def test_decorator_keeps_signature_and_documentation() -> None:
    def scale(factor: float) -> float:
        """Scale."""
        return factor

    table = {"x.scale(by)": Renamed("factor", "1.2", "1.4")}
    decorated = renamed_arguments("x.scale", table)(scale)
    assert inspect.signature(decorated) == inspect.signature(scale)
    assert decorated.__doc__ == "Scale."
    assert deprecated_attributes("x", {}, str.upper)("name") == "NAME"
