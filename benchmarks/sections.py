"""The measurements: each section returns values by the names that `figures.py` uses.

Values are CPU microseconds unless the section says otherwise.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import bare
import ceilings
import ours
import server
import starting
from measuring import TASKS, Bench, Measurable, Missing, Value, all_cores, certificates, serving
from work import repeated_members

Values = dict[str, Value]
Subjects = dict[str, Measurable | Missing]


def sign(bench: Bench) -> Values:
    """Sign 100 bytes, eight header fields and a session token."""
    return bench.compare(
        {
            "sign, 100 B, eight fields, token": ours.sign(),
            "sign, repeated members": ours.sign(repeated_members),
            "botocore add_auth": bench.peer("boto3", "boto:sign"),
        }
    )


def without_io(bench: Bench) -> Values:
    """Do everything but send: build and check the operation, sign its request, parse the answer."""
    return bench.compare(
        {
            "build + sign + parse": ours.without_io(),
            "build + sign + parse, repeated members": ours.without_io(repeated_members),
            "botocore, stubbed": bench.peer("boto3", "boto:without_io"),
        }
    )


def calls(bench: Bench) -> Values:
    """Call over a kept connection, server and client on one core."""
    with serving() as ports:
        return bench.compare(
            {
                "one call over sockets": ours.call(ports.url),
                "one call over sockets, repeated members": ours.call(ports.url, repeated_members),
                "one call over urllib3": ours.call(ports.url, transport="urllib3"),
                'one call with engine="h11"': ours.call(ports.url, engine="h11"),
                "botocore": bench.peer("boto3", "boto:call", ports.url),
                "bare pool.urlopen": bare.urlopen(ports.plain),
                "bare h11 cycle": bare.h11_cycle(ports.plain),
                "raw socket exchange": bare.plain_exchange(ports.plain),
            }
        )


def tls(bench: Bench) -> Values:
    """Call over a kept connection through TLS."""
    with tempfile.TemporaryDirectory() as folder:
        bundle, certificate = certificates(Path(folder))
        with serving(certificate) as ports:
            where = (ports.tls_url, bundle)
            return bench.compare(
                {
                    "one call over sockets through TLS": ours.tls_call(ports.tls_url, bundle),
                    "botocore through TLS": bench.peer("boto3", "boto:tls_call", *where),
                    "raw ssl exchange": bare.tls_exchange(ports.tls, bundle),
                }
            )


def loops(bench: Bench) -> Values:
    """Call on asyncio and trio, one call after the other."""
    with serving() as ports:
        url = ports.url
        return bench.compare(
            {
                "one call on asyncio": ours.asyncio_call(url),
                "one call on asyncio, repeated members": ours.asyncio_call(url, repeated_members),
                "one call on trio": ours.trio_call(url),
                "one call on trio, repeated members": ours.trio_call(url, repeated_members),
                "aiobotocore": bench.peer("aiobotocore", "aio:call", url),
                "asyncio streams by hand": bare.asyncio_streams(ports.plain),
                "trio streams by hand": bare.trio_streams(ports.plain),
            }
        )


def crowd(bench: Bench) -> Values:
    """Call from 1000 asyncio tasks over 100 connections, on all cores; wall microseconds."""
    with all_cores(), serving() as ports:
        mine, peer = ours.crowd(ports.url), bench.peer("aiobotocore", "aio:crowd", ports.url)
        turns: list[tuple[float, float, float]] = []  # p99 by p50, p99, p50
        walls: list[float] = []
        peer_walls: list[float] = []
        for _ in range(max(3, bench.effort.rounds // 6)):
            walls.append(mine.measure(10 * TASKS))
            p99, p50 = mine.percentile(99), mine.percentile(50)
            turns.append((p99 / p50, p99, p50))
            if not isinstance(peer, Missing):
                peer_walls.append(peer.measure(2 * TASKS))
    middle = len(walls) // 2
    _, p99, p50 = sorted(turns)[middle]
    return {
        "1000 tasks, 100 connections": sorted(walls)[middle],
        "aiobotocore": peer if isinstance(peer, Missing) else sorted(peer_walls)[middle],
        "1000 tasks, 100 connections: p99": p99,
        "p50": p50,
    }


def bulk(bench: Bench) -> Values:
    """Send and receive 25 MB, in milliseconds."""
    with serving() as ports:
        up: Subjects = {
            "25 MB up": ours.upload(ports.url),
            "sha256 + send": bare.upload(ports.plain),
        }
        down: Subjects = {
            "25 MB down": ours.download(ports.url),
            "recv_into": bare.download(ports.plain),
        }
        return divide(bench.compare(up) | bench.compare(down), 1000)


def bulk_memory(bench: Bench) -> Values:
    """Send and receive 25 MB in fresh processes, in megabytes, less a body that is sent."""
    subjects = {
        "25 MB up: memory": (sys.executable, "ours:upload_memory"),
        "25 MB down: memory": (sys.executable, "ours:download_memory"),
        "botocore, up": ("boto3", "boto:upload_memory"),
        "botocore, down": ("boto3", "boto:download_memory"),
    }
    if not sys.platform.startswith("linux"):
        return dict.fromkeys(subjects, Missing("only Linux reports the peak of resident memory"))
    values: Values = {}
    with serving() as ports:
        for name, (where, factory) in subjects.items():
            start = bench.worker if where == sys.executable else bench.peer
            worker = start(where, factory, ports.url)
            values[name] = worker if isinstance(worker, Missing) else worker.measure(1)
    return values


def decode(bench: Bench) -> Values:
    """Decode events of 64 bytes that are in memory."""
    subjects: Subjects = {
        "one event decoded, 64 B": ours.decode(),
        "botocore EventStreamBuffer": bench.peer("boto3", "boto:decode"),
    }
    return divide(bench.compare(subjects), server.EVENTS)


def stream(bench: Bench) -> Values:
    """Receive events of 64 bytes over loopback, each in a chunk of its own."""
    with serving() as ports:
        subjects: Subjects = {
            "one event over loopback, 64 B, a chunk each": ours.stream(ports.url),
            "botocore": bench.peer("boto3", "boto:stream", ports.url),
        }
        return divide(bench.compare(subjects), server.EVENTS)


def frames(bench: Bench) -> Values:
    """Count the Python frames that one call enters, and the client's files they belong to."""
    values: Values = {}
    with serving() as ports:
        values["one call over sockets: Python frames"] = ours.frames(ports.url).measure(1)
        values["one call over sockets: our files"] = ours.files(ports.url).measure(1)
        for what in ("frames", "files"):
            peer = bench.peer("boto3", f"boto:{what}", ports.url)
            values[f"botocore: {what}"] = peer if isinstance(peer, Missing) else peer.measure(1)
    return values


def divide(values: Values, by: float) -> Values:
    """Return values in another unit."""
    quotients: Values = {}
    for name, value in values.items():
        quotients[name] = value if isinstance(value, Missing) else value / by
    return quotients


SECTIONS: dict[str, Callable[[Bench], Values]] = {
    "sign": sign,
    "without_io": without_io,
    "calls": calls,
    "tls": tls,
    "loops": loops,
    "crowd": crowd,
    "bulk": bulk,
    "bulk_memory": bulk_memory,
    "decode": decode,
    "stream": stream,
    "imports": starting.imports,
    "first": starting.first,
    "frames": frames,
    "counts": ceilings.counts,
}
