"""Record → message: the binding table read from left to right."""

from __future__ import annotations

from ..values._messages import Headers, Request
from ..values._rules import ENDPOINT_URL
from ..values._url import Endpoint, Form
from ._bindings import Asking, Bound


def endpoint(member: str, value: object) -> Endpoint:
    """The URL of a service (scheme, host, perhaps port and path); raises `ConstructionError` if `value` is none."""
    return value if isinstance(value, Endpoint) else Endpoint(ENDPOINT_URL.check(member, value))


def request(operation: Asking, base: Endpoint) -> Request:
    """The unsigned request of `operation` to the service at `base`."""
    forms = operation.forms()
    form = forms.get(base)
    if form is None:
        form = forms.keep(base, _form(operation, base))
    body = operation.__dict__.get("body", b"")
    return Request.trusted({"method": form.method, "url": form.url, "headers": form.headers, "body": body, "form": form})


def _form(operation: Asking, base: Endpoint) -> Form:
    """What all requests have in common whose operations differ in nothing but the body."""
    path = operation.path
    for binding in operation.labels:
        path = path.replace(binding.place, operation.__dict__[binding.name])
    return Form(operation.method, base, path, headers(operation))


def headers(record: Bound) -> Headers:
    """The header fields of the members that were given, in the order of the table."""
    wire_names = record.wire_names
    if record.numbers:
        return tuple([(wire_names[name], str(value)) for name, value in record.__dict__.items() if name in wire_names])
    return tuple([(wire_names[name], value) for name, value in record.__dict__.items() if name in wire_names])
