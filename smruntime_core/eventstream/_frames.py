"""The frame of `application/vnd.amazon.eventstream`, which carries one message.

    ┌────────────┬──────────────┬─────────────┬──────────────┬──────────┬─────────────┐
    │ total size │ headers size │ prelude CRC │ header block │ payload  │ message CRC │
    │     4      │      4       │      4      │  0–128 KiB   │ 0–24 MiB │      4      │
    └────────────┴──────────────┴─────────────┴──────────────┴──────────┴─────────────┘
    └── of these: prelude CRC ──┘                                       │
    └────────────────────── of all these: message CRC ──────────────────┘

Every number is a big-endian u32; the checksums are CRC-32 (`zlib.crc32`). The total size is that of
the whole frame: 16 bytes, the header block and the payload.

The prelude has a checksum of its own so that a reader can trust the sizes before it waits for the
rest or reserves memory. So a reader must check it, and the limits, as soon as its 12 bytes have
arrived: an unchecked size may be an attacker's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from zlib import crc32

from ..errors import ConstructionError, StreamError
from ._headers import MAX_HEADERS, HeaderValue, encode_headers

PRELUDE_SIZE: Final = 12
CHECKSUM_SIZE: Final = 4
MIN_FRAME_SIZE: Final = 16  # without headers and payload: prelude and message CRC
MAX_PAYLOAD: Final = 24 * 1024 * 1024

_pack_sizes: Callable[[int, int], bytes] = struct.Struct(">II").pack
_pack_checksum: Callable[[int], bytes] = struct.Struct(">I").pack
# Unpack the total size, headers size and prelude CRC.
unpack_prelude: Callable[[bytes, int], tuple[int, int, int]] = struct.Struct(">III").unpack_from
unpack_checksum: Callable[[bytes, int], tuple[int]] = struct.Struct(">I").unpack_from


class Message(NamedTuple):
    """The headers and payload of one frame.

    Decoded messages with equal header blocks share their `headers`, which cannot be changed.
    """

    headers: Mapping[str, HeaderValue]
    payload: bytes = b""

    def __repr__(self) -> str:
        shown_headers = [f"{name!r}: {_hide_bytes(value)}" for name, value in self.headers.items()]
        return f"Message({{{', '.join(shown_headers)}}}, {_hide_bytes(self.payload)})"

    def __reduce__(self) -> tuple[object, ...]:
        return Message, (dict(self.headers), self.payload)


def _hide_bytes(value: HeaderValue) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else repr(value)


def encode(message: Message) -> bytes:
    """Return `message` as one frame.

    Raises `ConstructionError` that names what exceeds a limit, before anything is copied.
    """
    header_block, payload = encode_headers(message.headers), message.payload
    if not isinstance(payload, bytes):
        raise ConstructionError("payload", "bytes", f"found {type(payload).__name__}")
    if len(payload) > MAX_PAYLOAD:
        raise ConstructionError(
            "payload", f"at most {MAX_PAYLOAD} bytes", f"it has {len(payload)} bytes"
        )
    packed_sizes = _pack_sizes(MIN_FRAME_SIZE + len(header_block) + len(payload), len(header_block))
    head = b"%b%b%b" % (packed_sizes, _pack_checksum(crc32(packed_sizes)), header_block)
    return b"".join((head, payload, _pack_checksum(crc32(payload, crc32(head)))))


def check_prelude(
    frame_size: int, block_size: int, stated_checksum: int, computed_checksum: int
) -> None:
    """Raise `StreamError` if the checksum of a prelude is wrong or its sizes exceed the limits."""
    if stated_checksum != computed_checksum:
        shown_checksum = f"{computed_checksum:08x}"
        raise StreamError(
            f"the prelude's checksum is {shown_checksum} where {stated_checksum:08x} is stated"
        )
    if block_size > MAX_HEADERS:
        raise StreamError(
            f"a header block of {block_size} bytes is announced; {MAX_HEADERS} are allowed"
        )
    payload_size = frame_size - MIN_FRAME_SIZE - block_size
    if payload_size < 0:
        raise StreamError(
            f"a frame of {frame_size} bytes cannot hold {block_size} bytes of headers "
            f"and {MIN_FRAME_SIZE} of its own"
        )
    if payload_size > MAX_PAYLOAD:
        raise StreamError(
            f"a payload of {payload_size} bytes is announced; {MAX_PAYLOAD} are allowed"
        )
