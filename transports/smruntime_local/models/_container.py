"""What every model here shares, and what a SageMaker container knows: a call in, a reply out.

A container is not told which operation a call came by. `/invocations` is all it has: whether the parts of its reply are joined,
streamed or stored is decided in `_host`. So a model is a function from `InvokeEndpoint` to `Reply`, and makes its parts as they
are asked for. It fails by raising: a `Refusal` with a status, a `ValueError` for what is the caller's fault (400), anything
else for what is its own (500). A `ServiceError` is said as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from smruntime_core import InvokeEndpoint

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class Reply(NamedTuple):
    """What a container answers: the body in parts, as they are made, and the headers that SageMaker hands on."""

    content_type: str | None
    parts: Iterable[bytes]
    custom_attributes: str | None = None
    new_session_id: str | None = None
    closed_session_id: str | None = None


Model: TypeAlias = Callable[[InvokeEndpoint], Reply]


class Refusal(Exception):
    """The container answered with `status` and `message` instead; status 0 if it did not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class TimedOut(Refusal):
    """The container took too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            0, f"Your invocation timed out: the container said nothing for {seconds:g} seconds."
        )


def reply(call: InvokeEndpoint, content_type: str, parts: Iterable[bytes]) -> Reply:
    """A reply of one of the models here, which give custom attributes back."""
    return Reply(content_type, parts, call.custom_attributes)


def sends_json(call: InvokeEndpoint) -> bool:
    """The body is declared to be JSON."""
    return _media_type(call.content_type) == JSON


def wants(call: InvokeEndpoint, media_type: str) -> bool:
    """`media_type` is what `accept` asks for."""
    return _media_type(call.accept) == media_type


def wants_json(call: InvokeEndpoint) -> bool:
    """JSON is what `accept` asks for; without a preference the answer has the form of the question."""
    return sends_json(call) if _media_type(call.accept) in ("", "*/*") else wants(call, JSON)


def _media_type(value: str | None) -> str:
    return (value or "").partition(";")[0].strip().lower()
