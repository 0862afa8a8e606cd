"""Every transport behind one face: a list of calls in, a list of outcomes out, all through one client."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
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
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3

CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI", "a-session-token")
Outcome: TypeAlias = InvokeEndpointOutput | SmRuntimeError
IRIS = InvokeEndpoint(endpoint_name="iris", body=b"5.1,3.5,1.4,0.2", content_type="text/csv")
Caller: TypeAlias = Callable[..., list[Outcome]]


def _settings(url: str, credentials: Credentials, timeouts: Timeouts | None, attempts: int) -> dict[str, object]:
    retries = RetryPolicy(max_attempts=attempts, base_delay=0.01, throttling_delay=0.01)
    return {"region": "us-east-1", "endpoint_url": url, "credentials": credentials, "timeouts": timeouts, "retries": retries}


def _blocking(client: sockets.Client | on_urllib3.Client, calls: Sequence[InvokeEndpoint]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with client:
        for operation in calls:
            try:
                outcomes.append(client.call(operation))
            except SmRuntimeError as error:
                outcomes.append(error)
    return outcomes


def _caller(make: Callable[..., sockets.Client | on_urllib3.Client]) -> Caller:
    def caller(
        url: str,
        *calls: InvokeEndpoint,
        credentials: Credentials = CREDENTIALS,
        timeouts: Timeouts | None = None,
        attempts: int = 1,
        tls: ssl.SSLContext | None = None,
    ) -> list[Outcome]:
        return _blocking(make(tls=tls, **_settings(url, credentials, timeouts, attempts)), calls or (IRIS,))

    return caller


def _awaited_caller(make: Callable[..., Any], drive: Callable[[Callable[[], Any]], Any]) -> Caller:
    def caller(
        url: str,
        *calls: InvokeEndpoint,
        credentials: Credentials = CREDENTIALS,
        timeouts: Timeouts | None = None,
        attempts: int = 1,
        tls: ssl.SSLContext | None = None,
    ) -> list[Outcome]:
        async def main() -> list[Outcome]:
            outcomes: list[Outcome] = []
            async with make(tls=tls, **_settings(url, credentials, timeouts, attempts)) as client:
                for operation in calls or (IRIS,):
                    try:
                        outcomes.append(await client.call(operation))
                    except SmRuntimeError as error:
                        outcomes.append(error)
            return outcomes

        outcomes: list[Outcome] = drive(main)
        return outcomes

    return caller


def drive_asyncio(main: Callable[[], Any]) -> Any:
    return asyncio.run(main())


CALLERS: dict[str, Caller] = {
    "sockets": _caller(sockets.Client),
    "sockets-h11": _caller(lambda **settings: sockets.Client(engine="h11", **settings)),
    "trio": _awaited_caller(on_trio.AsyncClient, trio.run),
    "asyncio": _awaited_caller(on_asyncio.AsyncClient, drive_asyncio),
    "urllib3": _caller(on_urllib3.Client),
}


STREAMED = InvokeEndpointWithResponseStream(endpoint_name="story", body=b"Once", content_type="text/plain")


class Told:
    """What streamed calls came to: per call, the items in the order they were handed over, and the error that ended it."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.heads: list[Any] = []
        self.error: SmRuntimeError | None = None


Streamer: TypeAlias = Callable[..., list[Told]]


def _streamer(make: Callable[..., sockets.Client | on_urllib3.Client]) -> Streamer:
    def streamer(url: str, *, calls: int = 1, how: str = "bytes", leave_after: int | None = None, **options: Any) -> list[Told]:
        return list(_told(make, url, calls, how, leave_after, **options))

    return streamer


def _told(make: Callable[..., Any], url: str, calls: int, how: str, leave_after: int | None, **options: Any) -> Iterator[Told]:
    with make(**_options(url, **options)) as client:
        for _ in range(calls):
            told = Told()
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


def _awaited_streamer(make: Callable[..., Any], drive: Callable[[Callable[[], Any]], Any]) -> Streamer:
    def streamer(url: str, *, calls: int = 1, how: str = "bytes", leave_after: int | None = None, **options: Any) -> list[Told]:
        async def main() -> list[Told]:
            all_told: list[Told] = []
            async with make(**_options(url, **options)) as client:
                for _ in range(calls):
                    told = Told()
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

        all_told: list[Told] = drive(main)
        return all_told

    return streamer


def _options(url: str, *, timeouts: Timeouts | None = None, attempts: int = 1, tls: ssl.SSLContext | None = None) -> dict[str, object]:
    return {"tls": tls, **_settings(url, CREDENTIALS, timeouts, attempts)}


STREAMERS: dict[str, Streamer] = {
    "sockets": _streamer(sockets.Client),
    "sockets-h11": _streamer(lambda **settings: sockets.Client(engine="h11", **settings)),
    "trio": _awaited_streamer(on_trio.AsyncClient, trio.run),
    "asyncio": _awaited_streamer(on_asyncio.AsyncClient, drive_asyncio),
    "urllib3": _streamer(on_urllib3.Client),
}


class Step(NamedTuple):
    """One call: of what, with which options, and how many seconds the reader of a stream takes over each part."""

    operation: Any = IRIS
    options: dict[str, Any] = {}  # noqa: RUF012 - never written to
    pause: float = 0.0

    @property
    def streamed(self) -> bool:
        return isinstance(self.operation, InvokeEndpointWithResponseStream)


Performer: TypeAlias = Callable[..., list[Any]]


def _whole_settings(url: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"region": "us-east-1", "endpoint_url": url, "credentials": CREDENTIALS, **settings}


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
        outcomes: list[Any] = []
        with make(**_whole_settings(url, settings)) as client:
            for step in steps or (Step(),):
                try:
                    outcomes.append(one(client, step))
                except SmRuntimeError as error:
                    outcomes.append(error)
        return outcomes

    return perform


def _awaited_performer(make: Callable[..., Any], drive: Callable[[Callable[[], Any]], Any], sleep: Callable[[float], Any]) -> Performer:
    async def one(client: Any, step: Step) -> Any:
        client = client.with_options(**step.options) if step.options else client
        if not step.streamed:
            return await client.call(step.operation)
        parts: list[bytes] = []
        async with client.stream(step.operation) as stream:
            async for part in stream.bytes():
                parts.append(part)
                await sleep(step.pause)
        return parts

    def perform(url: str, *steps: Step, **settings: Any) -> list[Any]:
        async def main() -> list[Any]:
            outcomes: list[Any] = []
            async with make(**_whole_settings(url, settings)) as client:
                for step in steps or (Step(),):
                    try:
                        outcomes.append(await one(client, step))
                    except SmRuntimeError as error:
                        outcomes.append(error)
            return outcomes

        return cast("list[Any]", drive(main))

    return perform


# Steps in, outcomes out (an output, the parts of a stream, or the error), all by one client made with `settings`.
PERFORMERS: dict[str, Performer] = {
    "sockets": _performer(sockets.Client),
    "sockets-h11": _performer(lambda **settings: sockets.Client(engine="h11", **settings)),
    "trio": _awaited_performer(on_trio.AsyncClient, trio.run, trio.sleep),
    "asyncio": _awaited_performer(on_asyncio.AsyncClient, drive_asyncio, asyncio.sleep),
    "urllib3": _performer(on_urllib3.Client),
}
