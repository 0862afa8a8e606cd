"""The other side of the protocol: message → operation, and output or error → message.

A test double, a proxy or a local endpoint needs what the client has, mirrored; so both read the same binding table, and

    service.read(operation.request(url)) == operation
    operation.parse(service.answer(output, request_id="…")) == output

hold for every operation and output that can be made, and for errors likewise. Nothing here does I/O or checks a signature:
call `smruntime_core.verify` first, then `read`. A request that says no operation raises the `ServiceError` to answer with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote

from . import _encode
from ._bindings import Location, Output
from ._decode import fields
from ._errors import ConstructionError, ServiceError, ValidationError
from ._model import Headers, Request, Response
from ._operations import InvokeEndpoint, Operation
from ._url import split

OPERATIONS: tuple[type[Operation[Output]], ...] = (InvokeEndpoint,)


def _route(kind: type[Operation[Output]]) -> Callable[[str], re.Match[str] | None]:
    """Matches the operation's path, its labels as groups. A base path may stand before it, as in the URL of `request`."""
    parts = re.split(r"\{\w+\}", kind.path)
    return re.compile("(?:/.*)?" + "([^/]*)".join(map(re.escape, parts)), re.DOTALL).fullmatch


_ROUTES = tuple((kind, _route(kind), re.findall(r"\{(\w+)\}", kind.path)) for kind in OPERATIONS)


def read(request: Request) -> Operation[Output]:
    """The operation that `request` asks for, its header values the received bytes read as latin-1.

    Raises `ValidationError` naming the member that breaks its rule, or a `ServiceError` with the code
    `UnknownOperationException` and status 404 if there is no such method and path.
    """
    try:
        _, _, path, _ = split(request.url)
        for kind, route, labels in _ROUTES:
            found = route(path) if request.method == kind.method else None
            if found:
                return _build(kind, dict(zip(labels, map(unquote, found.groups()), strict=True)), request)
    except ConstructionError as refused:
        raise ValidationError(str(refused)) from refused
    raise ServiceError("No operation has this method and path.", code="UnknownOperationException", status=404)


def _build(kind: type[Operation[Output]], labels: dict[str, str], request: Request) -> Operation[Output]:
    headers = fields(request.headers)
    values: dict[str, object] = {}
    for binding in kind.bindings:
        value: object = request.body
        if binding.location is Location.LABEL:
            value = labels[binding.wire_name]
        elif binding.location is Location.HEADER:
            value = headers.get(binding.wire_name.lower())
        if value is not None:
            values[binding.name] = value
        elif binding.required:
            raise ConstructionError(binding.name, "given")
    # The members are those of a subclass that only the table knows.
    return cast("Callable[..., Operation[Output]]", kind)(**values)


def answer(result: Output | ServiceError, *, request_id: str) -> Response:
    """The response that says `result`: `operation.parse` gives back an output that is equal, or raises an error that is."""
    identity: Headers = (("x-amzn-RequestId", request_id),)
    if isinstance(result, Output):
        values = vars(result)
        body = next((values[b.name] for b in result.bindings if b.location is Location.PAYLOAD), b"")
        return Response(200, identity + _encode.headers(result), bytes(body))
    document: dict[str, object] = {"Message": result.message_raw}
    for name, wire_name, _ in result.members:
        value = getattr(result, name)
        if value is not None:
            document[wire_name] = value
    kind: Headers = (("x-amzn-ErrorType", result.code), ("Content-Type", "application/json"))
    return Response(result.status, identity + kind, json.dumps(document).encode())
