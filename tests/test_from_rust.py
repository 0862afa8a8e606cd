"""`docs/from-rust.md` lists all that the Rust client has, and names only what there is here."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import smruntime_core
import smruntime_transports
import smruntime_transports.client
from smruntime_core.conversation import OptionChanges
from smruntime_core.values import Record
from smruntime_transports.client import WireClientSettings

PAGE = (Path(__file__).parents[1] / "docs" / "from-rust.md").read_text("utf-8")
OPERATIONS: dict[str, Any] = {
    "invoke": smruntime_core.InvokeEndpoint,
    "async": smruntime_core.InvokeEndpointAsync,
    "stream": smruntime_core.InvokeEndpointWithResponseStream,
}

# `aws_sdk_sagemakerruntime`, as generated in 2026: the public methods and variants by type.
RUST = {
    "Client": "invoke_endpoint invoke_endpoint_async invoke_endpoint_with_response_stream",
    "Builder": "region endpoint_url use_fips use_dual_stack credentials_provider identity_cache "
    "retry_config retry_partition retry_classifier timeout_config stalled_stream_protection "
    "http_client endpoint_resolver interceptor app_name time_source sleep_impl "
    "invocation_id_generator auth_scheme_resolver push_auth_scheme behavior_version "
    "behavior_version_latest apply_test_defaults with_test_defaults",
    "RetryConfig": "standard adaptive disabled with_max_attempts with_initial_backoff "
    "with_max_backoff with_reconnect_mode",
    "TimeoutConfig": "connect_timeout read_timeout operation_timeout operation_attempt_timeout",
    "customize": "config_override interceptor map_request mutate_request",
    "Intercept": "read_before_execution modify_before_serialization read_before_serialization "
    "read_after_serialization modify_before_retry_loop read_before_attempt modify_before_signing "
    "read_before_signing read_after_signing modify_before_transmit read_before_transmit "
    "read_after_transmit modify_before_deserialization read_before_deserialization "
    "read_after_deserialization modify_before_attempt_completion read_after_attempt "
    "modify_before_completion read_after_execution",
    "SdkError": "ConstructionFailure TimeoutError DispatchFailure ResponseError ServiceError",
    "RetryAction": "NoActionIndicated RetryIndicated RetryForbidden",
}


class Table(NamedTuple):
    head: list[str]
    rows: list[list[str]]


def read_tables(page: str) -> list[Table]:
    """Return the tables of a page as cells."""
    tables: list[Table] = []
    for block in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
        tables.append(Table(lines[0], lines[2:]))
    return tables


TABLES = read_tables(PAGE)


def code_spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def spans_of_rust() -> set[str]:
    """Return the identifiers in the first columns, without what precedes `::`."""
    spans = {span for table in TABLES for row in table.rows for span in code_spans(row[0])}
    return {re.split(r"::", span)[-1] for span in spans}


@pytest.mark.parametrize("kind", RUST)
def test_everything_of_the_rust_client_has_a_row(kind: str) -> None:
    missing = set(RUST[kind].split()) - spans_of_rust()
    assert not missing, f"docs/from-rust.md does not list {sorted(missing)} of {kind}"


def test_rows_are_complete() -> None:
    """A row names something of ours, or says why there is nothing."""
    incomplete = [
        row[0]
        for table in TABLES
        if "yes" not in str(table.rows)
        for row in table.rows
        if not all(row) or len(row) != len(table.head)
    ]
    assert not incomplete


@pytest.mark.parametrize("direction", ["input", "output"])
def test_tables_of_members_equal_the_binding_table(direction: str) -> None:
    (table,) = [table for table in TABLES if table.head[0] == f"{direction} member"]
    written = {
        (column, code_spans(row[0])[0])
        for row in table.rows
        for column, cell in zip(table.head[1:], row[1:], strict=True)
        if cell == "yes"
    }
    bound = {
        (column, binding.name)
        for column, operation in OPERATIONS.items()
        for binding in (operation if direction == "input" else operation.output)._table.bindings
    }
    assert written == bound


def test_every_error_of_an_operation_has_a_row() -> None:
    modelled = {error.__name__ for operation in OPERATIONS.values() for error in operation.errors}
    assert modelled <= spans_of_rust()


OURS = sorted(
    {
        span
        for table in TABLES
        for row in table.rows
        for column, cell in zip(table.head, row, strict=True)
        if column.startswith(("here", "hook"))
        for span in code_spans(cell)
    }
)


def test_names_of_ours_are_found() -> None:
    assert len(OURS) > 70


@pytest.mark.parametrize("span", OURS)
def test_name_of_ours_exists(span: str) -> None:
    path, _, argument = span.removesuffix("=)").partition("(")
    if path == "with_options":
        assert argument in OptionChanges.__annotations__
    elif path == "Client" and argument:
        assert argument in {*WireClientSettings.__annotations__, "io"}
    else:
        found = find(path)
        assert not argument or argument in parameters_of(found)


def find(path: str) -> Any:
    """Return what a dotted path names in the public modules, or the record that declares it."""
    for module in (smruntime_core, smruntime_transports, smruntime_transports.client):
        found: Any = module
        try:
            for name in path.split("."):
                found = found if is_member(found, name) else getattr(found, name)
        except AttributeError:
            continue
        return found
    if path == "TimeoutError":
        return TimeoutError
    raise AssertionError(f"docs/from-rust.md names {path}, which does not exist")


def is_member(found: object, name: str) -> bool:
    """Return whether instances have a member that the class itself lacks."""
    if not isinstance(found, type):
        return False
    if issubclass(found, smruntime_core.SmRuntimeError):
        return hasattr(found("x"), name)
    return issubclass(found, Record) and name in {member.name for member in found._fields}


def parameters_of(found: Any) -> set[str]:
    return set(inspect.signature(found).parameters)
