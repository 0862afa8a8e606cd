"""Record → message: the binding table read from left to right."""

from __future__ import annotations

from functools import lru_cache

from ._bindings import Bound
from ._model import Headers, Request
from ._rules import ENDPOINT_URL


def request(operation: Bound, method: str, path: str, endpoint: str) -> Request:
    """The unsigned request of `operation` to the service at `endpoint` (scheme, host, perhaps port and path)."""
    values = operation.__dict__
    for binding in operation.labels:
        path = path.replace(f"{{{binding.wire_name}}}", values[binding.name])
    base = _base(endpoint) if isinstance(endpoint, str) else ENDPOINT_URL.check("endpoint", endpoint)
    return Request(method, base + path, headers(operation), values["body"])


@lru_cache(64)  # a program has few endpoints and checks each of them once
def _base(endpoint: str) -> str:
    return ENDPOINT_URL.check("endpoint", endpoint).rstrip("/")


def headers(record: Bound) -> Headers:
    """The header fields of the members that were given, in the order of the table."""
    values = record.__dict__
    return tuple([(wire_name, values[name]) for name, wire_name, _ in record.headers if name in values])
