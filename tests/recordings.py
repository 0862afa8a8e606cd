"""Recorded inputs of credential flows: files, HTTP exchanges in order, and a clock.

The same recording serves the blocking loop, asyncio and trio.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
import trio

from smruntime_core import CredentialsError, DispatchFailure, Response, run, run_async
from smruntime_core.credentials import ProviderContext
from smruntime_core.effects import (
    Ask,
    FileContents,
    Flow,
    ProcessResult,
    ReadFile,
    RunProcess,
    Send,
    Sleep,
    WriteFile,
)
from smruntime_core.testing import FrozenClock
from smruntime_transports.sockets import SocketIO

from .vectors import cases

HOME = "/home"
NOW = 1.64e9


class Exchange(NamedTuple):
    """A recorded request and its response; the request sent may have further headers."""

    method: str
    url: str
    response: Response
    headers: dict[str, str] = {}  # noqa: RUF012 - never written to
    body: str | None = None

    def check(self, send: Send, files: str) -> None:
        request = send.request
        assert (request.method, request.url) == (self.method, self.url)
        sent = {name.lower(): value for name, value in request.headers}
        for name, value in self.headers.items():
            assert sent[name] == value, name
        if self.body is not None:
            theirs, ours = dict(parse_qsl(self.body)), dict(parse_qsl(bytes(request.body).decode()))
            assert ours.keys() == theirs.keys()
            # A recorded value that is in none of the files was scrubbed, and is not compared.
            for name, value in theirs.items():
                assert (
                    ours[name] == value.strip()
                    or value.strip() not in files + "AssumeRoleWithWebIdentity2011-06-15"
                )


class Recorded:
    """A blocking IO that plays `exchanges` in order, and records the effects."""

    def __init__(
        self,
        files: dict[str, str] | None = None,
        exchanges: list[Exchange] | None = None,
        *,
        said: str = "",
    ) -> None:
        self.files = {path: text.encode() for path, text in (files or {}).items()}
        self.exchanges = list(exchanges or [])
        self.sent: list[Send] = []
        self.slept: list[float] = []
        self.ran: list[tuple[str, ...]] = []
        self.printed = ProcessResult(0, b"")
        self._said = said + "".join(
            self.files and [data.decode("latin-1") for data in self.files.values()]
        )

    def read_file(self, effect: ReadFile) -> FileContents | None:
        data = self.files.get(effect.path)
        return None if data is None else FileContents(data[: effect.max_bytes + 1])

    def write_file(self, effect: WriteFile) -> None:
        self.files[effect.path] = effect.data

    def run_process(self, effect: RunProcess) -> ProcessResult:
        self.ran.append(effect.arguments)
        return self.printed

    def sleep(self, effect: Sleep) -> None:
        self.slept.append(effect.seconds)

    def ask(self, effect: Ask) -> object:
        return effect.function(*effect.arguments)

    def send(self, effect: Send) -> Response:
        self.sent.append(effect)
        if "security-credentials-extended" in effect.request.url and not (
            self.exchanges and "security-credentials-extended" in self.exchanges[0].url
        ):
            return Response(404)  # most recordings are older than the extended path
        if not self.exchanges:
            raise DispatchFailure(
                "the recording is over", kind="refused", phase="connect", delivery="not_sent"
            )
        exchange = self.exchanges.pop(0)
        exchange.check(effect, self._said)
        return exchange.response


class Awaited:
    """An asynchronous `Recorded`, which yields to the loop before each answer."""

    def __init__(self, io: Recorded, pause: Callable[[float], Any]) -> None:
        self._io = io
        self._pause = pause

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        async def answer(effect: Any) -> Any:
            await self._pause(0)
            return getattr(self._io, name)(effect)

        return answer


def driven(flow: Flow[Any], io: Recorded, way: str) -> Any:
    if way == "blocking":
        return run(flow, io)
    if way == "trio":
        return trio.run(run_async, flow, Awaited(io, trio.sleep))
    return asyncio.run(run_async(flow, Awaited(io, asyncio.sleep)))


WAYS = pytest.mark.parametrize("way", ["blocking", "trio", "asyncio"])


def make_context(
    environ: dict[str, str] | None = None, *, now: float = NOW, **more: Any
) -> ProviderContext:
    return ProviderContext(
        environ or {}, home=HOME, clock=FrozenClock(now), random=lambda: 0.5, **more
    )


def refused(flow: Flow[Any], io: object = None) -> CredentialsError:
    """Run `flow`, and return the `CredentialsError` that it raises."""
    with pytest.raises(CredentialsError) as info:
        run(flow, io or Recorded())
    return info.value


def vectors(name: str, of: Callable[[Any], list[Any]] = list) -> list[Any]:
    """Return the cases of a file next to the checkout; a skipped case if the file is missing."""
    return cases(name, of, lambda case: case.get("case", case.get("docs")))


@contextmanager
def on_sockets() -> Iterator[SocketIO]:
    """Open an IO over sockets, and close it afterwards."""
    io = SocketIO.reading()
    try:
        yield io
    finally:
        io.wire.close()
