"""The blocking client over plain sockets: the standard library only.

>>> from smruntime_transports.sockets import Client
>>> from smruntime_core import Credentials
>>> with Client(region="eu-west-1", credentials=Credentials("AKID", "secret")) as client:
...     client
<smruntime_transports.sockets.Client for https://runtime.sagemaker.eu-west-1.amazonaws.com>
"""

from __future__ import annotations

import selectors
import threading
import time
from typing import Unpack

from smruntime_core.effects import Sleep

from .client._client import SyncClient
from .client._settings import WireClientSettings
from .nonblocking._connection import Connection
from .nonblocking._waiting import First, Turn, Wait
from .wire._io import BlockingWireIO
from .wire._wire import Wire


class SocketIO(BlockingWireIO):
    """Answers effects with blocking sockets. Safe for threads."""

    @classmethod
    def reading(cls) -> SocketIO:
        """One that only looks for settings."""
        return cls(Wire(time.monotonic))

    def sleep(self, effect: Sleep, /) -> None:
        time.sleep(effect.seconds)

    def wait(self, effect: Wait, /) -> int:
        return effect.connection.poll(effect.mask, effect.seconds)

    def turn(self, effect: Turn, /) -> None:
        called = threading.Event()
        if not effect.place.when_called(called.set):
            called.wait(effect.seconds)

    def first(self, effect: First, /) -> list[Connection]:
        with selectors.DefaultSelector() as watched:
            for connection in effect.connections:
                watched.register(connection.sock, selectors.EVENT_WRITE, connection)
            return [key.data for key, _ in watched.select(effect.seconds)]


class Client(SyncClient):
    """SageMaker Runtime over blocking sockets: takes `Settings` and `WireSettings`.

    Raises `ConstructionError` for settings that cannot work; nothing is opened before the first call.
    """

    Takes = WireClientSettings

    def __init__(self, **settings: Unpack[WireClientSettings]) -> None:
        self._wire = Wire(time.monotonic, settings)
        super().__init__(settings, SocketIO(self._wire))

    def close(self) -> None:
        self._wire.close()
