"""Bytes cut anywhere → messages.

Frames that lie whole in what arrived are decoded where they are; only a frame that did not arrive whole is held, and each byte
of it goes into the buffer once. Less than a prelude is held as it is. From the prelude on, which is checked first, the number of
missing bytes is known, so pieces are only counted and appended until none is missing.

    receive_data ──> frames that are whole ──> queue ──> next_event
         │  ^
         v  │ whole now
      _start: < 12 bytes      _partial: a frame whose prelude is good, _missing > 0

A stream says the same headers again and again. So the decoder remembers the last header block with what it means, and for that
block the preludes it came with: the frame's size and the CRC up to the payload. A frame that begins with such a prelude and
that block (its *head*) is not looked into again. What is remembered was in a frame whose checksums were right.
"""

from __future__ import annotations

from collections import deque
from io import BytesIO
from typing import Final
from zlib import crc32

from ..errors import StreamError, TruncatedStream
from ..values._decoder import NEED_DATA, NeedData
from ._frames import OVERHEAD, PRELUDE, Message, check_prelude, checksum_at, prelude_at
from ._headers import decode_headers

MAX_KNOWN: Final = 1024  # heads remembered: more than a stream of small parts has sizes
MAX_KNOWN_HEAD: Final = 1024  # bytes; a longer head is read each time


class EventStreamDecoder:
    """Event-stream bytes in any pieces → `Message`s.

    What breaks the format comes out of `next_event` as `StreamError`, after the messages before it; a length that is not
    allowed does so as soon as 12 bytes of its frame are there.
    """

    def __init__(self) -> None:
        self._events: deque[Message] = deque()
        self._failure: StreamError | None = None
        self._ended = False
        self._position = 0  # of the first byte not decoded yet, in the whole stream
        self._start = b""
        self._partial = BytesIO()
        self._missing = 0
        self._block = b""
        self._headers = decode_headers(b"")
        self._known: dict[bytes, tuple[bytes, int, int]] = {}  # prelude -> head, size of the frame, CRC of the head

    def receive_data(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take in bytes from the stream; raises nothing. After an error they are dropped."""
        if self._ended and data:
            self._fail(StreamError("bytes came after the end of the stream"))
        if self._failure is not None:
            return
        if type(data) is not bytes:
            data = bytes(memoryview(data))  # not bytes(data): a number is no data
        offset = 0
        if self._missing:
            offset = self._resume(data)
        elif self._start:
            data = self._start + data
        if offset < len(data) and self._failure is None:
            self._decode(data, offset)

    def receive_eof(self) -> None:
        """The stream ended: `next_event` gives what is left, then raises `TruncatedStream` if that was inside a frame."""
        self._ended = True
        if held := len(self._start) or self._partial.tell():
            whole = held + self._missing if self._missing else f"at least {OVERHEAD}"
            self._fail(TruncatedStream(f"the stream ended inside the frame at byte {self._position}: {held} of {whole} bytes came"))

    def next_event(self) -> Message | NeedData:
        """The next message, or `NEED_DATA`; raises `StreamError`, then and for good, where the stream went wrong."""
        if self._events:
            return self._events.popleft()
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # else it would grow each time
        return NEED_DATA

    def _resume(self, data: bytes) -> int:
        """Go on with the frame that is held; returns how much of `data` belongs to it."""
        piece = data[: self._missing]
        self._partial.write(piece)
        self._missing -= len(piece)
        if not self._missing:
            frame, self._partial = self._partial.getvalue(), BytesIO()  # getvalue() hands its buffer over and copies nothing
            self._decode(frame, 0)
        return len(piece)

    def _decode(self, data: bytes, offset: int) -> None:
        """Queue every whole frame from `offset` on, and hold the rest."""
        self._position -= offset  # while this runs: where `data` begins in the stream
        size, known, append = len(data), self._known, self._events.append
        length, headers = PRELUDE + len(self._block), self._headers
        head, total, crc = b"", 0, 0  # of the frame before: prelude and header block, size, CRC so far
        try:
            while size - offset >= PRELUDE:
                begun = data[offset : offset + length]
                if begun != head:
                    found = known.get(begun[:PRELUDE])
                    if found is None or found[0] != begun:
                        end = offset + _announced(data, offset)
                        if end > size:
                            break
                        append(self._learn(data, offset, end))
                        length, headers = PRELUDE + len(self._block), self._headers
                        head = b""  # it may have had another block
                        offset = end
                        continue
                    head, total, crc = found
                end = offset + total
                if end > size:
                    break
                payload = data[offset + length : end - 4]
                if crc32(payload, crc) != checksum_at(data, end - 4)[0]:
                    raise _broken()
                append(Message(headers, payload))
                offset = end
        except StreamError as error:
            self._fail(StreamError(f"the frame at byte {self._position + offset}: {error}"))
        else:
            self._position += offset
            self._hold(data, offset)

    def _learn(self, data: bytes, offset: int, end: int) -> Message:
        """Decode the frame `data[offset:end]`, its prelude checked, and remember how it begins."""
        start = offset + PRELUDE + prelude_at(data, offset)[1]
        head, payload = data[offset:start], data[start : end - 4]
        crc = crc32(head)
        if crc32(payload, crc) != checksum_at(data, end - 4)[0]:
            raise _broken()
        block = head[PRELUDE:]
        if block != self._block:
            self._headers = decode_headers(block)
            self._block = block
            self._known.clear()
        elif len(self._known) >= MAX_KNOWN:
            self._known.clear()
        if len(head) <= MAX_KNOWN_HEAD:
            self._known[head[:PRELUDE]] = head, end - offset, crc
        return Message(self._headers, payload)

    def _hold(self, data: bytes, offset: int) -> None:
        """Keep the beginning of a frame; if its prelude is there, it is good."""
        held = len(data) - offset
        if held < PRELUDE:
            self._start = data[offset:]
            return
        self._start = b""
        self._partial.write(memoryview(data)[offset:])
        self._missing = prelude_at(data, offset)[0] - held

    def _fail(self, failure: StreamError) -> None:
        """The stream ends here; the first failure is the one that counts."""
        self._failure = self._failure or failure
        self._start, self._missing, self._partial = b"", 0, BytesIO()


def _announced(data: bytes, offset: int) -> int:
    """The size of the frame at `offset`, by its prelude; raises `StreamError`."""
    total, length, stated = prelude_at(data, offset)
    check_prelude(total, length, stated, crc32(data[offset : offset + 8]))
    return total


def _broken() -> StreamError:
    return StreamError("the checksum of the message does not match")
