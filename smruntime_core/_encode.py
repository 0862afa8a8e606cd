"""Record → message: the binding table read from left to right."""

from __future__ import annotations

from ._bindings import Bound
from ._model import Headers, Request
from ._rules import ENDPOINT_URL


def request(operation: Bound, method: str, path: str, endpoint: str) -> Request:
    """The unsigned request of `operation` to the service at `endpoint` (scheme, host, perhaps port and path)."""
    values = operation.__dict__
    for binding in operation.labels:
        path = path.replace(f"{{{binding.wire_name}}}", values[binding.name])
    base = ENDPOINT_URL.check("endpoint", endpoint)
    return Request.made(method, base.rstrip("/") + path, headers(operation), values.get("body", b""), sound=True)


def headers(record: Bound) -> Headers:
    """The header fields of the members that were given, in the order of the table."""
    wire_names = record.wire_names
    fields = [(wire_names[name], value) for name, value in record.__dict__.items() if name in wire_names]
    return tuple([(name, str(value)) for name, value in fields] if record.numbers else fields)
