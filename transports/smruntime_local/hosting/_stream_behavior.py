"""How a streamed response is cut and delayed, and which fault ends it.

A caller of `InvokeEndpointWithResponseStream` sets this per call in `custom_attributes`. Attributes
are separated by `;` or `,`; those with other names are left to the model.

    cut=aligned             as the model made the parts (default; `serve(cut=...)` changes it)
    cut=bytes               each byte is a part
    cut=inside              also inside of each UTF-8 character of more than one byte
    cut=random:7            anywhere, with the seed 7 (default 0)

    delay=0.05              seconds before each part

    fault=ModelStreamError:StreamBroken@3    three events, then this error with its error code
                                             (default "ModelInvocationTimeExceeded")
    fault=InternalStreamFailure@3            three events, then this error
    fault=error:Overloaded@3                 three events, then an error that the service's model
                                             does not define (default "UnknownError")
    fault=truncate@3                         three events and half of one, then HTTP ends regularly
    fault=close@3                            three events and half of one, then a closed connection
    fault=flip@3                             one bit of the fourth event is wrong
    fault=stall:2@3                          two seconds (default 1) without data before the fourth

`:detail` and `@events` are optional; the default is a fault after one event. A fault always occurs:
if the model has finished by then, it gets an empty event.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from smruntime_core import (
    InternalStreamFailure,
    ModelStreamError,
    Response,
    ServiceError,
    ValidationError,
)
from smruntime_core.service import event
from smruntime_core.streaming import PayloadPart

from ..models._container import ContainerTimeout

Parts: TypeAlias = Iterator[bytes]
Sleep: TypeAlias = Callable[[float], object]
PartCutter: TypeAlias = Callable[[Parts, int], Parts]
StreamFault: TypeAlias = Callable[[str, bytes, Parts, Sleep], Parts]

MAX_PART_SIZE: Final = 1024 * 1024  # bytes in one event
LONGEST_WAIT: Final = 60.0  # seconds of a delay or stall
LARGEST_RANDOM_PART: Final = 32  # bytes

_find_attributes = re.compile(r"(?:^|[;,])[ ]*(cut|delay|fault)=([^;, ]*)").findall
_match_fault = re.compile(r"(\w+)(?::([\w.]+))?(?:@([0-9]{1,9}))?").fullmatch
_match_cut = re.compile(r"(\w+)(?::([0-9]{1,9}))?").fullmatch
_after_lead_byte = re.compile(rb"(?<=[\xc0-\xff])")


class Hangup(Exception):
    """The signal to close the connection in the middle of the response."""


class StreamedResponse(NamedTuple):
    """A response with a complete head and a body that is made chunk by chunk."""

    head: Response
    chunks: Generator[bytes]


class StreamBehavior(NamedTuple):
    """The cut, delay and fault of a stream; `detail` and `after_events` belong to the fault."""

    cut: str = "aligned"
    seed: int = 0
    delay: float = 0.0
    fault: str = ""
    detail: str = ""
    after_events: int = 1


def parse_attributes(custom_attributes: str | None, behavior: StreamBehavior) -> StreamBehavior:
    """Return `behavior` changed by custom attributes; raises `ValidationError` for wrong ones."""
    parsers = {"cut": parse_cut, "delay": _parse_delay, "fault": _parse_fault}
    try:
        for name, value in _find_attributes(custom_attributes or ""):
            behavior = parsers[name](value, behavior)
    except ValueError as error:
        raise ValidationError(f"custom_attributes: {error}") from None
    return behavior


def parse_cut(text: str, behavior: StreamBehavior) -> StreamBehavior:
    """Return `behavior` with the cut that `text` names; raises `ValueError` for an unknown one."""
    found_cut = _match_cut(text)
    if not found_cut or found_cut[1] not in PART_CUTTERS:
        expected = f"one of {', '.join(PART_CUTTERS)}, or random:SEED"
        raise ValueError(f"cut={text!r}: cut must be {expected}")
    return behavior._replace(cut=found_cut[1], seed=int(found_cut[2] or 0))


def _parse_delay(text: str, behavior: StreamBehavior) -> StreamBehavior:
    return behavior._replace(delay=_parse_seconds("delay=", text))


def _parse_fault(text: str, behavior: StreamBehavior) -> StreamBehavior:
    found_fault = _match_fault(text)
    if not found_fault or found_fault[1] not in STREAM_FAULTS:
        expected = f"one of {', '.join(STREAM_FAULTS)}, with optional :detail and @events"
        raise ValueError(f"fault={text!r}: fault must be {expected}")
    fault, detail, after_events = found_fault.groups("")
    if fault == "stall":
        _parse_seconds("fault=stall:", detail or "1")
    return behavior._replace(fault=fault, detail=detail, after_events=int(after_events or 1))


def _parse_seconds(attribute_prefix: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        expected = f"0 to {LONGEST_WAIT:g} seconds"
        raise ValueError(f"{attribute_prefix}{text}: must be {expected}")
    return seconds


def encode_stream(parts: Parts, behavior: StreamBehavior, sleep: Sleep) -> Generator[bytes]:
    """Yield the encoded events of a stream; raises `Hangup` for the fault `close`."""
    cut_parts = PART_CUTTERS[behavior.cut](parts, behavior.seed)
    encoded_events = _encode_events(cut_parts, behavior.delay, sleep)
    if not behavior.fault:
        yield from encoded_events
        return
    for _, encoded_event in zip(range(behavior.after_events), encoded_events, strict=False):
        yield encoded_event
    faulty_event = next(encoded_events, event(PayloadPart(b"")))
    make_fault = STREAM_FAULTS[behavior.fault]
    yield from make_fault(behavior.detail, faulty_event, encoded_events, sleep)


def _encode_events(parts: Parts, delay: float, sleep: Sleep) -> Parts:
    """Yield an event for each part, and the error of a model that fails on the way."""
    try:
        for part in parts:
            for start in range(0, len(part), MAX_PART_SIZE):
                sleep(delay)
                yield event(PayloadPart(part[start : start + MAX_PART_SIZE]))
    except ServiceError as failure:
        is_timeout = isinstance(failure.__cause__, ContainerTimeout)
        error_code = "ModelInvocationTimeExceeded" if is_timeout else "StreamBroken"
        yield event(_make_stream_error(failure.message_raw, error_code))


def _make_stream_error(message: str, error_code: str) -> ModelStreamError:
    stream_error = ModelStreamError(message)
    stream_error.error_code = error_code
    return stream_error


def _keep_parts(parts: Parts, seed: int) -> Parts:
    return parts


def _cut_into_bytes(parts: Parts, seed: int) -> Parts:
    return (part[index : index + 1] for part in parts for index in range(len(part)))


def _cut_inside_characters(parts: Parts, seed: int) -> Parts:
    return (piece for part in parts for piece in _after_lead_byte.split(part))


def _cut_randomly(parts: Parts, seed: int) -> Parts:
    """Yield pieces of random sizes; less than one piece is held back."""
    generator = random.Random(seed)  # noqa: S311 - dice, no secret
    remainder, piece_size = b"", generator.randint(1, LARGEST_RANDOM_PART)
    for part in parts:
        remainder, start = remainder + part, 0
        while start + piece_size <= len(remainder):
            yield remainder[start : start + piece_size]
            start, piece_size = start + piece_size, generator.randint(1, LARGEST_RANDOM_PART)
        remainder = remainder[start:]
    yield remainder


PART_CUTTERS: Final[Mapping[str, PartCutter]] = {
    "aligned": _keep_parts,
    "bytes": _cut_into_bytes,
    "inside": _cut_inside_characters,
    "random": _cut_randomly,
}


def _fail_in_model(detail: str, faulty_event: bytes, rest: Parts, sleep: Sleep) -> Parts:
    message = "The model was asked to fail, and did."
    yield event(_make_stream_error(message, detail or "ModelInvocationTimeExceeded"))


def _fail_in_service(detail: str, faulty_event: bytes, rest: Parts, sleep: Sleep) -> Parts:
    yield event(InternalStreamFailure("The service was asked to fail, and did."))


def _fail_undefined(detail: str, faulty_event: bytes, rest: Parts, sleep: Sleep) -> Parts:
    message = "The service was asked for an undefined error, and returns one."
    yield event(ServiceError(message, code=detail or "UnknownError"))


def _truncate(detail: str, faulty_event: bytes, rest: Parts, sleep: Sleep) -> Parts:
    yield faulty_event[: len(faulty_event) // 2]


def _hang_up(detail: str, faulty_event: bytes, rest: Parts, sleep: Sleep) -> Parts:
    yield faulty_event[: len(faulty_event) // 2]
    raise Hangup


def _flip_bit(detail: str, faulty_event: bytes, rest: Parts, sleep: Sleep) -> Parts:
    middle = len(faulty_event) // 2
    flipped_byte = bytes([faulty_event[middle] ^ 1])
    yield faulty_event[:middle] + flipped_byte + faulty_event[middle + 1 :]
    yield from rest


def _stall(detail: str, faulty_event: bytes, rest: Parts, sleep: Sleep) -> Parts:
    sleep(float(detail or "1"))
    yield faulty_event
    yield from rest


STREAM_FAULTS: Final[Mapping[str, StreamFault]] = {
    "ModelStreamError": _fail_in_model,
    "InternalStreamFailure": _fail_in_service,
    "error": _fail_undefined,
    "truncate": _truncate,
    "close": _hang_up,
    "flip": _flip_bit,
    "stall": _stall,
}
