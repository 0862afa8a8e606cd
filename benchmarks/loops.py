"""Event loops: the exchange next to the same by hand, calls next to aiobotocore's, and a crowd of tasks."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any

import bare
import ours
from crowd import TASKS, Crowd
from measuring import Awaited, Bench, Call, Measurable, Missing, Value, all_cores, serving

from smruntime_core.effects import Send


@asynccontextmanager
async def exchanging(url: str, loop: str) -> AsyncIterator[Call]:
    """What a client's IO does with a request that is ready."""
    async with ours.client(url, loop) as client:
        send = Send(ours.signed(url))
        yield lambda: client._io.send(send)


@asynccontextmanager
async def calling(url: str, loop: str) -> AsyncIterator[Call]:
    """A call as users write it."""
    async with ours.client(url, loop) as client:
        yield lambda: client.invoke_endpoint(**ours.MEMBERS)


def loops(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """trio and asyncio, one call after the other."""
    with serving() as ports:
        subjects: dict[str, Measurable | Missing] = {
            **_on("asyncio", Awaited, ports.plain, bare.asyncio_streams, bare.asyncio_readable),
            "aiobotocore": bench.peer("aiobotocore", "aio:call", ports.url),
        }
        try:
            trio = import_module("trio")
        except ImportError as error:
            subjects |= dict.fromkeys(("trio exchange", "trio by hand", "trio on a socket", "trio call"), Missing(str(error)))
        else:
            subjects |= _on("trio", partial(Awaited, run=trio.run), ports.plain, bare.trio_streams, trio.lowlevel.wait_readable)
        took = bench.compare(subjects)
    for loop in ("trio", "asyncio"):
        yield took[f"{loop} exchange"], took[f"{loop} by hand"]
        yield took[f"{loop} exchange"], took[f"{loop} on a socket"]
    for loop in ("trio", "asyncio"):
        yield took[f"{loop} call"], took["aiobotocore"]


def _on(
    loop: str,
    awaited: Callable[[Callable[[], AbstractAsyncContextManager[Call]]], Awaited],
    port: int,
    streams: Callable[[int], Awaitable[bare.Moving]],
    readable: Callable[[socket.socket], Awaitable[Any]],
) -> dict[str, Awaited]:
    url = f"http://127.0.0.1:{port}"
    return {
        f"{loop} exchange": awaited(lambda: exchanging(url, loop)),
        f"{loop} by hand": awaited(lambda: bare.by_hand(port, streams)),
        f"{loop} on a socket": awaited(lambda: bare.on_a_socket(port, readable)),
        f"{loop} call": awaited(lambda: calling(url, loop)),
    }


def crowd(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """1000 tasks over 100 connections on asyncio. Wall time; client and server each on a core if there are two."""
    with all_cores(), serving() as ports:
        mine = Crowd(lambda: calling(ports.url, "asyncio"))
        peer = bench.peer("aiobotocore", "aio:crowd", ports.url)
        rounds = max(3, bench.effort.rounds // 6)
        walls: list[float] = []
        tails: list[tuple[float, float]] = []
        theirs: list[float] = []
        for _ in range(rounds):
            walls.append(mine.measure(10 * TASKS))
            tails.append((mine.percentile(99), mine.percentile(50)))
            if not isinstance(peer, Missing):
                theirs.append(peer.measure(2 * TASKS))
    middle = rounds // 2
    yield sorted(walls)[middle], peer if isinstance(peer, Missing) else sorted(theirs)[middle]
    yield sorted(tails, key=lambda tail: tail[0] / tail[1])[middle]
