"""Steps of a script: what an endpoint does with its next calls, instead of answering well.

    endpoint.script("churn", *throttle(2), Delay(0.2), {"score": 1}, Cut(20), HtmlPage(502))

Each step is for one call, in order; calls after the last step are answered as usual. A step is one
of the records below, a `ServiceError` to answer with, or a value that a model could return. A call
may also ask for one fault in its custom attributes:

    fault=delay:0.2     seconds before the answer
    fault=drip:0.01     seconds between two bytes of the answer
    fault=slow_head:2   seconds in the middle of the head
    fault=cut:20        the connection ends after so many bytes of the answer
    fault=reset         the connection is reset instead of an answer
    fault=stale         the connection ends after the answer, without notice
    fault=html:502      a page of HTML with this status, as of a proxy
    fault=throttle      ThrottlingException
    fault=unavailable   ServiceUnavailable
    fault=internal      InternalFailure

Streams have further ones (`_stream_behavior`).
"""

from __future__ import annotations

import random
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from smruntime_core import (
    InternalFailure,
    Response,
    ServiceError,
    ServiceUnavailable,
    ValidationError,
)

from ..models._call import Call
from ..models._function import check_result
from ._stream_behavior import STREAM_FAULTS

LONGEST_SECONDS: Final = 60.0
HTML_PAGE: Final = b"<html><head><title>Error</title></head><body><h1>Error</h1></body></html>\n"

_FAULT: Final = re.compile(r"(?:^|[;,])[ ]*fault=(\w+)(?::([\w.]+))?")


def _check_seconds(name: str, value: object) -> None:
    if not isinstance(value, int | float) or not 0 <= value <= LONGEST_SECONDS:
        raise ValueError(f"{name}={value!r}: must be 0 to {LONGEST_SECONDS:g} seconds")


@dataclass(frozen=True)
class Delay:
    """Answer after `seconds`."""

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds("seconds", self.seconds)


@dataclass(frozen=True)
class RandomDelay:
    """Answer after a random time between two limits, the same for the same seed."""

    least: float
    most: float
    seed: int = 0

    def __post_init__(self) -> None:
        _check_seconds("least", self.least)
        _check_seconds("most", self.most)

    @property
    def seconds(self) -> float:
        """The time that `seed` chooses."""
        return random.Random(self.seed).uniform(self.least, self.most)  # noqa: S311 - dice


@dataclass(frozen=True)
class Drip:
    """Send the answer byte by byte, `seconds` apart."""

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds("seconds", self.seconds)


@dataclass(frozen=True)
class SlowHead:
    """Pause for `seconds` in the middle of the head."""

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds("seconds", self.seconds)


@dataclass(frozen=True)
class Cut:
    """End the connection after `after_bytes` of the answer, its head included."""

    after_bytes: int

    def __post_init__(self) -> None:
        if type(self.after_bytes) is not int or self.after_bytes < 0:
            raise ValueError(f"after_bytes={self.after_bytes!r}: must be a whole number from 0")


@dataclass(frozen=True)
class Reset:
    """Reset the connection instead of an answer."""


@dataclass(frozen=True)
class StaleConnection:
    """End the connection after the answer, which does not say so."""


@dataclass(frozen=True)
class HtmlPage:
    """Answer with a page of HTML, as a proxy or load balancer does."""

    status: int = 502

    def __post_init__(self) -> None:
        if type(self.status) is not int or not 400 <= self.status < 600:
            raise ValueError(f"status={self.status!r}: must be 400 to 599")

    def response(self) -> Response:
        """Return the page."""
        return Response(self.status, (("Content-Type", "text/html"),), HTML_PAGE)


@dataclass(frozen=True)
class Reply:
    """Answer with what a model could return."""

    value: object

    def answer(self, call: Call) -> object:
        """Return the value, whatever the call is."""
        return self.value


WireFault: TypeAlias = Drip | SlowHead | Cut | Reset | StaleConnection
Step: TypeAlias = WireFault | Delay | RandomDelay | HtmlPage | Reply | ServiceError

WIRE_FAULTS: Final = (Drip, SlowHead, Cut, Reset, StaleConnection)
_STEPS: Final = (*WIRE_FAULTS, Delay, RandomDelay, HtmlPage, Reply, ServiceError)


def throttle(times: int) -> tuple[ServiceError, ...]:
    """Return steps that refuse `times` calls with ThrottlingException."""
    return tuple(
        ServiceError("Rate exceeded", code="ThrottlingException", status=400) for _ in range(times)
    )


_FAULTS_BY_NAME: Final[Mapping[str, Callable[[str], Step]]] = {
    "delay": lambda detail: Delay(float(detail or 1)),
    "drip": lambda detail: Drip(float(detail or 0.01)),
    "slow_head": lambda detail: SlowHead(float(detail or 1)),
    "cut": lambda detail: Cut(int(detail or 1)),
    "reset": lambda detail: Reset(),
    "stale": lambda detail: StaleConnection(),
    "html": lambda detail: HtmlPage(int(detail or 502)),
    "throttle": lambda detail: throttle(1)[0],
    "unavailable": lambda detail: ServiceUnavailable("The service is unavailable."),
    "internal": lambda detail: InternalFailure("An internal failure occurred."),
}


def parse_fault(custom_attributes: str | None) -> Step | None:
    """Return the step that a call asks for; raises `ValidationError` for a wrong one.

    Faults of streams are left to `_stream_behavior`.
    """
    found = _FAULT.search(custom_attributes or "")
    if found is None or found[1] in STREAM_FAULTS:
        return None
    if found[1] not in _FAULTS_BY_NAME:
        known = ", ".join((*STREAM_FAULTS, *_FAULTS_BY_NAME))
        raise ValidationError(f"custom_attributes: fault={found[1]}: fault must be one of {known}")
    try:
        return _FAULTS_BY_NAME[found[1]](found[2] or "")
    except ValueError as error:
        shown = found[0].lstrip(" ;,")
        raise ValidationError(f"custom_attributes: {shown}: {error}") from None


def without_fault(custom_attributes: str | None) -> str:
    """Return custom attributes without the fault that `parse_fault` has read."""
    return _FAULT.sub("", custom_attributes or "")


class UnusedStepsError(RuntimeError):
    """An endpoint was closed before all steps of its scripts had been used."""


class Scripts:
    """The steps that are left for each endpoint; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[str, deque[Step]] = {}

    def add(self, endpoint_name: str, steps: tuple[object, ...]) -> None:
        """Append steps for an endpoint; a value becomes a `Reply`.

        Raises `TypeError` for a value that no model could return.
        """
        checked = [step if isinstance(step, _STEPS) else Reply(step) for step in steps]
        for step in checked:
            if isinstance(step, Reply):
                check_result(step.value)
        with self._lock:
            self._steps.setdefault(endpoint_name, deque()).extend(checked)

    def take(self, endpoint_name: str) -> Step | None:
        """Return the next step, None if there is none."""
        with self._lock:
            steps = self._steps.get(endpoint_name)
            return steps.popleft() if steps else None

    def clear(self) -> None:
        """Forget the steps that are left."""
        with self._lock:
            self._steps.clear()

    def raise_unused(self) -> None:
        """Raise `UnusedStepsError` that names the steps that are left, if there are any."""
        with self._lock:
            unused = {name: list(steps) for name, steps in self._steps.items() if steps}
        if unused:
            described = "; ".join(
                f"{name}: {', '.join(map(repr, steps))}" for name, steps in unused.items()
            )
            raise UnusedStepsError(f"steps that no call has used: {described}")
