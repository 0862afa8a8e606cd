"""The interface of a container: a call in, a reply out.

A container has one path, `/invocations`, and does not know by which operation it was called:
`hosting/_model_host.py` joins, streams or stores the parts of its reply. So a model is a function
from `Call` to `ContainerReply`, and makes the parts when they are read. It fails by
raising:

    Refusal         a response with another status
    ValueError      the caller's mistake (400), and so is a `ResponseError` of `Call.json()`
    ServiceError    passed on unchanged
    anything else   its own failure (500)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias

from smruntime_core import InvokeEndpoint

from ._call import Call

JSON_TYPE: Final = "application/json"
TEXT_TYPE: Final = "text/plain; charset=utf-8"


class ContainerReply(NamedTuple):
    """The body in parts, as they are made, and the headers that SageMaker passes on."""

    content_type: str | None
    parts: Iterable[bytes]
    custom_attributes: str | None = None
    new_session_id: str | None = None
    closed_session_id: str | None = None
    invoked_production_variant: str = "AllTraffic"


Model: TypeAlias = Callable[[Call], ContainerReply]


def make_when_called(make_model: Callable[[], Model]) -> Model:
    """Return a model that is made by the first of its calls; others wait for it."""
    making_lock = threading.Lock()
    made_models: list[Model] = []

    def respond(call: Call) -> ContainerReply:
        with making_lock:
            if not made_models:
                made_models.append(make_model())
        return made_models[0](call)

    return respond


class Refusal(Exception):
    """The container answered with an error status; status 0 if it did not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status: int = status
        self.message: str = message


class ContainerTimeout(Refusal):
    """The container did not answer in time."""

    def __init__(self, seconds: float, problem: str = "the container said nothing for") -> None:
        super().__init__(0, f"Your invocation timed out: {problem} {seconds:g} seconds.")


def make_reply(call: InvokeEndpoint, content_type: str, parts: Iterable[bytes]) -> ContainerReply:
    """Return a reply with the custom attributes of `call`, as the built-in models do."""
    return ContainerReply(content_type, parts, call.custom_attributes)


def sends_json(call: InvokeEndpoint) -> bool:
    """Return whether the body is declared to be JSON."""
    return _media_type(call.content_type) == JSON_TYPE


def accepts_type(call: InvokeEndpoint, media_type: str) -> bool:
    """Return whether `accept` names `media_type`."""
    return _media_type(call.accept) == media_type


def accepts_json(call: InvokeEndpoint) -> bool:
    """Return whether `accept` names JSON; without a preference, whether the body is JSON."""
    if _media_type(call.accept) in ("", "*/*"):
        return sends_json(call)
    return accepts_type(call, JSON_TYPE)


def _media_type(header_value: str | None) -> str:
    return (header_value or "").partition(";")[0].strip().lower()
