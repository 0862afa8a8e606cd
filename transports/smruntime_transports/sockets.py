"""The blocking client over plain sockets: the standard library only.

>>> from smruntime_transports.sockets import Client
>>> from smruntime_core import Credentials
>>> with Client(region="eu-west-1", credentials=Credentials("AKID", "secret")) as client:
...     client
<smruntime_transports.sockets.Client for https://runtime.sagemaker.eu-west-1.amazonaws.com>
"""

from __future__ import annotations

import time
from typing import Unpack

from .client._boundary import boundary
from .client._client import Client as BaseClient
from .client._settings import WireClientSettings
from .nonblocking._connection import WRITE, Connection, poll_any
from .nonblocking._waiting import Wait, WaitAnyWritable
from .wire._io import BlockingWireIO
from .wire._wire import Wire


class SocketIO(BlockingWireIO):
    """The IO over blocking sockets; threads may share it."""

    @classmethod
    def reading(cls) -> SocketIO:
        """Return an IO with default settings, for reading configuration without a client."""
        return cls(Wire(time.monotonic))

    def wait(self, effect: Wait, /) -> int:
        """Return what the socket is ready for, 0 if the deadline passes first."""
        return effect.connection.poll(effect.mask, effect.seconds)

    def wait_any_writable(self, effect: WaitAnyWritable, /) -> list[Connection]:
        """Return the connections that are writable, none if the deadline passes first."""
        poll_any(effect.connections, WRITE, effect.seconds)
        return [connection for connection in effect.connections if connection.poll(WRITE, 0.0)]


class Client(BaseClient, takes_io=False):
    """A client of SageMaker Runtime over blocking sockets; threads may share it.

    Settings that cannot work raise `ConstructionError`; nothing is opened before the first call.
    """

    @boundary
    def __init__(self, **settings: Unpack[WireClientSettings]) -> None:
        super().__init__(**settings)
