"""A part with millions of events is decoded one event at a time: other tasks run, deadlines hold.

Events and bytes between two yields to the event loop are counted, not timed.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from smruntime_core import (
    DispatchFailure,
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStreamOutput,
    Response,
    StreamError,
    Timeouts,
    TruncatedStream,
    run,
    service,
)
from smruntime_core.conversation._call_tracker import CallTracker
from smruntime_core.conversation._stream import MAX_BYTES, MAX_EVENTS
from smruntime_core.effects import Receive, Sleep
from smruntime_core.eventstream import EventStreamDecoder, Message, encode
from smruntime_core.payload import (
    JSONLinesDecoder,
    JSONRecordDecoder,
    LineDecoder,
    ServerSentEvent,
    SSEDecoder,
    TextDecoder,
)
from smruntime_core.streaming import (
    PayloadPart,
    ResponseEnded,
    ResponseParser,
    ResponseStarted,
    Stream,
)
from smruntime_core.values._decoder import NEED_DATA, Decoder

from .callers import AWAITED, BLOCKING, CREDENTIALS, STREAMED
from .servers import scripted
from .test_linear import counted

MIB = 1024 * 1024
TINY: dict[str, tuple[Callable[[], Decoder[object]], bytes]] = {
    "event stream": (EventStreamDecoder, encode(Message({}))),
    "text": (TextDecoder, "a𝄞".encode()),
    "lines": (LineDecoder, b"\n"),
    "lines of a letter": (LineDecoder, b"ab\n"),
    "server-sent events": (SSEDecoder, b"data:\n\n"),
    "JSON lines": (JSONLinesDecoder, b"[]\n"),
    "JSON records": (JSONRecordDecoder, b"[]"),
    "JSON numbers": (JSONRecordDecoder, b"1 "),
    "JSON records of some depth": (JSONRecordDecoder, b"[[[[]]]]"),
}
tiny = pytest.mark.parametrize("name", TINY)


def filled(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


# ── decoders ──


@tiny
def test_event_costs_the_same_in_a_part_of_any_size(name: str) -> None:
    make, unit = TINY[name]

    def steps(size: int) -> int:
        decoder = make()
        with counted() as found:
            decoder.receive_data(filled(unit, size))
            assert decoder.next_event() is not NEED_DATA
        return found.count

    steps(1000)
    assert steps(MIB) <= steps(100_000) + 10, "events are decoded before they are asked for"


@tiny
def test_part_of_tiny_events_takes_no_more_memory_than_itself(name: str) -> None:
    make, unit = TINY[name]
    part, decoder = filled(unit, 4 * MIB), make()
    tracemalloc.start()
    try:
        decoder.receive_data(part)
        for _ in range(1000):
            decoder.next_event()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


@pytest.mark.parametrize("line", [b"data\n", b"data:ab\n", b"data: \xc3\xa9\n"])
def test_event_of_many_lines_takes_little_more_memory_than_its_text(line: bytes) -> None:
    part, decoder = filled(line, MIB), SSEDecoder()
    tracemalloc.start()
    try:
        decoder.receive_data(part)
        assert decoder.next_event() is NEED_DATA
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 3 * MIB


def test_large_payload_is_not_copied() -> None:
    size = 8 * MIB
    frame, decoder = encode(Message({"a": "b"}, bytes(size))), EventStreamDecoder()
    tracemalloc.start()
    try:
        for start in range(0, len(frame), 65_536):
            decoder.receive_data(frame[start : start + 65_536])
            message = decoder.next_event()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(message, Message) and len(message.payload) == size
    assert peak < 1.3 * size


@tiny
def test_interrupt_inside_a_decoder_leaves_no_silent_gap(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler that raises may lose the rest of a part, never make a part look whole."""
    make, unit = TINY[name]
    decoder = make()
    decoder.receive_data(unit * 3)
    assert decoder.next_event() is not NEED_DATA

    def interrupted(*_: object) -> Iterator[object]:
        yield from ()
        raise KeyboardInterrupt

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    if isinstance(decoder, EventStreamDecoder):
        monkeypatch.setattr("smruntime_core.eventstream._decoder.crc32", interrupt)
        with pytest.raises(KeyboardInterrupt):
            decoder.next_event()
        monkeypatch.undo()
        assert [decoder.next_event() for _ in range(3)] == [Message({}), Message({}), NEED_DATA]
        return
    monkeypatch.setattr(decoder, "_events", interrupted())
    with pytest.raises(KeyboardInterrupt):
        decoder.next_event()
    for _ in range(2):
        with pytest.raises(StreamError, match="interrupted"):
            decoder.next_event()


# ── the stream, driven by hand ──


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class Body:
    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class ScriptedIO:
    """An IO that returns the pieces of a `Body` and records the effects."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def receive(self, effect: Receive) -> bytes:
        self.asked.append("receive")
        body = cast("Body", effect.body)
        return body.pieces.pop(0) if body.pieces else b""

    def sleep(self, effect: Sleep) -> None:
        assert effect.seconds == 0
        self.asked.append("pause")


def opened(
    *pieces: bytes, timeout: float | None = None
) -> tuple[Stream[InvokeEndpointWithResponseStreamOutput], Body, Clock]:
    operation = InvokeEndpointWithResponseStream(endpoint_name="e", body=b"")
    parser = ResponseParser(operation)
    parser.receive_head(Response(200, (("Content-Type", "application/vnd.amazon.eventstream"),)))
    head = parser.next_event()
    assert isinstance(head, ResponseStarted) and isinstance(
        head.output, InvokeEndpointWithResponseStreamOutput
    )
    body, clock = Body(*pieces), Clock()
    tracker = CallTracker(None, operation, operation.request("http://h"), "id", clock, timeout)
    return Stream(head.output, body, parser, tracker, Timeouts()), body, clock


def batches(
    stream: Stream[Any], read: Callable[[], Iterator[object]], io: ScriptedIO
) -> list[list[object]]:
    """Return the events between two effects."""
    found: list[list[object]] = []
    while True:
        found.append(list(read()))
        if stream.ended:
            return found
        run(stream.more(), io)


def part(data: bytes) -> bytes:
    return service.event(PayloadPart(data))


def test_iterator_stops_after_some_events_and_continues() -> None:
    data = filled(b"[]", 10_000)
    stream, _, _ = opened(part(data) + part(b"[1]"))
    io, decoder = ScriptedIO(), JSONRecordDecoder()
    found = batches(stream, lambda: stream.decoded(decoder), io)
    assert max(map(len, found)) == MAX_EVENTS
    assert [event for batch in found for event in batch] == [[]] * 5000 + [[1]]
    assert io.asked.count("receive") == 2
    assert io.asked.count("pause") == 5001 // MAX_EVENTS


def test_iterator_stops_after_some_bytes_without_events() -> None:
    stream, _, _ = opened(part(b"\n" * (3 * MAX_BYTES)) + part(b"data: a\n\n"))
    io, decoder = ScriptedIO(), SSEDecoder()
    found = batches(stream, lambda: stream.decoded(decoder), io)
    assert [event for batch in found for event in batch] == [ServerSentEvent("a")]
    assert io.asked.count("pause") == 3


@pytest.mark.parametrize("way", ["events", "parts"])
def test_small_parts_are_read_in_batches(way: str) -> None:
    stream, _, _ = opened(part(b"x") * 1000)
    io = ScriptedIO()
    found = batches(stream, getattr(stream, way), io)
    assert max(map(len, found)) == MAX_EVENTS
    expected: list[object] = (
        [b"x"] * 1000 if way == "parts" else [PayloadPart(b"x")] * 1000 + [ResponseEnded()]
    )
    assert [event for batch in found for event in batch] == expected


def test_another_method_continues_where_one_stopped() -> None:
    stream, _, _ = opened(part(b" " * MAX_BYTES + b"rest") + part(b"last"))
    run(stream.more(), ScriptedIO())
    assert list(stream.decoded(JSONRecordDecoder())) == []
    assert list(stream.parts()) == [b"rest", b"last"]


@pytest.mark.parametrize("way", ["events", "parts", "decoded"])
def test_deadline_between_two_events_ends_the_stream(way: str) -> None:
    pieces = part(b"[1]") * 10 if way != "decoded" else part(b"[1]" * 10)
    stream, body, clock = opened(pieces, timeout=1.0)
    io, decoder = ScriptedIO(), JSONRecordDecoder()
    run(stream.more(), io)
    seen = 0
    for _ in stream.decoded(decoder) if way == "decoded" else getattr(stream, way)():
        seen += 1
        clock.now += 0.3
    assert seen == 4, "events were given after the deadline"
    with pytest.raises(DispatchFailure) as caught:
        run(stream.more(), io)
    failure = caught.value
    assert (failure.kind, failure.phase, failure.delivery, failure.status) == (
        "timeout",
        "body",
        "answered",
        200,
    )
    assert body.aborted and io.asked == ["receive"]
    with pytest.raises(DispatchFailure):
        next(stream.parts())


def test_deadline_without_events_ends_the_stream() -> None:
    stream, body, clock = opened(part(b"\n" * (3 * MAX_BYTES)), timeout=1.0)
    io, decoder = ScriptedIO(), SSEDecoder()
    run(stream.more(), io)
    assert list(stream.decoded(decoder)) == []
    clock.now = 2.0
    with pytest.raises(DispatchFailure, match="time"):
        run(stream.more(), io)
    assert body.aborted


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_unterminated_event_is_delivered_at_a_clean_end_only(end: bytes) -> None:
    data = b'data: 1\n\ndata: {"finish_reason": "stop"}' + end
    stream, _, _ = opened(part(data))
    decoder = SSEDecoder()
    found = batches(stream, lambda: stream.decoded(decoder), ScriptedIO())
    last = ServerSentEvent('{"finish_reason": "stop"}', terminated=False)
    assert [event for batch in found for event in batch] == [ServerSentEvent("1"), last]

    stream, _, _ = opened(part(data) + part(b"")[:-1])
    decoder = SSEDecoder()
    run(stream.more(), ScriptedIO())
    assert list(stream.decoded(decoder)) == [ServerSentEvent("1")]
    run(stream.more(), ScriptedIO())
    with pytest.raises(TruncatedStream):
        list(stream.decoded(decoder))


# ── the clients ──


def answer(data: bytes) -> bytes:
    body = part(data)
    head = service.begin(
        InvokeEndpointWithResponseStreamOutput(content_type="text/plain"), request_id="q-1"
    )
    lines = [
        "HTTP/1.1 200 OK",
        *(f"{name}: {value}" for name, value in head.headers),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def settings(url: str) -> dict[str, Any]:
    return {"region": "us-east-1", "endpoint_url": url, "credentials": CREDENTIALS}


METHODS = {"json": b"[]", "sse": b"data:\n\n", "lines": b"\n"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", AWAITED)
def test_other_tasks_run_between_some_events(name: str, method: str) -> None:
    make, loop = AWAITED[name]
    data = filled(METHODS[method], 100_000)
    ticks, most, since, seen = 0, 0, 0, 0

    async def ticking(stream: Any) -> None:
        nonlocal ticks
        while not stream._stream.ended and stream._stream._failure is None:
            ticks += 1
            await loop.sleep(0)

    async def reading(stream: Any) -> None:
        nonlocal most, since, seen
        before = ticks
        async for _ in getattr(stream, method)():
            seen += 1
            since = since + 1 if ticks == before else 1
            before = ticks
            most = max(most, since)

    async def main() -> None:
        async with make(**settings(server.url)) as client, client.stream(STREAMED) as stream:
            await both(loop, lambda: ticking(stream), lambda: reading(stream))

    with scripted(answer(data)) as server:
        loop.run(main)
    assert seen == len(data) // len(METHODS[method])
    assert most <= 2 * MAX_EVENTS, f"{most} events without a yield to the loop"


@pytest.mark.parametrize("name", AWAITED)
def test_other_tasks_run_while_there_are_no_events(name: str) -> None:
    make, loop = AWAITED[name]
    ticks = 0

    async def ticking(stream: Any) -> None:
        nonlocal ticks
        while not stream._stream.ended and stream._stream._failure is None:
            ticks += 1
            await loop.sleep(0)

    async def reading(stream: Any) -> None:
        nonlocal ticks
        async for _ in stream.sse():
            ticks = 0  # of the last part, which has no event

    async def main() -> None:
        async with make(**settings(server.url)) as client, client.stream(STREAMED) as stream:
            await both(loop, lambda: ticking(stream), lambda: reading(stream))

    with scripted(answer(b"data: a\n\n" + b"\n" * MIB)) as server:
        loop.run(main)
    assert ticks >= MIB // MAX_BYTES


async def both(loop: Any, first: Callable[[], Any], second: Callable[[], Any]) -> None:
    import asyncio

    import trio

    if loop.run is trio.run:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            nursery.start_soon(second)
    else:
        await asyncio.gather(first(), second())


def slowly(items: Iterator[object]) -> None:
    for _ in items:
        time.sleep(0.02)


@pytest.mark.parametrize("name", BLOCKING)
def test_slow_reader_does_not_outlive_the_deadline(name: str) -> None:
    with scripted(answer(b"[]" * 1000)) as server, BLOCKING[name](**settings(server.url)) as client:
        began = time.monotonic()
        with (
            client.with_options(timeout=2.0).stream(STREAMED) as stream,
            pytest.raises(DispatchFailure) as caught,
        ):
            slowly(stream.json())  # takes 20 s to the end
        assert caught.value.kind == "timeout"
        assert time.monotonic() - began < 2.0 + 2.0
