"""Operations to requests, as the binding table says."""

from __future__ import annotations

from ..values._http import Headers, Request
from ..values._rules import ENDPOINT_URL
from ..values._url import Endpoint
from ._bindings import MessageRecord, RequestRecord


def check_endpoint(member: str, value: object) -> Endpoint:
    """Return the URL of a service: scheme, host, and perhaps port and path.

    Raises `ConstructionError` for anything else.
    """
    return value if isinstance(value, Endpoint) else Endpoint(ENDPOINT_URL.check(member, value))


def build_request(operation: RequestRecord, base_url: Endpoint) -> Request:
    """Return the unsigned request of `operation` to the service at `base_url`."""
    members, path = vars(operation), operation.path
    for label in operation._table.labels:
        path = path.replace(label.placeholder, members[label.name])
    body = members.get("body", b"")
    return Request(operation.method, base_url + path, encode_headers(operation), body)


def encode_headers(record: MessageRecord) -> Headers:
    """Return the header fields of the members that were given, in the order of the table."""
    names = record._table.header_names
    return tuple(
        [(names[member], str(value)) for member, value in vars(record).items() if member in names]
    )
