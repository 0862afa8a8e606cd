"""The effects of connections, for the adapters: each runs a flow of `Wire` on the adapter."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from smruntime_core import Response, run, run_async
from smruntime_core.credentials import ProviderContext
from smruntime_core.effects import Open, Receive, Send, StreamingResponse

from ..system._io import AsyncSystem, BlockingSystem, System
from ._pool import Slot
from ._wire import Wire

if TYPE_CHECKING:
    from smruntime_core.credentials import ProviderLike


class _WireIO(System):
    """The connections of a client, configured and closed with it."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()  # an adapter may have more to prepare
        self.wire: Wire = wire

    def configure(
        self, credentials: ProviderLike | None, world: ProviderContext, ca_bundle: str | None
    ) -> None:
        super().configure(credentials, world, ca_bundle)
        self.wire.trust(ca_bundle)

    def close(self) -> None:
        """Close every idle connection; never waits."""
        self.wire.close()


class BlockingWireIO(_WireIO, BlockingSystem):
    """An IO over connections whose effects block. An adapter adds how to wait for sockets."""

    def send(self, effect: Send, /) -> Response:
        return run(self.wire.exchange(effect), self)

    def open(self, effect: Open, /) -> StreamingResponse:
        slot = Slot()
        try:
            return run(self.wire.open(effect, slot), self)
        except BaseException:  # an interrupt may come after the flow, or cut its release short
            self.wire.release(slot)
            raise

    def receive(self, effect: Receive, /) -> bytes:
        return run(self.wire.receive(effect), self)


class AsyncWireIO(_WireIO, AsyncSystem):
    """An IO over connections whose effects are awaited. An adapter adds how to wait for sockets."""

    def send(self, effect: Send, /) -> Awaitable[Response]:
        return run_async(self.wire.exchange(effect), self)

    def open(self, effect: Open, /) -> Awaitable[StreamingResponse]:
        return run_async(self.wire.open(effect), self)

    async def receive(self, effect: Receive, /) -> bytes:
        await self.checkpoint()  # with a fast peer nothing is waited for, and others would not run
        return await run_async(self.wire.receive(effect), self)
