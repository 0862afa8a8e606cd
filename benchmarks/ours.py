"""This library doing the work of `work.py`: requests, clients and what their IOs are asked."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from measuring import Subject
from memory import Growth
from server import BODY as ANSWERED
from server import HEADERS
from work import BODY, KEYS, LARGE, LARGE_ENDPOINT, NOW, REGION, SERVICE, TEXT

import smruntime_core as sm

CREDENTIALS = sm.Credentials(*KEYS)
SCOPE = sm.Scope(REGION, SERVICE)
WHERE = sm.Config(region=REGION).url  # as a client keeps it: checked once
MEMBERS: dict[str, Any] = {"endpoint_name": "churn", "body": BODY} | {member: value for member, (_, _, value) in TEXT.items()}

RESPONSE = sm.Response(200, HEADERS, ANSWERED)


def signed(url: str, **changes: object) -> sm.Request:
    """The request of a call, as a client's IO gets it."""
    runtime = sm.Runtime(sm.Config(region=REGION, endpoint_url=url), clock=time, random=random.random)
    flow = runtime.call(sm.InvokeEndpoint(**MEMBERS | changes))
    flow.send(None)  # it asks for credentials
    return cast("sm.Send", flow.send(CREDENTIALS)).request


def without_io() -> object:
    """A whole call but for sending."""
    operation = sm.InvokeEndpoint(**MEMBERS)
    request = operation.request(WHERE)
    request.replace(headers=request.headers + sm.sign(request, CREDENTIALS, SCOPE, now=NOW).headers)
    return operation.parse(RESPONSE)


def client(url: str, transport: str = "sockets", **options: object) -> Any:
    """A client; its IO is its `_io`."""
    module = import_module(f"smruntime_transports.{transport}")
    made = module.Client if hasattr(module, "Client") else module.AsyncClient
    return made(**{"region": REGION, "endpoint_url": url, "credentials": CREDENTIALS} | options)


def call(url: str, **options: Any) -> Subject:
    """A call over sockets, as users write it."""
    made = client(url, **options)
    return Subject(lambda: made.invoke_endpoint(**MEMBERS).body)


def _growth(url: str, do: Callable[[Any], object]) -> Growth:
    made = client(url)
    made.invoke_endpoint(**MEMBERS)
    return Growth(lambda: do(made))


def upload(url: str) -> Growth:
    """Memory for a long body up."""
    members = MEMBERS | {"body": b"x" * LARGE}
    return _growth(url, lambda made: made.invoke_endpoint(**members))


def download(url: str) -> Growth:
    """Memory for a long body down."""
    return _growth(url, lambda made: made.invoke_endpoint(**MEMBERS | {"endpoint_name": LARGE_ENDPOINT}))
