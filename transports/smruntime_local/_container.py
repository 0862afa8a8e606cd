"""What all models here share: bytes in, content type and bytes out. A `ValueError` is the caller's fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from smruntime_core import InvokeEndpoint

Model: TypeAlias = Callable[[InvokeEndpoint], "tuple[str, bytes]"]

JSON = "application/json"


def sends_json(call: InvokeEndpoint) -> bool:
    """The body is declared to be JSON."""
    return _media_type(call.content_type) == JSON


def wants_json(call: InvokeEndpoint) -> bool:
    """JSON is what `accept` asks for; without a preference the answer has the form of the question."""
    accepted = _media_type(call.accept)
    return sends_json(call) if accepted in ("", "*/*") else accepted == JSON


def _media_type(value: str | None) -> str:
    return (value or "").partition(";")[0].strip().lower()
