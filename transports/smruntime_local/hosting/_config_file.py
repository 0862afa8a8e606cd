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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: {error}") from error
    unknown_keys = sorted(set(document) - {"endpoints"})
    if unknown_keys:
        raise ValueError(f"{file}: unknown key {unknown_keys[0]}; endpoints are [endpoints.NAME]")
    endpoints: dict[str, EndpointConfig] = {}
    for name, table in _require_table(file, "endpoints", document.get("endpoints", {})).items():
        where = f"endpoints.{name}"
        values = dict(_require_table(file, where, table))
        try:
            endpoints[name] = _make_endpoint(file, where, values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{file}: {where}: {error}") from error
    return endpoints


def _make_endpoint(file: Path, where: str, values: dict[str, object]) -> EndpointConfig:
    for kind, record_type in (("variants", Variant), ("components", InferenceComponent)):
        if kind in values:
            tables = _require_table(file, f"{where}.{kind}", values[kind])
            values[kind] = {
                name: _make_record(record_type, _require_table(file, f"{where}.{kind}.{name}", t))
                for name, t in tables.items()
            }
    if "capture" in values:
        values["capture"] = file.parent / str(values["capture"])
    config: EndpointConfig = _make_record(EndpointConfig, values)
    return config


def _make_record(record_type: Any, values: Mapping[str, object]) -> Any:
    known_names = record_type.__dataclass_fields__
    unknown_names = sorted(set(values) - set(known_names))
    if unknown_names:
        raise ValueError(f"unknown key {unknown_names[0]}; known are {', '.join(known_names)}")
    return record_type(**values)


def _require_table(file: Path, where: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{file}: {where} must be a table")
    return cast("Mapping[str, object]", value)
