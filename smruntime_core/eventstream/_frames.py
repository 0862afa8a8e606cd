"""The frame of `application/vnd.amazon.eventstream`, which carries one message:

    ┌────────────┬──────────────┬─────────────┬──────────────┬──────────┬─────────────┐
    │ total size │ headers size │ prelude CRC │ header block │ payload  │ message CRC │      every number is a big-endian u32
    │     4      │      4       │      4      │  0–128 KiB   │ 0–24 MiB │      4      │
    └────────────┴──────────────┴─────────────┴──────────────┴──────────┴─────────────┘
    └── of these: prelude CRC ──┘                                       │
    └────────────────────── of all these: message CRC ──────────────────┘

Both checksums are CRC-32 (`zlib.crc32`). The total size is that of the whole frame: 16 + header block + payload.

The prelude has a checksum of its own so that a reader can trust the sizes before it waits for the rest, or makes room for it.
So a reader must check it as soon as these 12 bytes are there, limits included: a size that nobody checked is a length that
an attacker chose.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from zlib import crc32

from ..errors import ConstructionError, StreamError
from ._headers import MAX_HEADERS, HeaderValue, encode_headers

PRELUDE: Final = 12
OVERHEAD: Final = 16  # a frame without headers and payload: prelude and message CRC
MAX_PAYLOAD: Final = 24 * 1024 * 1024

_sizes = struct.Struct(">II")
_checksum = struct.Struct(">I")
prelude_at: Callable[[bytes, int], tuple[int, int, int]] = struct.Struct(
    ">III"
).unpack_from  # total size, headers size, prelude CRC
checksum_at: Callable[[bytes, int], tuple[int]] = _checksum.unpack_from


class Message(NamedTuple):
    """What one frame carries. Decoded messages share `headers` that are alike, so those cannot be changed."""

    headers: Mapping[str, HeaderValue]
    payload: bytes = b""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name!r}: {_show(value)}" for name, value in self.headers.items())
        return f"Message({{{shown}}}, {_show(self.payload)})"

    def __reduce__(self) -> tuple[object, ...]:
        return Message, (dict(self.headers), self.payload)


def _show(value: HeaderValue) -> str:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else repr(value)


def encode(message: Message) -> bytes:
    """`message` as one frame. Raises `ConstructionError` that names what does not fit, before anything is copied."""
    block, payload = encode_headers(message.headers), message.payload
    if not isinstance(payload, bytes):
        raise ConstructionError("payload", "bytes", f"found {type(payload).__name__}")
    if len(payload) > MAX_PAYLOAD:
        raise ConstructionError("payload", f"at most {MAX_PAYLOAD} bytes", f"it has {len(payload)}")
    sizes = _sizes.pack(OVERHEAD + len(block) + len(payload), len(block))
    head = b"%b%b%b" % (sizes, _checksum.pack(crc32(sizes)), block)
    return b"".join((head, payload, _checksum.pack(crc32(payload, crc32(head)))))


def check_prelude(total: int, length: int, stated: int, computed: int) -> None:
    """Refuse a prelude that cannot be trusted; raises `StreamError`."""
    if stated != computed:
        raise StreamError(f"the prelude's checksum is {computed:08x} where {stated:08x} is stated")
    if length > MAX_HEADERS:
        raise StreamError(
            f"a header block of {length} bytes is announced; {MAX_HEADERS} are allowed"
        )
    payload = total - OVERHEAD - length
    if payload < 0:
        raise StreamError(
            f"a frame of {total} bytes cannot hold {length} bytes of headers and {OVERHEAD} of its own"
        )
    if payload > MAX_PAYLOAD:
        raise StreamError(f"a payload of {payload} bytes is announced; {MAX_PAYLOAD} are allowed")
