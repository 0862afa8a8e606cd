"""The request that a caller's function makes of a request, before it is signed.

The function is the caller's, so its result is checked like a request of a caller. A retry decides
by the operation whether the model may run twice, and an answer is read by the operation: so what
the operation itself has written stays as it is.

    part of the request                     what the function may do
    method and URL                          nothing
    header fields of the operation          nothing: pass them as members
    other header fields                     add, change and remove, by the rules of `extra_headers`
    body                                    replace by bytes that the operation accepts
"""

from __future__ import annotations

from typing import Final

from ..errors import ConstructionError
from ..protocol._bindings import Output
from ..protocol._operations import Operation
from ..values._bodies import Body
from ..values._hooks import function_name
from ..values._http import Headers, Request
from ..values._rules import check_bytes
from ._options import BeforeSigning, check_headers

MEMBER: Final = "before_signing"


def change_request(
    before_signing: BeforeSigning, request: Request, operation: Operation[Output]
) -> Request:
    """Return what `before_signing` makes of `request`, the request of `operation`.

    Raises `ConstructionError` for a result that must not be signed, and what the function raises.
    """
    changed_request: object = before_signing(request)
    if changed_request is request:
        return request
    name = function_name(before_signing)
    if not isinstance(changed_request, Request):
        found = f"{name} returned {type(changed_request).__name__}"
        raise ConstructionError(MEMBER, "a function from Request to Request", found)
    if (changed_request.method, changed_request.url) != (request.method, request.url):
        rule = "a function that keeps method and URL (endpoint_resolver chooses the URL)"
        raise ConstructionError(MEMBER, rule, f"{name} changed them")
    headers = check_headers(MEMBER, changed_request.headers)
    _check_member_headers(name, request.headers, headers, operation)
    body = request.body
    if changed_request.body is not body:
        body = _check_body(name, changed_request.body, operation)
    return Request(request.method, request.url, headers, body)


def _check_member_headers(
    name: str, headers: Headers, changed_headers: Headers, operation: Operation[Output]
) -> None:
    """Raise `ConstructionError` unless the header fields of the operation's members are the same.

    Names of fields are compared without case.
    """
    member_names = operation._table.members_by_header
    fields = {name.lower(): value for name, value in headers}
    changed_fields = {name.lower(): value for name, value in changed_headers}
    for header_name, member_name in member_names.items():
        if fields.get(header_name) != changed_fields.get(header_name):
            rule = f"a function that keeps {header_name}: pass {member_name}= to the operation"
            raise ConstructionError(MEMBER, rule, f"{name} changed it")


def _check_body(name: str, body: object, operation: Operation[Output]) -> Body:
    """Return a new body, checked by the rules of the operation."""
    try:
        checked_body = check_bytes("body", body)
        operation.replace(body=checked_body)
    except ConstructionError as refusal:
        found = f"{name} returned another body ({refusal})"
        rule = "a function whose body the operation accepts"
        raise ConstructionError(MEMBER, rule, found) from None
    return checked_body
