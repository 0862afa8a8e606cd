"""The measurements: each section returns values by the names that `figures.py` uses.

Values are CPU microseconds unless the section says otherwise.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import bare
import batches
import ceilings
import ours
import server
import starting
from figures import TASK_COUNTS, concurrency_names
from measuring import (
    TASK_COUNT,
    Bench,
    LongestBlock,
    Measurable,
    Missing,
    Value,
    package_folders,
    run_server,
    use_all_cores,
    write_certificates,
)
from work import repeated_members

FigureValues = dict[str, Value]
NamedSubjects = dict[str, Measurable | Missing]
CROWD_CALLS = 4 * TASK_COUNT


def sign(bench: Bench) -> FigureValues:
    """Sign 100 bytes, eight header fields and a session token."""
    return bench.compare(
        {
            "sign, 100 B, eight fields, token": ours.sign(),
            "sign, repeated members": ours.sign(repeated_members),
            "botocore add_auth": bench.peer("boto3", "boto:sign"),
        }
    )


def without_io(bench: Bench) -> FigureValues:
    """Do everything but send: build and check the operation, sign its request, parse the answer."""
    return bench.compare(
        {
            "build + sign + parse": ours.without_io(),
            "build + sign + parse, repeated members": ours.without_io(repeated_members),
            "botocore, stubbed": bench.peer("boto3", "boto:without_io"),
        }
    )


def calls(bench: Bench) -> FigureValues:
    """Call over a kept connection, server and client on one core."""
    with run_server() as ports:
        return bench.compare(
            {
                "one call over sockets": ours.call(ports.url),
                "one call over sockets, repeated members": ours.call(ports.url, repeated_members),
                "one call shaped like boto3's": ours.boto_call(ports.url),
                "one call over urllib3": ours.call(ports.url, transport="urllib3"),
                'one call with engine="h11"': ours.call(ports.url, engine="h11"),
                "botocore": bench.peer("boto3", "boto:call", ports.url),
                "bare pool.urlopen": bare.urlopen(ports.plain),
                "bare h11 cycle": bare.h11_cycle(ports.plain),
                "raw socket exchange": bare.plain_exchange(ports.plain),
            }
        )


def tls(bench: Bench) -> FigureValues:
    """Call over a kept connection through TLS."""
    with tempfile.TemporaryDirectory() as folder:
        bundle, certificate = write_certificates(Path(folder))
        with run_server(certificate) as ports:
            arguments = (ports.tls_url, bundle)
            return bench.compare(
                {
                    "one call over sockets through TLS": ours.tls_call(*arguments),
                    "botocore through TLS": bench.peer("boto3", "boto:tls_call", *arguments),
                    "raw ssl exchange": bare.tls_exchange(ports.tls, bundle),
                }
            )


def loops(bench: Bench) -> FigureValues:
    """Call on asyncio and trio, one call after the other."""
    with run_server() as ports:
        url = ports.url
        return bench.compare(
            {
                "one call on asyncio": ours.asyncio_call(url),
                "one call on asyncio, repeated members": ours.asyncio_call(url, repeated_members),
                "one call shaped like aiobotocore's": ours.aio_boto_call(url),
                "one call on trio": ours.trio_call(url),
                "one call on trio, repeated members": ours.trio_call(url, repeated_members),
                "aiobotocore": bench.peer("aiobotocore", "aio:call", url),
                "asyncio streams by hand": bare.asyncio_streams(ports.plain),
                "trio streams by hand": bare.trio_streams(ports.plain),
            }
        )


def sdks(bench: Bench) -> FigureValues:
    """Ask for a chat completion with OpenAI's SDK, over the transport and without it."""
    folders = list(dict.fromkeys(package_folders()))
    with run_server() as ports:
        return bench.compare(
            {
                "a chat of openai over the transport": bench.peer(
                    "openai", "sdk:over_transport", ports.url, *folders
                ),
                "openai alone": bench.peer("openai", "sdk:alone", ports.url),
                "openai, signed by botocore": bench.peer(
                    "openai", "sdk:signed_by_botocore", ports.url
                ),
            }
        )


def crowd(bench: Bench) -> FigureValues:
    """Call from 1000 asyncio tasks over 100 connections, on all cores; wall microseconds."""
    with use_all_cores(), run_server() as ports:
        our_crowd = ours.crowd(ports.url)
        peer_crowd = bench.peer("aiobotocore", "aio:crowd", ports.url)
        latency_turns: list[tuple[float, float, float]] = []  # p99 by p50, p99, p50
        our_walls: list[float] = []
        peer_walls: list[float] = []
        for _ in range(max(3, bench.effort.rounds // 6)):
            our_walls.append(our_crowd.measure(CROWD_CALLS))
            p99, p50 = our_crowd.percentile(99), our_crowd.percentile(50)
            latency_turns.append((p99 / p50, p99, p50))
            if not isinstance(peer_crowd, Missing):
                peer_walls.append(peer_crowd.measure(CROWD_CALLS))
    middle_turn = len(our_walls) // 2
    _, p99, p50 = sorted(latency_turns)[middle_turn]
    peer_wall = peer_crowd if isinstance(peer_crowd, Missing) else sorted(peer_walls)[middle_turn]
    return {
        "1000 tasks, 100 connections": sorted(our_walls)[middle_turn],
        "aiobotocore": peer_wall,
        "1000 tasks, 100 connections: p99": p99,
        "p50": p50,
    }


def concurrency(bench: Bench) -> FigureValues:
    """Call from 1 to 1000 asyncio tasks over at most 100 connections; wall microseconds.

    Unlike `crowd` on one core, so that the calls per second are those of one Python process.
    """
    values: FigureValues = {}
    with run_server() as ports:
        for task_count in TASK_COUNTS:
            subjects: NamedSubjects = {
                "ours": ours.crowd(ports.url, task_count),
                "theirs": bench.peer("aiobotocore", "aio:crowd", ports.url, str(task_count)),
            }
            walls: dict[str, list[float]] = {side: [] for side in subjects}
            for _ in range(max(3, bench.effort.rounds // 6)):
                for side, subject in subjects.items():
                    if not isinstance(subject, Missing):
                        walls[side].append(subject.measure(2 * TASK_COUNT))
            figure_name, peer_name = concurrency_names(task_count)
            values[figure_name] = sorted(walls["ours"])[len(walls["ours"]) // 2]
            peer = subjects["theirs"]
            values[peer_name] = (
                peer
                if isinstance(peer, Missing)
                else sorted(walls["theirs"])[len(walls["theirs"]) // 2]
            )
    return values


def telemetry(bench: Bench) -> FigureValues:
    """Call with and without spans and metrics, exported to nothing."""
    with run_server() as ports:
        return bench.compare(
            {
                "one call with OpenTelemetry": ours.traced_call(ports.url),
                "one call with a counter as observe=": ours.call(ports.url, observe=ours.Counter()),
                "one call without": ours.call(ports.url),
            }
        )


def bulk(bench: Bench) -> FigureValues:
    """Send and receive 25 MB, in milliseconds."""
    with run_server() as ports:
        upload_subjects: NamedSubjects = {
            "25 MB up": ours.upload(ports.url),
            "sha256 + send": bare.upload(ports.plain),
        }
        download_subjects: NamedSubjects = {
            "25 MB down": ours.download(ports.url),
            "recv_into": bare.download(ports.plain),
        }
        return divide_values(
            bench.compare(upload_subjects) | bench.compare(download_subjects), 1000
        )


def bulk_memory(bench: Bench) -> FigureValues:
    """Send and receive 25 MB in fresh processes, in megabytes, less a body that is sent."""
    subjects = {
        "25 MB up: memory": (sys.executable, "ours:upload_memory"),
        "25 MB down: memory": (sys.executable, "ours:download_memory"),
        "botocore, up": ("boto3", "boto:upload_memory"),
        "botocore, down": ("boto3", "boto:download_memory"),
    }
    if not sys.platform.startswith("linux"):
        return dict.fromkeys(subjects, Missing("only Linux reports the peak of resident memory"))
    values: FigureValues = {}
    with run_server() as ports:
        for figure_name, (location, factory) in subjects.items():
            start_worker = bench.worker if location == sys.executable else bench.peer
            worker = start_worker(location, factory, ports.url)
            values[figure_name] = worker if isinstance(worker, Missing) else worker.measure(1)
    return values


def decode(bench: Bench) -> FigureValues:
    """Decode events that are in memory, all different."""
    subjects: NamedSubjects = {
        "one event decoded, 64 B": ours.decode(server.EVENT_STREAM),
        "one event decoded, 48 to 80 B": ours.decode(server.VARIED_EVENT_STREAM),
        "botocore EventStreamBuffer": bench.peer("boto3", "boto:decode"),
    }
    return divide_values(bench.compare(subjects), server.EVENT_COUNT)


def stream(bench: Bench) -> FigureValues:
    """Receive events of 64 bytes over loopback, each in a chunk of its own."""
    with run_server() as ports:
        subjects: NamedSubjects = {
            "one event over loopback, 64 B, a chunk each": ours.stream(ports.url),
            "botocore": bench.peer("boto3", "boto:stream", ports.url),
        }
        return divide_values(bench.compare(subjects), server.EVENT_COUNT)


def block(bench: Bench) -> FigureValues:
    """Find how long a stream of tiny events blocks the event loop, in milliseconds.

    The least of some runs, since other processes only add to it.
    """
    with run_server() as ports:
        subjects = {
            "longest block of a loop, tiny events": ours.tiny_events(ports.url),
            "idle loop": LongestBlock(asyncio.sleep),
        }
        runs = max(3, bench.effort.rounds // 6)
        return {
            name: min(subject.measure(1) for _ in range(runs)) for name, subject in subjects.items()
        }


def frames(bench: Bench) -> FigureValues:
    """Count the Python frames that one call enters, and the client's files they belong to."""
    values: FigureValues = {}
    with run_server() as ports:
        values["one call over sockets: Python frames"] = ours.frames(ports.url).measure(1)
        values["one call over sockets: our files"] = ours.files(ports.url).measure(1)
        for counted_kind in ("frames", "files"):
            worker = bench.peer("boto3", f"boto:{counted_kind}", ports.url)
            count = worker if isinstance(worker, Missing) else worker.measure(1)
            values[f"botocore: {counted_kind}"] = count
    return values


def batch(bench: Bench) -> FigureValues:
    """Run a batch of 50,000 records, in wall seconds, and measure the memory of larger ones."""
    turns = max(1, bench.effort.rounds // 10)
    record_count = batches.RECORDS if turns > 1 else batches.RECORDS // 10
    values: FigureValues = {
        "ideal": batches.ideal_seconds(record_count),
        "no other batch": Missing("no peer"),
    }
    with use_all_cores(), batches.run_batch_server() as url:
        subjects: NamedSubjects = {
            "a batch, 32 in flight": bench.worker(sys.executable, "batches:on_asyncio", url),
            "a batch, 64 in flight": bench.worker(sys.executable, "batches:on_asyncio", url, "64"),
            "a batch in threads, 64 in flight": bench.worker(
                sys.executable, "batches:in_threads", url, "64"
            ),
            "boto3 in 32 threads": bench.peer("boto3", "batches:boto3_in_threads", url),
            "boto3 in 64 threads": bench.peer("boto3", "batches:boto3_in_threads", url, "64"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(turns):
            for name, subject in subjects.items():
                if isinstance(subject, Missing):
                    values[name] = subject
                else:
                    seconds[name].append(subject.measure(record_count))
        values |= {name: sorted(turn)[turns // 2] for name, turn in seconds.items() if turn}
        values["a batch of 1,000,000 records: memory"] = _batch_memory(bench, url, quick=turns == 1)
    return values


def _batch_memory(bench: Bench, url: str, *, quick: bool) -> Value:
    """Return by how many megabytes a large batch exceeds one of 10,000 records."""
    if not sys.platform.startswith("linux"):
        return Missing("only Linux reports the peak of resident memory")
    many_records = batches.MANY_RECORDS // 20 if quick else batches.MANY_RECORDS
    few, many = (
        bench.worker(sys.executable, "batches:memory_on_asyncio", url).measure(record_count)
        for record_count in (batches.FEW_RECORDS, many_records)
    )
    return many - few


def divide_values(values: FigureValues, divisor: float) -> FigureValues:
    """Return values in another unit."""
    quotients: FigureValues = {}
    for figure_name, value in values.items():
        quotients[figure_name] = value if isinstance(value, Missing) else value / divisor
    return quotients


SECTIONS: dict[str, Callable[[Bench], FigureValues]] = {
    "sign": sign,
    "without_io": without_io,
    "calls": calls,
    "tls": tls,
    "loops": loops,
    "sdks": sdks,
    "telemetry": telemetry,
    "concurrency": concurrency,
    "crowd": crowd,
    "bulk": bulk,
    "bulk_memory": bulk_memory,
    "decode": decode,
    "stream": stream,
    "block": block,
    "batch": batch,
    "imports": starting.measure_imports,
    "first": starting.measure_first_answer,
    "local": starting.measure_local_endpoint,
    "frames": frames,
    "counts": ceilings.count_all,
}
