"""The interface of every decoder: bytes in pieces of any size in, events out.

    decoder.receive_data(data)          # never raises for what the bytes are
    decoder.receive_eof()
    while (event := decoder.next_event()) is not NEED_DATA:
        ...

`next_event` returns the next event, or `NEED_DATA` while there is none. After `receive_eof` it
returns the remaining events and then always `NEED_DATA`, or raises `TruncatedStream` if the stream
ended inside an event. An error is final: each later call raises it again. Splitting the bytes
differently never changes the events.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

EventT_co = TypeVar("EventT_co", covariant=True)


class Signal(Enum):
    """What `next_event` returns in place of an event."""

    NEED_DATA = "need data"

    def __repr__(self) -> str:
        return self.name


NEED_DATA: Final = Signal.NEED_DATA
NeedData: TypeAlias = Literal[Signal.NEED_DATA]


class Decoder(Protocol[EventT_co]):
    """A decoder of bytes in pieces of any size."""

    def receive_data(self, data: bytes, /) -> None: ...
    def receive_eof(self) -> None: ...
    def next_event(self) -> EventT_co | NeedData: ...
