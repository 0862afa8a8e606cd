"""Endpoints from a TOML file.

    [endpoints.churn]
    model = "my_package.models:churn"

    [endpoints.ab.variants.blue]
    model = "http://127.0.0.1:8080"
    weight = 9

    [endpoints.llm.components.small]
    model = "ngram"
    copies = 0
    start_seconds = 2.5

Keys are the members of `EndpointConfig`, `Variant` and `InferenceComponent`. A relative `capture`
is relative to the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ._endpoint_config import EndpointConfig, InferenceComponent, Variant


def read_config(path: str | os.PathLike[str]) -> dict[str, EndpointConfig]:
    """Return the endpoints of a file by name.

    Raises `ValueError` that names what is wrong, and `OSError` if the file cannot be read.
    """
    import tomllib  # most endpoints have no file

    file = Path(path)
    try:
        document = tomllib.loads(file.read_text("utf-8"))
        return _make_endpoints(document, file.parent)
    except ValueError as error:  # those of TOML and UTF-8 are, too
        raise ValueError(f"{file}: {error}") from error


def _make_endpoints(document: dict[str, object], folder: Path) -> dict[str, EndpointConfig]:
    unknown_keys = sorted(set(document) - {"endpoints"})
    if unknown_keys:
        raise ValueError(f"unknown key {unknown_keys[0]}; endpoints are [endpoints.NAME]")
    tables = _require_table("endpoints", document.get("endpoints", {}))
    return {name: _make_endpoint(f"endpoints.{name}", tables[name], folder) for name in tables}


def _make_endpoint(where: str, table: object, folder: Path) -> EndpointConfig:
    values = dict(_require_table(where, table))
    for kind, record_type in (("variants", Variant), ("components", InferenceComponent)):
        if kind in values:
            tables = _require_table(f"{where}.{kind}", values[kind])
            values[kind] = {
                name: _make_record(f"{where}.{kind}.{name}", record_type, tables[name])
                for name in tables
            }
    if "capture" in values:
        values["capture"] = folder / str(values["capture"])
    config: EndpointConfig = _make_record(where, EndpointConfig, values)
    return config


def _make_record(where: str, record_type: Any, table: object) -> Any:
    values = _require_table(where, table)
    known_names = record_type.__dataclass_fields__
    unknown_names = sorted(set(values) - set(known_names))
    if unknown_names:
        known = ", ".join(known_names)
        raise ValueError(f"{where}: unknown key {unknown_names[0]}; known are {known}")
    try:
        return record_type(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _require_table(where: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table")
    return cast("Mapping[str, object]", value)
