"""Event streams: decoded where they lie, and as they come over loopback. CPU microseconds an event."""

from __future__ import annotations

from collections.abc import Iterator

import ours
import server
from measuring import Bench, Missing, Subject, Value, serving

from smruntime_core.eventstream import EventStreamDecoder
from smruntime_core.streaming import NEED_DATA


def _each(took: dict[str, Value]) -> tuple[Value, Value]:
    mine, theirs = (value if isinstance(value, Missing) else value / server.EVENTS for value in took.values())
    return mine, theirs


def decode(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """Events of 64 bytes out of a stream that is there."""
    data = server.PART * server.EVENTS

    def mine() -> None:
        decoder = EventStreamDecoder()
        events = 0
        for start in range(0, len(data), 1 << 16):
            decoder.receive_data(data[start : start + (1 << 16)])
            while decoder.next_event() is not NEED_DATA:
                events += 1
        assert events == server.EVENTS

    yield _each(bench.compare({"ours": Subject(mine), "botocore": bench.peer("boto3", "boto:decode")}))


def stream(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """Events over loopback, each in a chunk of its own."""
    with serving() as ports:
        client = ours.client(ports.url)

        def mine() -> None:
            with client.invoke_endpoint_with_response_stream(**ours.MEMBERS) as stream:
                events = sum(1 for _ in stream.bytes())
            assert events == server.EVENTS

        yield _each(bench.compare({"ours": Subject(mine), "botocore": bench.peer("boto3", "boto:stream", ports.url)}))
