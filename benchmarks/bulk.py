"""Long bodies, both ways: time beside the least that could be done, and memory in fresh processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import bare
import memory
import ours
from measuring import Bench, Missing, Subject, Value, serving
from work import LARGE, LARGE_ENDPOINT


def bulk(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """25 MB up and down, client and server on one core."""
    with serving() as ports:
        client = ours.client(ports.url)
        up, down = ours.MEMBERS | {"body": b"x" * LARGE}, ours.MEMBERS | {"endpoint_name": LARGE_ENDPOINT}
        took = bench.compare(
            {
                "up": Subject(lambda: client.invoke_endpoint(**up)),
                "sha256 + send": bare.upload(ports.plain),
                "down": Subject(lambda: client.invoke_endpoint(**down)),
                "recv_into": bare.download(ports.plain),
            }
        )
    milliseconds = {name: value if isinstance(value, Missing) else value / 1000 for name, value in took.items()}
    yield milliseconds["up"], milliseconds["sha256 + send"]
    yield milliseconds["down"], milliseconds["recv_into"]


def bulk_memory(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """By how much the peak of a process rises above what it held before, the body to be sent included there."""
    ways = ("upload", "download")
    if not memory.STATUS.exists():
        yield from [(Missing("only Linux says how much memory a process has had"),) * 2] * len(ways)
        return
    with serving() as ports:
        for way in ways:
            mine = bench.worker(sys.executable, f"ours:{way}", ports.url).measure(1)
            peer = bench.peer("aiobotocore", f"aio:{way}", ports.url)
            yield mine, peer if isinstance(peer, Missing) else peer.measure(1)
