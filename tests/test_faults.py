"""Faults that are no scenario of the contract: those of streams and their readers, and of limits that nobody set."""

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


def at_once(ways: list[Callable[..., Any]], url: str) -> list[Any]:
    """All of them at the same time, for what takes seconds."""
    with ThreadPoolExecutor(len(ways)) as pool:
        return list(pool.map(lambda way: way(url), ways))


def test_an_error_instead_of_a_stream_has_to_come_at_a_byte_a_second() -> None:
    """The stream itself may come as slowly as the model thinks."""

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(
            b"HTTP/1.1 500 x\r\nx-amzn-errortype: InternalFailure\r\nContent-Length: 1000000\r\n\r\n"
        )
        peer.drip(itertools.repeat(b".", 8), 1.6)

    ways: list[Callable[..., Any]] = [
        partial(streamer, timeouts=Timeouts(idle=2.0)) for streamer in STREAMERS.values()
    ]
    with acting(act) as stage:
        for (told,) in at_once(ways, stage.url):
            assert isinstance(told.error, ServiceError), told.error
            assert (told.error.code, told.error.truncated) == ("InternalFailure", True)
        assert len(stage.requests) == len(ways)


PARTS = [b"a" * 6_000_000, b"b" * 6_000_000]


def stream_of(parts: list[bytes]) -> bytes:
    head = service.begin(
        InvokeEndpointWithResponseStreamOutput(content_type="text/plain"), request_id="q"
    )
    body = b"".join(service.event(PayloadPart(part)) for part in parts)
    lines = [
        "HTTP/1.1 200 OK",
        *(f"{name}: {value}" for name, value in head.headers),
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def test_a_slow_reader_is_no_fault_of_the_server() -> None:
    """A longer pause than `idle` between parts too large to wait in the kernel: only the server's silence counts."""

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(stream_of(PARTS))
        peer.idle()

    step = Step(STREAMED, pause=1.2)
    with acting(act) as stage:
        ways: list[Callable[..., Any]] = [
            lambda url, do=do: do(url, step, timeouts=Timeouts(idle=1.0))
            for do in PERFORMERS.values()
        ]
        assert all(parts == PARTS for (parts,) in at_once(ways, stage.url))


def test_limits_are_finite_unless_told_otherwise() -> None:
    assert (Timeouts().connect, Timeouts().response, Timeouts().idle, Timeouts().total) == (
        3.1,
        70.0,
        20.0,
        None,
    )
