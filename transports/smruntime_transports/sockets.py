"""The blocking client over plain sockets: the standard library only.

>>> from smruntime_transports.sockets import Client
>>> from smruntime_core import Credentials
>>> with Client(region="eu-west-1", credentials=Credentials("AKID", "secret")) as client:
...     client
<smruntime_transports.sockets.Client for https://runtime.sagemaker.eu-west-1.amazonaws.com>
"""

from __future__ import annotations

import threading
import time
from typing import Unpack

from smruntime_core.effects import Sleep

from .client._client import SyncClient
from .client._settings import WireClientSettings
from .nonblocking._connection import WRITE, Connection, poll_any
from .nonblocking._waiting import Wait, WaitAnyWritable, WaitTurn
from .wire._io import BlockingWireIO
from .wire._wire import Wire


class SocketIO(BlockingWireIO):
    """The IO over blocking sockets; threads may share it."""

    @classmethod
    def reading(cls) -> SocketIO:
        """Return an IO that only reads settings and opens no connection."""
        return cls(Wire(time.monotonic))

    def sleep(self, effect: Sleep, /) -> None:
        time.sleep(effect.seconds)

    def wait(self, effect: Wait, /) -> int:
        return effect.connection.poll(effect.mask, effect.seconds)

    def wait_any_writable(self, effect: WaitAnyWritable, /) -> list[Connection]:
        poll_any(effect.connections, WRITE, effect.seconds)
        return [connection for connection in effect.connections if connection.poll(WRITE, 0.0)]

    def wait_turn(self, effect: WaitTurn, /) -> None:
        called = threading.Event()
        effect.ticket.when_called(called.set)
        called.wait(effect.seconds)


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
