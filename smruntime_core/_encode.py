"""Record → message: the binding table read from left to right."""

from __future__ import annotations

from ._bindings import Bound
from ._model import Headers, Request
from ._rules import ENDPOINT_URL
from ._url import Endpoint, Form


def endpoint(member: str, value: object) -> Endpoint:
    """The URL of a service (scheme, host, perhaps port and path); raises `ConstructionError` if `value` is none."""
    return value if isinstance(value, Endpoint) else Endpoint(ENDPOINT_URL.check(member, value))


def request(operation: Bound, method: str, path: str, base: Endpoint) -> Request:
    """The unsigned request of `operation` to the service at `base`."""
    members = operation.__dict__.copy()
    body = members.pop("body", b"")
    wanted = operation.__class__, *members.items()
    form = base.forms.get(wanted) or base.forms.keep(wanted, _form(operation, method, path, base))
    return Request.trusted({"method": method, "url": form.url, "headers": form.headers, "body": body, "form": form})


def _form(operation: Bound, method: str, path: str, base: Endpoint) -> Form:
    """What all requests have in common whose operations differ in nothing but the body."""
    for binding in operation.labels:
        path = path.replace(binding.place, operation.__dict__[binding.name])
    return Form(method, base, path, headers(operation))


def headers(record: Bound) -> Headers:
    """The header fields of the members that were given, in the order of the table."""
    wire_names = record.wire_names
    if record.numbers:
        return tuple([(wire_names[name], str(value)) for name, value in record.__dict__.items() if name in wire_names])
    return tuple([(wire_names[name], value) for name, value in record.__dict__.items() if name in wire_names])
