"""What the IOs of every transport over a wire share; a transport adds how to wait, to sleep, to look up a name, to read a file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from smruntime_core import (
    Credentials,
    CredentialsError,
    GetCredentials,
    Measure,
    Open,
    Receive,
    Response,
    Send,
    StreamingResponse,
    Supply,
    run,
    run_async,
)
from smruntime_core._bodies import Sendable

from ._bodies import measure, measure_awaited, supply
from ._wire import Wire

T = TypeVar("T")


class WireIO:
    """The wire, and what to sign with once the settings are known."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self._credentials: Credentials | None = None

    def configure(self, credentials: Credentials | None, ca_bundle: str | None) -> None:
        """What the settings came to."""
        self._credentials = credentials
        self.wire.trust(ca_bundle)

    def keys(self) -> Credentials:
        """What to sign with; raises `CredentialsError` if there is nothing."""
        if self._credentials is None:
            raise CredentialsError(
                "no credentials: none were given, AWS_ACCESS_KEY_ID is not set, and the profile has no static keys "
                "(`python -m smruntime_transports doctor` shows what was looked at)"
            )
        return self._credentials


class BlockingWireIO(WireIO):
    """The effects that a wire answers, blocking."""

    def credentials(self, effect: GetCredentials, /) -> Credentials:
        del effect
        return self.keys()

    def send(self, effect: Send, /) -> Response:
        return run(self.wire.exchange(effect), self)

    def open(self, effect: Open, /) -> StreamingResponse:
        return run(self.wire.open(effect), self)

    def receive(self, effect: Receive, /) -> bytes:
        return run(self.wire.receive(effect), self)

    def measure(self, effect: Measure, /) -> Sendable:
        return measure(effect)

    def supply(self, effect: Supply, /) -> bytes:
        return supply(effect)


class AwaitedWireIO(WireIO):
    """The same, awaited, on any event loop."""

    async def credentials(self, effect: GetCredentials, /) -> Credentials:
        del effect
        return self.keys()

    async def send(self, effect: Send, /) -> Response:
        return await run_async(self.wire.exchange(effect), self)

    async def open(self, effect: Open, /) -> StreamingResponse:
        return await run_async(self.wire.open(effect), self)

    async def receive(self, effect: Receive, /) -> bytes:
        await self.checkpoint()  # a fast peer leaves nothing to wait for, and other tasks want their turn
        return await run_async(self.wire.receive(effect), self)

    async def measure(self, effect: Measure, /) -> Sendable:
        if effect.source.kind == "async iterator":
            return await measure_awaited(effect.source)
        return await self.in_thread(partial(measure, effect))

    async def supply(self, effect: Supply, /) -> bytes:
        return await self.in_thread(partial(supply, effect))

    async def in_thread(self, do: Callable[[], T]) -> T:
        """What `do` returns, which may block."""
        raise NotImplementedError

    async def checkpoint(self) -> None:
        """Let other tasks run."""
        raise NotImplementedError

    async def shelter(self, do: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Have `do` done even if the task is being cancelled, for so long."""
        raise NotImplementedError
