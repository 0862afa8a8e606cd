"""Record → message: the binding table read from left to right."""

from __future__ import annotations

from ._bindings import Bound
from ._model import Headers, Request


def request(operation: Bound, method: str, path: str, base: str) -> Request:
    """The unsigned request of `operation` to the service at `base` (scheme, host, perhaps port and path, no slash at the end)."""
    values = operation.__dict__
    for binding in operation.labels:
        path = path.replace(binding.place, values[binding.name])
    return Request.made(method, base + path, headers(operation), values.get("body", b""), sound=True)


def headers(record: Bound) -> Headers:
    """The header fields of the members that were given, in the order of the table."""
    wire_names = record.wire_names
    if record.numbers:
        return tuple([(wire_names[name], str(value)) for name, value in record.__dict__.items() if name in wire_names])
    return tuple([(wire_names[name], value) for name, value in record.__dict__.items() if name in wire_names])
