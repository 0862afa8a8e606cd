"""Faults 24 and 94, stream: streams that are left early, and parts of very many events."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final
from zlib import crc32

from ..eventstream import Message, encode, encode_headers
from ..values._timeouts import Timeouts
from ._builders import HEALTHY_OUTPUT, STATUS_LINE, declare
from ._scenario import (
    DEFAULT_CALL,
    SPARE_MEMORY,
    ExpectedFailure,
    ExpectedStream,
    Scenario,
    StreamedCall,
)
from ._server_script import Script, keep_serving, respond, stream_pieces

_PART_HEADERS: Final = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
}
_TWO_PARTS: Final = encode(Message(_PART_HEADERS, b"[1] [2] ")) * 2
_CONTENT_TYPE: Final = b"Content-Type: application/vnd.amazon.eventstream\r\n"
_LARGE_SIZE: Final = 16 * 1024 * 1024
_PIECE_SIZE: Final = 65536
# the part must arrive before it, also on a busy machine
_DEADLINE: Final = Timeouts(total=1.5)
_READ_TOO_LATE: Final = ExpectedFailure("timeout", "body", "answered", 200)


class _LargePart:
    """The pieces of a part of `_LARGE_SIZE` bytes, made again for each run: a unit repeated."""

    def __init__(self, repeated_unit: bytes) -> None:
        self._piece = repeated_unit * (_PIECE_SIZE // len(repeated_unit))

    def __iter__(self) -> Iterator[bytes]:
        header_block = encode_headers(_PART_HEADERS)
        frame_size = 16 + len(header_block) + _LARGE_SIZE
        yield STATUS_LINE + _CONTENT_TYPE + b"Content-Length: %d\r\n\r\n" % frame_size
        packed_sizes = struct.pack(">II", frame_size, len(header_block))
        frame_head = packed_sizes + struct.pack(">I", crc32(packed_sizes)) + header_block
        yield frame_head
        checksum = crc32(frame_head)
        for _ in range(_LARGE_SIZE // _PIECE_SIZE):
            checksum = crc32(self._piece, checksum)
            yield self._piece
        yield struct.pack(">I", checksum)


def _left_early(name: str, leave_after: int | None, reader: str = "bytes") -> Scenario:
    """Return a scenario of a stream of two parts, with two records each."""
    head = STATUS_LINE + _CONTENT_TYPE + b"Content-Length: %d\r\n\r\n" % len(_TWO_PARTS)
    call = StreamedCall(reader=reader, leave_after=leave_after)
    items = leave_after or 2
    return _then_recover(
        "24",
        name,
        respond(head + _TWO_PARTS),
        call,
        ExpectedStream(items),
        connections=1 if leave_after is None else 2,
    )


def _large_part(name: str, reader: str, unit: bytes, leave_after: int | None = None) -> Scenario:
    """Return a scenario of a part of very many events, which is left or read until the deadline.

    The events cannot be decoded before the deadline; the first ones must be handed out.
    """
    failure = None if leave_after else _READ_TOO_LATE
    settings: dict[str, Any] = {} if leave_after else {"timeouts": _DEADLINE, "duration": 1.5}
    return _then_recover(
        "94",
        name,
        stream_pieces(_LargePart(unit), ending=keep_serving),
        StreamedCall(reader=reader, leave_after=leave_after),
        ExpectedStream(leave_after or 1, failure),
        connections=2,
        memory_limit=SPARE_MEMORY + _LARGE_SIZE,
        **settings,
    )


def _then_recover(
    fault: str,
    name: str,
    script: Script,
    call: StreamedCall,
    expected: ExpectedStream,
    **settings: Any,
) -> Scenario:
    """Return a scenario with a streamed call, then a healthy one."""
    settings["operations"] = (call, DEFAULT_CALL)
    return declare(fault, name, script, expected, HEALTHY_OUTPUT, **settings)


STREAM_SCENARIOS: list[Scenario] = [
    _left_early("read to its end", None),
    _left_early("left after the first part", 1),
    _left_early("left within the first part", 1, "json"),
    _left_early("left after the last part", 2),
    _large_part("of empty arrays, until timeouts.total", "json", b"[]"),
    _large_part("of empty lines, until timeouts.total", "lines", b"\n"),
    _large_part("of empty lines, left after the first", "lines", b"\n", 1),
    _large_part("of server-sent events, left after the first", "sse", b"data:a\n\n", 1),
]
