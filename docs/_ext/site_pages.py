"""The pages that the code writes: the reference, its tables, and the files outside docs/.

A public module has a page, written from its docstrings by Sphinx's autodoc. An object that several
modules export is described once, in the first of them; the others link there.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import site_links
from nbclient import NotebookClient
from sphinx.ext.autodoc.mock import mock

PACKAGES = ("smruntime_core", "smruntime_transports", "smruntime_local")
# what the adapters of other HTTP clients import; niquests may not be installed beside urllib3
MOCKED = ("aiohttp", "httpx", "httpx2", "niquests", "requests")
OPTION = re.compile(r"^ {4,8}(\w+) {2,}(\S.*)$")


def write_all(root: Path, folder: Path) -> None:
    """Write all pages anew into `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for source, target in site_links.INCLUDED.items():
        write_included(root, source, folder / f"{Path(target).name}.md")
    (folder / "examples.md").write_text(examples_page(root), "utf-8")
    write_executed(root / "examples" / "notebook.ipynb", folder / "notebook.ipynb")
    with mock(list(MOCKED)):
        modules = list(public_modules())
        write_reference(folder, modules)
        (folder / "settings.md").write_text(settings_page(), "utf-8")
        (folder / "errors.md").write_text(errors_page(), "utf-8")


def write_included(root: Path, source: str, page: Path) -> None:
    """Write a page from a file at the root of the repository, with links that fit."""
    text = (root / source).read_text("utf-8")
    if source == "LICENSE":
        text = f"# License\n\n```text\n{text}```\n"
    front_matter = "" if source == "README.md" else "---\nnosearch: true\n---\n\n"
    page.write_text(front_matter + site_links.rewrite(text, root, root, "../"), "utf-8")


def write_executed(source: Path, page: Path) -> None:
    """Run a notebook and write it with its outputs; raise the error of a cell."""
    notebook = nbformat.read(source, as_version=4)
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", coalesce_streams=True)
    client.execute()
    nbformat.write(notebook, page)


def examples_page(root: Path) -> str:
    """Return the page that lists the programs of examples/."""
    rows = []
    for program in sorted((root / "examples").glob("*.py")):
        summary = (ast.get_docstring(ast.parse(program.read_text("utf-8"))) or "").split("\n")[0]
        rows.append(f"| [{program.name}](../../examples/{program.name}) | {summary} |")
    return "\n".join(
        [
            "# Programs to start from\n",
            "Each is a whole program that runs against the local endpoint; the tests run them.\n",
            "| program | what it does |\n|---|---|",
            *rows,
            "",
        ]
    )


# The reference.

IN_BROWSERS = "smruntime_transports.http_clients.fetch"  # it needs Pyodide


def public_modules() -> Iterator[ModuleType]:
    """Import and yield the modules without a private part, the packages first."""
    names = list(PACKAGES)
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        names += sorted(found.name for found in pkgutil.walk_packages(path, f"{package}."))
    for name in names:
        if name != IN_BROWSERS and not any(part.startswith("_") for part in name.split(".")):
            module = importlib.import_module(name)
            if public_names(module):
                yield module


def public_names(module: ModuleType) -> list[str]:
    """Return what a module exports: `__all__`, or its own public classes and functions."""
    declared = getattr(module, "__all__", None)
    if declared is not None:
        return sorted(declared)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    )


def write_reference(folder: Path, modules: list[ModuleType]) -> None:
    """Write a page for each module, and one that lists them."""
    described: dict[int, str] = {}  # by the id of an object: where it is described
    rows: list[str] = []
    for module in modules:
        page = module.__name__
        (folder / f"{page}.rst").write_text(module_page(module, described), "utf-8")
        summary = (inspect.getdoc(module) or "").split("\n")[0]
        rows.append(f"| [`{page}`]({page}.rst) | {summary} |")
    toctree = "\n".join(module.__name__ for module in modules)
    (folder / "reference.md").write_text(
        "# Reference\n\nWritten from the docstrings; `help()` in Python shows the same. "
        "[Settings](settings.md) and [errors](errors.md) are tables of their own.\n\n"
        "| module | what it has |\n|---|---|\n"
        + "\n".join(rows)
        + f"\n\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n\nsettings\nerrors\n{toctree}\n```\n",
        "utf-8",
    )


def module_page(module: ModuleType, described: dict[int, str]) -> str:
    """Return the page of a module as reStructuredText, and note what it describes."""
    name = module.__name__
    parts = [f"{name}\n{'=' * len(name)}\n", f".. automodule:: {name}\n   :no-members:\n"]
    values: list[str] = []
    elsewhere: list[str] = []
    sections: dict[str, list[str]] = {"Classes": [], "Functions": []}
    for attribute in public_names(module):
        value = getattr(module, attribute)
        is_class, is_function = inspect.isclass(value), inspect.isroutine(value)
        if not (is_class or is_function):
            values.append(f"``{attribute}``")
        elif id(value) in described:
            elsewhere.append(f":py:obj:`{attribute} <{described[id(value)]}>`")
        else:
            described[id(value)] = f"{name}.{attribute}"
            title = "Classes" if is_class else "Functions"
            sections[title].append(directive(name, attribute, value))
    for title, directives in sections.items():
        if directives:
            parts += [f"{title}\n{'-' * len(title)}\n", *directives]
    if values:
        parts.append(f"Constants and types\n-------------------\n\n{', '.join(values)}\n")
    if elsewhere:
        parts.append(f"Described elsewhere\n-------------------\n\n{', '.join(elsewhere)}\n")
    return "\n".join(parts)


def directive(module: str, attribute: str, value: object) -> str:
    """Return the directive that describes a class or function."""
    if not inspect.isclass(value):
        return f".. autofunction:: {module}.{attribute}\n"
    foreign = {"Record", *(base.__name__ for base in value.__mro__ if not is_ours(base))}
    return (
        f".. autoclass:: {module}.{attribute}\n   :members:\n"
        f"   :inherited-members: {', '.join(sorted(foreign))}\n"
    )


def is_ours(value: type) -> bool:
    """Return whether a class is from one of our packages."""
    return value.__module__.partition(".")[0] in PACKAGES


# The tables.


def table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def documented_options(docstring: str) -> dict[str, str]:
    """Return the names and meanings in the columns of a docstring."""
    options: dict[str, str] = {}
    last = ""
    for line in docstring.splitlines():
        if match := OPTION.match(line):
            last = match[1]
            options[last] = match[2]
        elif last and line.startswith(" " * 12) and line.strip():
            options[last] += " " + line.strip()
        else:
            last = ""
    return options


def first_paragraph(value: object) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())


def settings_page() -> str:
    """Return the tables of settings, options and limits."""
    import smruntime_core as sm
    from smruntime_core.config import _settings as configuration
    from smruntime_transports import TLS, Client
    from smruntime_transports.client import _settings as settings
    from smruntime_transports.wire._wire_settings import WireSettings

    by_client = {
        "every client": settings.Settings.__annotations__,
        "over connections": WireSettings.__annotations__,
        "urllib3": settings.Urllib3Settings.__annotations__,
    }
    rows: list[tuple[str, ...]] = []
    for name, meaning in settings.MEANINGS.items():
        takers = [client for client, names in by_client.items() if name in names]
        text, _, default = meaning.partition(" Default: ")
        note = f" *({takers[0]})*" if takers and takers[0] != "every client" else ""
        rows.append((f"`{name}`", text + note, default.rstrip(".")))
    options = documented_options(Client.with_options.__doc__ or "")
    parts = [
        "# Settings\n\nWritten from the code. All are arguments by keyword; what is not given is "
        "read from the environment, then from the profile.\n",
        "## Of a client\n",
        "`Client(region=…)`. *Over connections*: not with `io=`.\n",
        table(("setting", "meaning", "default"), rows),
        "\n## Of calls: `client.with_options(…)`\n",
        table(("option", "meaning"), [(f"`{k}`", v) for k, v in options.items()]),
    ]
    for title, record in (("Timeouts", sm.Timeouts), ("RetryPolicy", sm.RetryPolicy), ("TLS", TLS)):
        parts += [f"\n## `{title}`\n", first_paragraph(record) + "\n"]
        parts.append(parameters_table(record))
    found = inspect.getdoc(configuration) or ""
    columns = found[found.index("    setting ") : found.index("A column further")].rstrip()
    parts += [
        "\n## Environment and profile\n",
        "The first that is set wins, from left to right. Credentials have "
        "[a page of their own](../credentials.md).\n",
        f"```text\n{inspect.cleandoc(columns)}\n```\n",
        "`SMRUNTIME_LOG` (`info`, `debug`) logs to standard error: "
        "[watching calls](../observing.md).\n",
    ]
    return "\n".join(parts)


def parameters_table(record: Any) -> str:
    """Return a table of the parameters of a record: defaults and, where documented, meanings."""
    meanings = documented_options(
        "\n".join(f"    {x}" for x in (inspect.getdoc(record) or "").splitlines())
    )
    rows = [
        (
            f"`{parameter.name}`",
            "" if parameter.default is parameter.empty else f"`{parameter.default!r}`",
            meanings.get(parameter.name, ""),
        )
        for parameter in inspect.signature(record).parameters.values()
    ]
    return table(("member", "default", "meaning"), rows)


def errors_page() -> str:
    """Return the tables of errors: the tree, and what each operation may answer with."""
    from smruntime_core import errors, service

    classes = [
        value
        for name in errors.__all__
        if inspect.isclass(value := getattr(errors, name))
        and issubclass(value, errors.SmRuntimeError)
    ]
    classes.sort(
        key=lambda error: [base.__name__ for base in reversed(error.__mro__) if base in classes]
    )
    rows = []
    for error in classes:
        attributes = sorted(public_attributes(error))
        base = next((b.__name__ for b in error.__mro__[1:] if b in classes), "Exception")
        rows.append(
            (
                f"`{error.__name__}`",
                f"`{base}`",
                first_paragraph(error),
                ", ".join(f"`{a}`" for a in attributes),
            )
        )
    answered = []
    for error in classes:
        if not issubclass(error, errors.ServiceError) or error is errors.ServiceError:
            continue
        operations = [
            operation.__name__
            + (" (stream)" if error in getattr(operation, "stream_errors", ()) else "")
            for operation in service.OPERATIONS
            if error in (*operation.errors, *getattr(operation, "stream_errors", ()))
        ]
        if operations:
            answered.append(
                (f"`{error.__name__}`", str(error.default_status), ", ".join(operations))
            )
    return "\n".join(
        [
            "# Errors\n\nWritten from the code. All are in `smruntime_core.errors`, and most in "
            "`smruntime_core`. [Mistakes](../mistakes.md) shows the messages, with what to do; "
            "[debugging a 403](../debug-403.md) is about refused signatures.\n",
            "## The tree\n",
            table(("error", "is a", "meaning", "attributes of its own"), rows),
            "\n## Errors that the service names\n",
            "Any other code is a plain `ServiceError`, with its `code`. What is retried is on "
            "[a page of its own](../retries.md).\n",
            table(("error", "status", "operations"), answered),
            "\n## `kind`, `phase` and `delivery` of a `DispatchFailure`\n",
            table(
                ("attribute", "values"),
                [
                    (
                        f"`{name.lower()}`",
                        ", ".join(f"`{v}`" for v in getattr(errors, name).__args__),
                    )
                    for name in ("Kind", "Phase", "Delivery")
                ],
            ),
            "\n`delivery` says whether the model may have run: `not_sent` never, `maybe_sent` "
            "perhaps, `answered` yes.\n",
        ]
    )


def public_attributes(error: type) -> set[str]:
    """Return the attributes that a class of errors adds to its base."""
    try:
        source = ast.parse(inspect.getsource(error))
    except (OSError, SyntaxError):
        return set()
    found: set[str] = set()
    for node in ast.walk(source):
        targets: list[ast.expr] = []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.FunctionDef) and any(
            getattr(decorator, "id", "") == "property" for decorator in node.decorator_list
        ):
            found.add(node.name)
        found |= {
            target.attr
            for target in targets
            if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self"
        }
        found |= {t.id for t in targets if isinstance(t, ast.Name) and hasattr(error, t.id)}
    found = {name for name in found if not name.startswith("_")}
    return found - {"args", "members", "default_code", "default_status"}
