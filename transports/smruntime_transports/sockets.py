"""The blocking client over plain sockets: the standard library only.

>>> from smruntime_transports.sockets import Client
>>> from smruntime_core import Credentials
>>> with Client(region="eu-west-1", credentials=Credentials("AKID", "secret")) as client:
...     client
<smruntime_transports.sockets.Client for https://runtime.sagemaker.eu-west-1.amazonaws.com>
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from typing import Unpack

from smruntime_core import Sleep

from ._client import Settings, SyncClient
from ._io import BlockingWireIO
from ._pool import MOST
from ._waits import Address, Resolve, Turn, Wait
from ._wire import EngineName, Wire

NUMERIC = socket.AI_NUMERICHOST


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

    def resolve(self, effect: Resolve, /) -> list[Address]:
        """In a thread of its own: `getaddrinfo` knows no time limit, and may hang for longer than any caller wants to wait."""
        answer: queue.SimpleQueue[list[Address]] = queue.SimpleQueue()
        if numeric := addresses(effect.host, effect.port, NUMERIC):
            return numeric
        threading.Thread(target=lambda: answer.put(addresses(effect.host, effect.port)), daemon=True).start()
        try:
            return answer.get(timeout=effect.seconds)
        except queue.Empty:
            return []


def addresses(host: str, port: int, flags: int = 0) -> list[Address]:
    """What the system's resolver says; empty if it says no."""
    try:
        found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        return []
    return [(family, address) for family, _, _, _, address in found]


class Client(SyncClient):
    """SageMaker Runtime over blocking sockets.

    `engine` chooses who reads responses ("native", or "h11" with the extra of that name), `tls` the certificates to trust
    (default: the system's), `max_connections` how many there may be to one host: who comes then waits in line. Raises
    `ConstructionError` for settings that cannot work; nothing is opened before the first call.
    """

    def __init__(
        self,
        *,
        engine: EngineName = "native",
        tls: ssl.SSLContext | None = None,
        max_connections: int = MOST,
        **settings: Unpack[Settings],
    ) -> None:
        self._wire = Wire(time.monotonic, engine=engine, tls=tls, most=max_connections)
        super().__init__(settings, SocketIO(self._wire))

    def close(self) -> None:
        self._wire.close()
