"""The one shape of every decoder in this package: bytes in, events out, in any pieces.

    decoder.receive_data(data)          # raises nothing; what is wrong with it comes out below, in its place
    decoder.receive_eof()
    while (event := decoder.next_event()) is not NEED_DATA:
        ...

`next_event` gives the next event, or `NEED_DATA` if there is none yet. After `receive_eof` it gives what is left and then, for
good, `NEED_DATA`; or it raises `TruncatedStream` if the end came in the middle of something. An error is final: whoever asks
again is told again. Any cutting of the bytes gives the same events in the same order.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

EventT_co = TypeVar("EventT_co", covariant=True)


class Signal(Enum):
    """What `next_event` says when it has no event."""

    NEED_DATA = "need data"

    def __repr__(self) -> str:
        return self.name


NEED_DATA: Final = Signal.NEED_DATA
NeedData: TypeAlias = Literal[Signal.NEED_DATA]


class Decoder(Protocol[EventT_co]):
    """Bytes in any pieces → events."""

    def receive_data(self, data: bytes, /) -> None: ...
    def receive_eof(self) -> None: ...
    def next_event(self) -> EventT_co | NeedData: ...
