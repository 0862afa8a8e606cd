"""Every transport behind one face: a list of calls in, a list of outcomes out, all through one client."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias, cast

import trio

from smruntime_core import (
    Credentials,
    InvokeEndpoint,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    RetryPolicy,
    SmRuntimeError,
    Timeouts,
)
from smruntime_core.testing import awaited_outcomes, outcomes
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3
from smruntime_transports.nonblocking._connection import Connection

CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI", "a-session-token")
IRIS = InvokeEndpoint(endpoint_name="iris", body=b"5.1,3.5,1.4,0.2", content_type="text/csv")
STREAMED = InvokeEndpointWithResponseStream(
    endpoint_name="story", body=b"Once", content_type="text/plain"
)
Outcome: TypeAlias = InvokeEndpointOutput | SmRuntimeError


class Loop(NamedTuple):
    """How an event loop runs something, sleeps, and counts its tasks."""

    run: Callable[[Callable[[], Any]], Any]
    sleep: Callable[[float], Any]
    tasks: Callable[[], int]


def drive_asyncio(main: Callable[[], Any]) -> Any:
    return asyncio.run(main())


def drive_uvloop(main: Callable[[], Any]) -> Any:
    import uvloop  # there is none on Windows, nor among the lowest versions

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """A loop that cannot watch sockets, as Windows' default."""

    def add_reader(self, *_: object) -> None:
        raise NotImplementedError

    add_writer = remove_reader = remove_writer = add_reader  # type: ignore[assignment]  # some return bool


def drive_without_readers(main: Callable[[], Any]) -> Any:
    with asyncio.Runner(loop_factory=LoopWithoutReaders) as runner:
        return runner.run(main())


ON_TRIO = Loop(trio.run, trio.sleep, lambda: trio.lowlevel.current_statistics().tasks_living)
ON_ASYNCIO = Loop(drive_asyncio, asyncio.sleep, lambda: len(asyncio.all_tasks()))
ON_UVLOOP = ON_ASYNCIO._replace(run=drive_uvloop)

# Blocking clients and awaited ones; `engine="h11"` where there is one.
BLOCKING: dict[str, Callable[..., Any]] = {
    "sockets": sockets.Client,
    "sockets-h11": partial(sockets.Client, engine="h11"),
    "urllib3": on_urllib3.Client,
}
AWAITED: dict[str, tuple[Callable[..., Any], Loop]] = {
    "trio": (on_trio.AsyncClient, ON_TRIO),
    "trio-h11": (partial(on_trio.AsyncClient, engine="h11"), ON_TRIO),
    "asyncio": (on_asyncio.AsyncClient, ON_ASYNCIO),
    "asyncio-h11": (partial(on_asyncio.AsyncClient, engine="h11"), ON_ASYNCIO),
}
LEFT_OUT: dict[str, str] = {}  # transports that cannot be tested here, and why
if find_spec("uvloop") is None:
    LEFT_OUT["uvloop"] = "uvloop is not installed"
else:
    drive_uvloop(partial(asyncio.sleep, 0))  # its first loop opens a pipe for good: no leak
    AWAITED["uvloop"] = (on_asyncio.AsyncClient, ON_UVLOOP)


def _settings(url: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"region": "us-east-1", "endpoint_url": url, "credentials": CREDENTIALS, **settings}


def _patience(timeouts: Timeouts | None, attempts: int) -> dict[str, Any]:
    return {
        "timeouts": timeouts,
        "retries": RetryPolicy(max_attempts=attempts, base_delay=0.01, throttling_delay=0.01),
    }


# ── the contract's way of calling: `smruntime_local.hostile` says what is asked ──

Contracted: TypeAlias = Callable[..., list[object]]


def _contracted(make: Callable[..., Any]) -> Contracted:
    def call(
        url: str,
        operations: Iterable[InvokeEndpoint],
        *,
        max_body: int | None = None,
        **settings: Any,
    ) -> list[object]:
        with make(**_settings(url, settings)) as client:
            return outcomes(
                (client.with_options(max_body=max_body) if max_body else client).call, operations
            )

    return call


def _awaited_contracted(make: Callable[..., Any], loop: Loop) -> Contracted:
    def call(
        url: str,
        operations: Iterable[InvokeEndpoint],
        *,
        max_body: int | None = None,
        **settings: Any,
    ) -> list[object]:
        async def main() -> list[object]:
            before = loop.tasks()
            async with make(**_settings(url, settings)) as client:
                found = await awaited_outcomes(
                    (client.with_options(max_body=max_body) if max_body else client).call,
                    operations,
                )
            assert loop.tasks() == before, "a task is left over"
            return found

        return cast("list[object]", loop.run(main))

    return call


CONTRACTED: dict[str, Contracted] = {name: _contracted(make) for name, make in BLOCKING.items()}
CONTRACTED |= {name: _awaited_contracted(*how) for name, how in AWAITED.items()}


# ── steps in, outcomes out (an output, the parts of a stream, or the error), all by one client made with `settings` ──


class Step(NamedTuple):
    """One call: of what, with which options, and how many seconds the reader of a stream takes over each part."""

    operation: Any = IRIS
    options: dict[str, Any] = {}  # noqa: RUF012 - never written to
    pause: float = 0.0

    @property
    def streamed(self) -> bool:
        return isinstance(self.operation, InvokeEndpointWithResponseStream)


Performer: TypeAlias = Callable[..., list[Any]]


def _performer(make: Callable[..., Any]) -> Performer:
    def one(client: Any, step: Step) -> Any:
        client = client.with_options(**step.options) if step.options else client
        if not step.streamed:
            return client.call(step.operation)
        parts: list[bytes] = []
        with client.stream(step.operation) as stream:
            for part in stream.bytes():
                parts.append(part)
                time.sleep(step.pause)
        return parts

    def perform(url: str, *steps: Step, **settings: Any) -> list[Any]:
        found: list[Any] = []
        with make(**_settings(url, settings)) as client:
            for step in steps or (Step(),):
                try:
                    found.append(one(client, step))
                except SmRuntimeError as error:
                    found.append(error)
        return found

    return perform


def _awaited_performer(make: Callable[..., Any], loop: Loop) -> Performer:
    async def one(client: Any, step: Step) -> Any:
        client = client.with_options(**step.options) if step.options else client
        if not step.streamed:
            return await client.call(step.operation)
        parts: list[bytes] = []
        async with client.stream(step.operation) as stream:
            async for part in stream.bytes():
                parts.append(part)
                await loop.sleep(step.pause)
        return parts

    def perform(url: str, *steps: Step, **settings: Any) -> list[Any]:
        async def main() -> list[Any]:
            found: list[Any] = []
            async with make(**_settings(url, settings)) as client:
                for step in steps or (Step(),):
                    try:
                        found.append(await one(client, step))
                    except SmRuntimeError as error:
                        found.append(error)
            return found

        return cast("list[Any]", loop.run(main))

    return perform


PERFORMERS: dict[str, Performer] = {name: _performer(make) for name, make in BLOCKING.items()}
PERFORMERS |= {
    name: _awaited_performer(*how) for name, how in AWAITED.items() if not name.endswith("-h11")
}


# ── the same for plain calls ──

Caller: TypeAlias = Callable[..., list[Outcome]]


def _caller(perform: Performer) -> Caller:
    def caller(
        url: str,
        *calls: InvokeEndpoint,
        credentials: Credentials = CREDENTIALS,
        timeouts: Timeouts | None = None,
        attempts: int = 1,
        tls: ssl.SSLContext | None = None,
    ) -> list[Outcome]:
        steps = [Step(call) for call in calls]
        return perform(
            url, *steps, tls=tls, credentials=credentials, **_patience(timeouts, attempts)
        )

    return caller


CALLERS: dict[str, Caller] = {name: _caller(perform) for name, perform in PERFORMERS.items()}


# ── and for streams, in any form ──


class HasMetadata:
    """What streamed calls came to: per call, the items in the order they were handed over, and the error that ended it."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.heads: list[Any] = []
        self.error: SmRuntimeError | None = None


Streamer: TypeAlias = Callable[..., list[HasMetadata]]


def _stream_settings(
    url: str,
    *,
    timeouts: Timeouts | None = None,
    attempts: int = 1,
    tls: ssl.SSLContext | None = None,
) -> dict[str, object]:
    return {"tls": tls, **_settings(url, _patience(timeouts, attempts))}


def _streamer(make: Callable[..., Any]) -> Streamer:
    def streamer(
        url: str,
        *,
        calls: int = 1,
        how: str = "bytes",
        leave_after: int | None = None,
        **options: Any,
    ) -> list[HasMetadata]:
        return list(_told(make, url, calls, how, leave_after, **options))

    return streamer


def _told(
    make: Callable[..., Any],
    url: str,
    calls: int,
    how: str,
    leave_after: int | None,
    **options: Any,
) -> Iterator[HasMetadata]:
    with make(**_stream_settings(url, **options)) as client:
        for _ in range(calls):
            told = HasMetadata()
            try:
                with client.stream(STREAMED) as stream:
                    told.heads.append(stream.output)
                    for item in getattr(stream, how)():
                        told.items.append(item)
                        if len(told.items) == leave_after:
                            break
            except SmRuntimeError as error:
                told.error = error
            yield told


def _awaited_streamer(make: Callable[..., Any], loop: Loop) -> Streamer:
    def streamer(
        url: str,
        *,
        calls: int = 1,
        how: str = "bytes",
        leave_after: int | None = None,
        **options: Any,
    ) -> list[HasMetadata]:
        async def main() -> list[HasMetadata]:
            all_told: list[HasMetadata] = []
            async with make(**_stream_settings(url, **options)) as client:
                for _ in range(calls):
                    told = HasMetadata()
                    all_told.append(told)
                    try:
                        async with client.stream(STREAMED) as stream:
                            told.heads.append(stream.output)
                            async for item in getattr(stream, how)():
                                told.items.append(item)
                                if len(told.items) == leave_after:
                                    break
                    except SmRuntimeError as error:
                        told.error = error
            return all_told

        return cast("list[HasMetadata]", loop.run(main))

    return streamer


STREAMERS: dict[str, Streamer] = {name: _streamer(make) for name, make in BLOCKING.items()}
STREAMERS |= {
    name: _awaited_streamer(*how) for name, how in AWAITED.items() if not name.endswith("-h11")
}


@contextmanager
def connected(full: bool = False) -> Iterator[tuple[Connection, socket.socket]]:
    """A connection that takes nothing more if `full`, and its other end."""
    ours, theirs = socket.socketpair()
    connection = Connection(ours, 0.0)
    with theirs:
        with suppress(BlockingIOError):
            while full:
                ours.send(bytes(65536))
        yield connection, theirs
        connection.drop()
