"""Conversations over a client, written once for both kinds of clients.

A flow yields `CallClient` with a function that calls the client. A method of an `AsyncClient`
returns an awaitable, which the IO awaits; so the flow gets the same reply from both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smruntime_core.effects import Effect


class CallClient(Effect[Any]):
    """Return what `function()` returns, once it has been awaited if the client is async."""

    method = "call_client"
    feature = "calls of a client"

    function: Callable[[], Any]


class BlockingCalls:
    """The IO for a `Client`."""

    def call_client(self, effect: CallClient) -> Any:
        return effect.function()


class AwaitedCalls:
    """The IO for an `AsyncClient`."""

    async def call_client(self, effect: CallClient) -> Any:
        return await effect.function()
