"""One interface to every transport: a list of calls in, a list of outcomes out, through one client.

CONTRACTED    as the contract calls a transport: all operations in order
PERFORMERS    steps: calls and streams with options
CALLERS       plain calls
STREAMERS     the items of streamed calls, read in any form
"""

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
from smruntime_core.credentials import ANONYMOUS
from smruntime_core.testing import StreamedCall, awaited_outcomes, outcomes
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


def count_idle(pool: Any) -> int:
    """Return how many connections of a pool are idle."""
    all_routes = tuple(pool._connections_by_route.values())
    return sum(len(connections.idle_connections) for connections in all_routes)


class Loop(NamedTuple):
    """How an event loop runs a function, sleeps, and counts its tasks."""

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

    # some return bool
    add_writer = remove_reader = remove_writer = add_reader  # type: ignore[assignment]


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


def _limit_settings(timeouts: Timeouts | None, attempts: int) -> dict[str, Any]:
    return {
        "timeouts": timeouts,
        "retries": RetryPolicy(max_attempts=attempts, base_delay=0.01, throttling_delay=0.01),
    }


# ── CONTRACTED: `smruntime_local.hostile` describes the interface ──

Contracted: TypeAlias = Callable[..., list[object]]


def _contract_client(
    make: Callable[..., Any], url: str, anonymous: bool = False, **settings: Any
) -> Any:
    """Return a client with one connection: a lost slot breaks the next call."""
    if anonymous:
        settings["credentials"] = ANONYMOUS
    return make(**_settings(url, {"max_connections": 1, **settings}))


def contract_caller(make: Callable[..., Any]) -> Contracted:
    def call(
        url: str,
        operations: Iterable[InvokeEndpoint | StreamedCall],
        *,
        max_body: int | None = None,
        **settings: Any,
    ) -> list[object]:
        with _contract_client(make, url, **settings) as client:
            limited = client.with_options(max_body=max_body) if max_body else client
            return outcomes(limited.call, operations, limited.stream)

    return call


def awaited_contract_caller(make: Callable[..., Any], loop: Loop) -> Contracted:
    def call(
        url: str,
        operations: Iterable[InvokeEndpoint | StreamedCall],
        *,
        max_body: int | None = None,
        **settings: Any,
    ) -> list[object]:
        async def main() -> list[object]:
            tasks_before = loop.tasks()
            async with _contract_client(make, url, **settings) as client:
                limited = client.with_options(max_body=max_body) if max_body else client
                outcomes_found = await awaited_outcomes(limited.call, operations, limited.stream)
            assert loop.tasks() == tasks_before, "a task is left over"
            return outcomes_found

        return cast("list[object]", loop.run(main))

    return call


CONTRACTED: dict[str, Contracted] = {name: contract_caller(make) for name, make in BLOCKING.items()}
CONTRACTED |= {name: awaited_contract_caller(*how) for name, how in AWAITED.items()}


# ── PERFORMERS: the outcome of a step is an output, the parts of a stream, or an error ──


class Step(NamedTuple):
    """One call with its options; `pause` is the seconds between two reads of a stream."""

    operation: Any = IRIS
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed
    pause: float = 0.0

    @property
    def streamed(self) -> bool:
        return isinstance(self.operation, InvokeEndpointWithResponseStream)


Performer: TypeAlias = Callable[..., list[Any]]


def _performer(make: Callable[..., Any]) -> Performer:
    def perform_step(client: Any, step: Step) -> Any:
        client = client.with_options(**step.options) if step.options else client
        if not step.streamed:
            return client.call(step.operation)
        parts: list[bytes] = []
        with client.stream(step.operation) as stream:
            for part in stream.bytes():
                parts.append(part)
                time.sleep(step.pause)
        return parts

    def perform(
        url: str, *steps: Step, caught: type[BaseException] = SmRuntimeError, **settings: Any
    ) -> list[Any]:
        outcomes_found: list[Any] = []
        with make(**_settings(url, settings)) as client:
            for step in steps or (Step(),):
                try:
                    outcomes_found.append(perform_step(client, step))
                except caught as error:
                    outcomes_found.append(error)
        return outcomes_found

    return perform


def _awaited_performer(make: Callable[..., Any], loop: Loop) -> Performer:
    async def perform_step(client: Any, step: Step) -> Any:
        client = client.with_options(**step.options) if step.options else client
        if not step.streamed:
            return await client.call(step.operation)
        parts: list[bytes] = []
        async with client.stream(step.operation) as stream:
            async for part in stream.bytes():
                parts.append(part)
                await loop.sleep(step.pause)
        return parts

    def perform(
        url: str, *steps: Step, caught: type[BaseException] = SmRuntimeError, **settings: Any
    ) -> list[Any]:
        async def main() -> list[Any]:
            outcomes_found: list[Any] = []
            async with make(**_settings(url, settings)) as client:
                for step in steps or (Step(),):
                    try:
                        outcomes_found.append(await perform_step(client, step))
                    except caught as error:
                        outcomes_found.append(error)
            return outcomes_found

        return cast("list[Any]", loop.run(main))

    return perform


PERFORMERS: dict[str, Performer] = {name: _performer(make) for name, make in BLOCKING.items()}
PERFORMERS |= {
    name: _awaited_performer(*how) for name, how in AWAITED.items() if not name.endswith("-h11")
}


# ── CALLERS ──

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
            url, *steps, tls=tls, credentials=credentials, **_limit_settings(timeouts, attempts)
        )

    return caller


CALLERS: dict[str, Caller] = {name: _caller(perform) for name, perform in PERFORMERS.items()}


# ── STREAMERS ──


class StreamResult:
    """The items of one streamed call in order, its output, and the error that ended it."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.heads: list[Any] = []
        self.error: SmRuntimeError | None = None


Streamer: TypeAlias = Callable[..., list[StreamResult]]


def _stream_settings(
    url: str,
    *,
    timeouts: Timeouts | None = None,
    attempts: int = 1,
    tls: ssl.SSLContext | None = None,
) -> dict[str, object]:
    return {"tls": tls, **_settings(url, _limit_settings(timeouts, attempts))}


def _streamer(make: Callable[..., Any]) -> Streamer:
    def streamer(
        url: str,
        *,
        calls: int = 1,
        how: str = "bytes",
        leave_after: int | None = None,
        max_record: int | None = None,
        **options: Any,
    ) -> list[StreamResult]:
        return list(_stream_results(make, url, calls, how, leave_after, max_record, **options))

    return streamer


def _stream_results(
    make: Callable[..., Any],
    url: str,
    calls: int,
    how: str,
    leave_after: int | None,
    max_record: int | None,
    **options: Any,
) -> Iterator[StreamResult]:
    limits = {"max_record": max_record} if max_record else {}
    with make(**_stream_settings(url, **options)) as client:
        for _ in range(calls):
            result = StreamResult()
            try:
                with client.stream(STREAMED) as stream:
                    result.heads.append(stream.output)
                    for item in stream if how == "iteration" else getattr(stream, how)(**limits):
                        result.items.append(item)
                        if len(result.items) == leave_after:
                            break
            except SmRuntimeError as error:
                result.error = error
            yield result


def _awaited_streamer(make: Callable[..., Any], loop: Loop) -> Streamer:
    def streamer(
        url: str,
        *,
        calls: int = 1,
        how: str = "bytes",
        leave_after: int | None = None,
        max_record: int | None = None,
        **options: Any,
    ) -> list[StreamResult]:
        limits = {"max_record": max_record} if max_record else {}

        async def main() -> list[StreamResult]:
            results: list[StreamResult] = []
            async with make(**_stream_settings(url, **options)) as client:
                for _ in range(calls):
                    result = StreamResult()
                    results.append(result)
                    try:
                        async with client.stream(STREAMED) as stream:
                            result.heads.append(stream.output)
                            items = stream if how == "iteration" else getattr(stream, how)(**limits)
                            async for item in items:
                                result.items.append(item)
                                if len(result.items) == leave_after:
                                    break
                    except SmRuntimeError as error:
                        result.error = error
            return results

        return cast("list[StreamResult]", loop.run(main))

    return streamer


STREAMERS: dict[str, Streamer] = {name: _streamer(make) for name, make in BLOCKING.items()}
STREAMERS |= {
    name: _awaited_streamer(*how) for name, how in AWAITED.items() if not name.endswith("-h11")
}


@contextmanager
def connected(full: bool = False) -> Iterator[tuple[Connection, socket.socket]]:
    """Yield a connection and its other end; if `full`, the connection accepts no more bytes."""
    near_socket, far_socket = socket.socketpair()
    connection = Connection(near_socket, 0.0)
    with far_socket:
        with suppress(BlockingIOError):
            while full:
                near_socket.send(bytes(65536))
        yield connection, far_socket
        connection.drop()
