"""Streams as they come on a good day and on a bad one.

A caller of `InvokeEndpointWithResponseStream` says in `custom_attributes`, call by call, how its parts are cut, how fast they
come, and what goes wrong. Attributes are separated by `;` or `,`; those of other names are left to the model.

    cut=aligned             as the model made them (unless `serve(cut=...)` says otherwise)
    cut=bytes               every byte a part of its own
    cut=inside              as the model made them, and inside of every UTF-8 character of more than one byte
    cut=random:7            anywhere, with the seed 7 (0 if none is given)

    delay=0.05              seconds before each part

    fault=ModelStreamError:StreamBroken@3    three events, then this error with its error code ("ModelInvocationTimeExceeded")
    fault=InternalStreamFailure@3            three events, then this error
    fault=error:Overloaded@3                 three events, then an error that no model of the service knows ("UnknownError")
    fault=truncate@3                         three events and half of one; HTTP ends as if nothing were amiss
    fault=close@3                            three events and half of one; the connection is closed
    fault=flip@3                             one bit of the fourth event is wrong
    fault=stall:2@3                          silence for two seconds before the fourth event (1 if no number is given)

What stands after `:` and `@` may be left out; the fault then comes after one event. A fault always comes: if the model has
finished by then, an empty event is made to bear it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, TypeAlias

from smruntime_core import InternalStreamFailure, ModelStreamError, ServiceError, ValidationError
from smruntime_core.service import event
from smruntime_core.streaming import PayloadPart

from .models._container import TimedOut

Parts: TypeAlias = Iterator[bytes]
Sleep: TypeAlias = Callable[[float], object]
Cutter: TypeAlias = Callable[[Parts, int], Parts]

MAX_PART = 1024 * 1024  # the most that one event bears
LONGEST = 60.0  # seconds of delay or silence
LARGEST_RANDOM = 32  # bytes

_attributes = re.compile(r"(?:^|[;,])[ ]*(cut|delay|fault)=([^;, ]*)").findall
_fault = re.compile(r"(\w+)(?::([\w.]+))?(?:@([0-9]{1,9}))?").fullmatch
_cut = re.compile(r"(\w+)(?::([0-9]{1,9}))?").fullmatch
_after_lead_byte = re.compile(rb"(?<=[\xc0-\xff])")


class Hangup(Exception):
    """The connection is to be closed in the middle of the answer."""


class Manner(NamedTuple):
    """How a stream is to come."""

    cut: str = "aligned"
    seed: int = 0
    delay: float = 0.0
    fault: str = ""
    detail: str = ""
    after: int = 1


def asked(attributes: str | None, manner: Manner) -> Manner:
    """`manner`, but for what custom attributes ask. Raises `ValidationError`."""
    change = {"cut": how_to_cut, "delay": _slow, "fault": _fail}
    try:
        for name, value in _attributes(attributes or ""):
            manner = change[name](value, manner)
    except ValueError as wrong:
        raise ValidationError(f"custom_attributes: {wrong}") from None
    return manner


def how_to_cut(text: str, manner: Manner) -> Manner:
    """`manner`, but cut as `text` says. Raises `ValueError`."""
    found = _cut(text)
    if not found or found[1] not in CUTTERS:
        raise ValueError(
            f"cut must be one of {', '.join(CUTTERS)}; a seed may stand behind a colon"
        )
    return manner._replace(cut=found[1], seed=int(found[2] or 0))


def _slow(text: str, manner: Manner) -> Manner:
    return manner._replace(delay=_seconds(text))


def _fail(text: str, manner: Manner) -> Manner:
    found = _fault(text)
    if not found or found[1] not in FAULTS:
        raise ValueError(
            f"fault must be one of {', '.join(FAULTS)}; :detail and @events may follow"
        )
    if found[1] == "stall":
        _seconds(found[2] or "1")
    return manner._replace(fault=found[1], detail=found[2] or "", after=int(found[3] or 1))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"delay and stall take 0 to {LONGEST:g} seconds")
    return seconds


def frames(parts: Parts, manner: Manner, sleep: Sleep) -> Generator[bytes]:
    """The events of a stream, encoded. Ends in `Hangup` if that is what was asked for."""
    whole = _encoded(CUTTERS[manner.cut](parts, manner.seed), manner.delay, sleep)
    if not manner.fault:
        yield from whole
        return
    for _, frame in zip(range(manner.after), whole, strict=False):
        yield frame
    yield from FAULTS[manner.fault](
        manner.detail, next(whole, event(PayloadPart(b""))), whole, sleep
    )


def _encoded(parts: Parts, delay: float, sleep: Sleep) -> Parts:
    """An event for each part; a model that fails on the way ends them with the error that says so."""
    try:
        for part in parts:
            for start in range(0, len(part), MAX_PART):
                sleep(delay)
                yield event(PayloadPart(part[start : start + MAX_PART]))
    except ServiceError as failure:
        late = isinstance(failure.__cause__, TimedOut)
        yield event(
            _stream_error(
                failure.message_raw, "ModelInvocationTimeExceeded" if late else "StreamBroken"
            )
        )


def _stream_error(message: str, code: str) -> ModelStreamError:
    error = ModelStreamError(message)
    error.error_code = code
    return error


def _aligned(parts: Parts, seed: int) -> Parts:
    return parts


def _bytes(parts: Parts, seed: int) -> Parts:
    return (part[index : index + 1] for part in parts for index in range(len(part)))


def _inside(parts: Parts, seed: int) -> Parts:
    return (piece for part in parts for piece in _after_lead_byte.split(part))


def _random(parts: Parts, seed: int) -> Parts:
    """Pieces of drawn sizes, whatever the parts were; what is held back for the next piece is always less than one."""
    draw = random.Random(seed)  # noqa: S311 - dice, no secret
    held, size = b"", draw.randint(1, LARGEST_RANDOM)
    for part in parts:
        held, start = held + part, 0
        while start + size <= len(held):
            yield held[start : start + size]
            start, size = start + size, draw.randint(1, LARGEST_RANDOM)
        held = held[start:]
    yield held


CUTTERS: dict[str, Cutter] = {
    "aligned": _aligned,
    "bytes": _bytes,
    "inside": _inside,
    "random": _random,
}


def _model_stream_error(detail: str, frame: bytes, rest: Parts, sleep: Sleep) -> Parts:
    yield event(
        _stream_error(
            "The model was asked to fail, and did.", detail or "ModelInvocationTimeExceeded"
        )
    )


def _internal_stream_failure(detail: str, frame: bytes, rest: Parts, sleep: Sleep) -> Parts:
    yield event(InternalStreamFailure("The service was asked to fail, and did."))


def _error(detail: str, frame: bytes, rest: Parts, sleep: Sleep) -> Parts:
    yield event(
        ServiceError("Something was asked to fail, and did.", code=detail or "UnknownError")
    )


def _truncate(detail: str, frame: bytes, rest: Parts, sleep: Sleep) -> Parts:
    yield frame[: len(frame) // 2]


def _close(detail: str, frame: bytes, rest: Parts, sleep: Sleep) -> Parts:
    yield frame[: len(frame) // 2]
    raise Hangup


def _flip(detail: str, frame: bytes, rest: Parts, sleep: Sleep) -> Parts:
    middle = len(frame) // 2
    yield frame[:middle] + bytes([frame[middle] ^ 1]) + frame[middle + 1 :]
    yield from rest


def _stall(detail: str, frame: bytes, rest: Parts, sleep: Sleep) -> Parts:
    sleep(float(detail or "1"))
    yield frame
    yield from rest


FAULTS: dict[str, Callable[[str, bytes, Parts, Sleep], Parts]] = {
    "ModelStreamError": _model_stream_error,
    "InternalStreamFailure": _internal_stream_failure,
    "error": _error,
    "truncate": _truncate,
    "close": _close,
    "flip": _flip,
    "stall": _stall,
}
