"""Bytes cut anywhere → messages.

A frame that lies whole in a part is decoded where it is. Only a frame that does not is held, and
each byte of it is copied into a buffer once. Less than a prelude is held as it is. From the prelude
on, which is checked first, the sizes are known, so pieces are only counted and appended until none
is missing.

    part ──> frames that are whole ──────────────────────────> next_event
      │  ^                                                          ^
      v  │ 12 bytes now                                             │ whole now
    _start: less than a prelude       _partial: a frame whose prelude is good

A stream repeats the same headers. So the decoder remembers the last header block with its meaning,
and for that block the preludes it came with: the frame's size and the CRC up to the payload. A
frame that begins with such a prelude and that block (its *head*) is not parsed again. What is
remembered was in a frame whose checksums were right.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Final, TypeAlias
from zlib import crc32

from ..errors import StreamError, TruncatedStream
from ..values._decoder import NEED_DATA, NeedData
from ..values._incremental import PartQueue, interrupted
from ._frames import OVERHEAD, PRELUDE, Message, check_prelude, checksum_at, prelude_at
from ._headers import HeaderValue, decode_headers

MAX_KNOWN: Final = 1024  # heads remembered: more than a stream of small parts has sizes
MAX_JOINED: Final = 8192  # bytes; joining the pieces of a smaller frame saves 0.5 µs
MAX_KNOWN_HEAD: Final = 1024  # bytes; a longer head is read each time

_Headers: TypeAlias = Mapping[str, HeaderValue]
# Prelude and header block, their size, the size of the frame, the CRC so far, what the block says.
_Head: TypeAlias = tuple[bytes | None, int, int, int, _Headers]


class EventStreamDecoder(PartQueue):
    """Event-stream bytes in any pieces → `Message`s."""

    def __init__(self) -> None:
        super().__init__()
        self._part = b""  # that is being read
        self._offset = 0  # in `_part`, of the first byte that is not decoded
        self._position = 0  # in the stream, of `_part` or of the frame that is held
        self._skip = 0  # bytes of the next part that have been read
        self._start = b""
        self._partial: _PartialFrame | None = None
        self._block: tuple[bytes, _Headers] = (b"", decode_headers(b""))  # of the frame before
        self._head: _Head = (None, PRELUDE, 0, 0, {})  # of a frame before
        self._known: dict[bytes, _Head] = {}  # by prelude

    def next_event(self) -> Message | NeedData:
        """Return the next message, or `NEED_DATA` if there is none (yet).

        Raises `StreamError` after the messages before what breaks the format, and again at each
        later call. A length that is not allowed is refused as soon as 12 bytes of its frame are
        there. `TruncatedStream`: the stream ended inside a frame.
        """
        while True:
            part, offset = self._part, self._offset
            head, size, total, crc, headers = self._head
            begun = part[offset : offset + size]
            known = begun == head
            if not known:
                if not (begun or self._parts or self._ended):
                    return NEED_DATA
                found = self._known.get(begun[:PRELUDE])
                if found is not None:
                    head, size, total, crc, headers = self._head = found
                    known = begun == head
            end = offset + total
            if known and end <= len(part):
                payload = part[offset + size : end - 4]
                if crc32(payload, crc) == checksum_at(part, end - 4)[0]:
                    self._offset = end
                    return Message(headers, payload)
            event = self._next_unknown()
            if event is not None:
                return event

    def _next_unknown(self) -> Message | NeedData | None:
        """Do the same for a frame with an unknown head, or that is not whole, or broken.

        None: another part was begun.
        """
        try:
            if self._offset < len(self._part) and (message := self._whole_frame()) is not None:
                return message
            if self._parts:
                return self._begin()
        except StreamError as error:
            self._fail(StreamError(f"the frame at byte {self._position + self._offset}: {error}"))
        except BaseException:  # a signal handler's, or MemoryError: a part may be lost
            self._fail(interrupted())
            raise
        if not self._ended:
            return NEED_DATA
        if not self._finished:
            self._finish()
        return self._at_end()

    def _begin(self) -> Message | None:
        """Go on to the next part; return the message of a held frame that is whole now."""
        part, offset, start = self._parts.popleft(), self._skip, self._start
        self._position += self._offset
        self._part, self._start, self._offset, self._skip = b"", b"", 0, 0
        message = None
        if start:
            wanted = prelude_at(start, 0)[0] if len(start) >= PRELUDE else PRELUDE
            end = offset + wanted - len(start)
            self._part = start + part[offset:end]
            if end < len(part):
                self._parts.appendleft(part)
                self._skip = end
            return None
        if self._partial is not None:
            partial = self._partial
            offset = partial.receive(part, offset)
            if partial.missing:
                return None
            message = self._completed(partial)
            self._position += partial.size
        self._part, self._offset = part, offset
        self._position -= offset
        return message

    def _whole_frame(self) -> Message | None:
        """Return the message of the next frame, or hold it if it is not whole in this part."""
        part, offset = self._part, self._offset
        if len(part) - offset >= PRELUDE:
            size, header_size = _announced(part, offset)
            if offset + size <= len(part):
                message = self._decoded(part, offset, offset + size)
                self._offset = offset + size
                return message
            if size > MAX_JOINED:
                self._partial = _PartialFrame(size, header_size)
                self._partial.receive(part, offset)
        if self._partial is None:
            self._start = part[offset:]
        self._part, self._offset = b"", 0
        self._position += offset
        return None

    def _finish(self) -> None:
        """Check that the stream ended between two frames."""
        self._finished = True
        partial = self._partial
        if partial is not None:
            held, whole = partial.size - partial.missing, str(partial.size)
        else:
            held, whole = len(self._start), f"at least {OVERHEAD}"
            if held >= PRELUDE:
                whole = str(_announced(self._start, 0)[0])
        if held:
            place = f"inside the frame at byte {self._position}"
            self._fail(TruncatedStream(f"the stream ended {place}: {held} of {whole} bytes came"))

    def _fail(self, error: StreamError) -> None:
        self._part, self._start, self._partial = b"", b"", None
        super()._fail(error)

    def _decoded(self, part: bytes, offset: int, end: int) -> Message:
        """Return the message of the frame `part[offset:end]`, whose prelude has been checked."""
        start = offset + PRELUDE + prelude_at(part, offset)[1]
        head, payload = part[offset:start], part[start : end - 4]
        crc = crc32(head)
        if crc32(payload, crc) != checksum_at(part, end - 4)[0]:
            raise _broken()
        return self._remembered(head, payload, crc)

    def _completed(self, partial: _PartialFrame) -> Message:
        """Return the message of the frame that was held, which is whole now."""
        self._partial = None
        if partial.crc != checksum_at(bytes(partial.checksum), 0)[0]:
            raise _broken()
        head = bytes(partial.head)
        return self._remembered(head, partial.payload.getvalue(), crc32(head))

    def _remembered(self, head: bytes, payload: bytes, crc: int) -> Message:
        """Return the message of a frame whose checksums were right, and remember its head.

        `crc` is the CRC of the head.
        """
        block, headers = self._block
        if head[PRELUDE:] != block:
            block = head[PRELUDE:]
            headers = decode_headers(block)
            self._block = block, headers
            self._known.clear()
        elif len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._head = known = (head, len(head), len(head) + len(payload) + 4, crc, headers)
        if len(head) <= MAX_KNOWN_HEAD:
            self._known[head[:PRELUDE]] = known
        return Message(headers, payload)


class _PartialFrame:
    """A frame that has not arrived whole.

    Its payload is collected in the buffer that becomes `Message.payload`, without a copy.
    """

    def __init__(self, size: int, header_size: int) -> None:
        self.size = self.missing = size
        self.head = bytearray()
        self.payload = BytesIO()
        self.checksum = b""
        self.crc = 0  # of head and payload
        self._payload_size = size - OVERHEAD - header_size

    def receive(self, part: bytes, offset: int = 0) -> int:
        """Take from `part` what belongs to the frame; returns where that ends."""
        if self.missing > self._payload_size + 4:
            piece = part[offset : offset + self.missing - self._payload_size - 4]
            self.head += piece
            self.crc = crc32(piece, self.crc)
            offset += self._took(piece)
        if 4 < self.missing <= self._payload_size + 4:
            piece = part[offset : offset + self.missing - 4]
            self.payload.write(piece)
            self.crc = crc32(piece, self.crc)
            offset += self._took(piece)
        if self.missing <= 4:
            piece = part[offset : offset + self.missing]
            self.checksum += piece
            offset += self._took(piece)
        return offset

    def _took(self, piece: bytes) -> int:
        self.missing -= len(piece)
        return len(piece)


def _announced(data: bytes, offset: int) -> tuple[int, int]:
    """Return the sizes of the frame at `offset` and of its header block; raises `StreamError`."""
    total, length, stated = prelude_at(data, offset)
    check_prelude(total, length, stated, crc32(data[offset : offset + 8]))
    return total, length


def _broken() -> StreamError:
    return StreamError("the checksum of the message does not match")
