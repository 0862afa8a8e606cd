"""Faults that no scenario of the contract shows: slow streams, slow readers, default timeouts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from smruntime_core import InvokeEndpointWithResponseStreamOutput, ServiceError, Timeouts, service
from smruntime_core.streaming import PayloadPart

from .callers import PERFORMERS, STREAMED, STREAMERS, Step
from .servers import Peer, acting


def call_at_once(callers: list[Callable[..., Any]], url: str) -> list[Any]:
    """Return what each caller returns; they run at the same time because each takes seconds."""
    with ThreadPoolExecutor(len(callers)) as pool:
        return list(pool.map(lambda caller: caller(url), callers))


def test_error_body_of_a_stream_slower_than_a_byte_a_second_is_truncated() -> None:
    """A stream may be as slow as the model; an error in its place may not."""
    head = b"HTTP/1.1 500 x\r\nx-amzn-errortype: InternalFailure\r\nContent-Length: 1000000\r\n\r\n"

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(head)
        peer.drip(itertools.repeat(b".", 8), 1.6)

    timeouts = Timeouts(idle=2.0)
    callers: list[Callable[..., Any]] = [
        partial(streamer, timeouts=timeouts) for streamer in STREAMERS.values()
    ]
    with acting(act) as server:
        for (result,) in call_at_once(callers, server.url):
            assert isinstance(result.error, ServiceError), result.error
            assert (result.error.code, result.error.truncated) == ("InternalFailure", True)
        assert len(server.requests) == len(callers)


PARTS = [b"a" * 6_000_000, b"b" * 6_000_000]


def stream_response(parts: list[bytes]) -> bytes:
    output = InvokeEndpointWithResponseStreamOutput(content_type="text/plain")
    head = service.begin(output, request_id="q")
    body = b"".join(service.event(PayloadPart(part)) for part in parts)
    fields = [f"{name}: {value}" for name, value in head.headers]
    lines = ["HTTP/1.1 200 OK", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def test_slow_reader_causes_no_timeout() -> None:
    """The reader pauses longer than `idle`, with parts too large for the kernel's buffers."""

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(stream_response(PARTS))
        peer.idle()

    step = Step(STREAMED, pause=1.2)
    with acting(act) as server:
        callers: list[Callable[..., Any]] = [
            lambda url, perform=perform: perform(url, step, timeouts=Timeouts(idle=1.0))
            for perform in PERFORMERS.values()
        ]
        assert all(parts == PARTS for (parts,) in call_at_once(callers, server.url))


def test_default_timeouts_are_finite() -> None:
    defaults = Timeouts()
    assert (defaults.connect, defaults.response, defaults.idle) == (3.1, 70.0, 20.0)
    assert defaults.total is None
