"""The blocking client over urllib3: its pools, its TLS and its proxies, for programs that have urllib3 anyway; our exchange.

urllib3 makes connections, keeps them and hands one over; what is said on it is said by the same exchange and pump as on the
sockets transport, so answers are read as strictly and an early one is seen. The seam is four methods that urllib3 names for
connections (`connect`, `is_connected`, `request`, `getresponse`): here `request` sends nothing and `getresponse` lends the
connection out.

    urlopen ──> pool ──> connection.connect() ──> getresponse() = Lent ──> Wire converses ──> back in the pool, or closed
"""

from __future__ import annotations

import copy
import os
import socket
import ssl
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Unpack, cast

try:
    import urllib3
    from urllib3._version import __version__ as version
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import (
        ConnectTimeoutError,
        EmptyPoolError,
        HTTPError,
        NameResolutionError,
        NewConnectionError,
        ProxyError,
        ReadTimeoutError,
        SSLError,
    )
    from urllib3.response import BaseHTTPResponse, HTTPResponse
    from urllib3.util import Timeout
except ImportError as error:
    raise ImportError("smruntime_transports.urllib3 needs urllib3: pip install 'smruntime-core[urllib3]'") from error

if hasattr(HTTPConnection, "is_multiplexed"):
    raise ImportError(
        f"smruntime_transports.urllib3 needs urllib3, and {version} is urllib3-future (niquests installs it under the same "
        "name): its connections serve several requests at once, so none can be lent. Use smruntime_transports.sockets or .asyncio, "
        "or pip install --force-reinstall urllib3"
    )

from smruntime_core import DispatchFailure, Flow, Open, Send
from smruntime_core._errors import Kind, Phase
from smruntime_core._http1 import Exchange
from smruntime_core._url import host_and_port

from ._client import Settings, SyncClient
from ._connect import not_sent
from ._connection import Connection, tune
from ._limits import Limits
from ._pool import MOST, Pool
from ._wire import Wire
from .sockets import SocketIO

_fresh: ContextVar[bool] = ContextVar("fresh", default=False)  # no kept connection will do

if TYPE_CHECKING:
    _Base = HTTPConnection
else:
    _Base = object


class _Lendable(_Base):
    """A connection that urllib3 opens and keeps, and on which it says nothing."""

    wire: Connection | None = None
    served = False

    def connect(self) -> None:
        super().connect()
        sock = self.sock
        if not isinstance(sock, socket.socket):
            raise not_sent("tls", "proxy", "urllib3 speaks TLS inside TLS without a socket, which nothing can wait for")
        if isinstance(sock, ssl.SSLSocket):
            setattr(sock, "suppress_ragged_eofs", False)  # noqa: B010 - no stub knows it: an end without close_notify is a cut
        tune(sock)
        self.wire = Connection(sock, time.monotonic())
        self.served = False

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        try:
            sock.getpeername()  # or Python's `wrap_socket` would find out, and lose the socket without closing it
        except OSError:
            sock.close()
            raise NewConnectionError(self, "the server hung up at once") from None
        return sock

    @property
    def is_connected(self) -> bool:
        wire = self.wire
        return wire is not None and wire.pid == os.getpid() and not _fresh.get() and wire.usable(time.monotonic())

    def request(self, *_: object, **__: object) -> None:
        if self.sock is None:
            self.connect()

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # what urllib3's own says, against http.client's
        return cast("HTTPResponse", _Handover(self))  # urllib3 itself asks for no more than a BaseHTTPResponse

    def close(self) -> None:
        super().close()
        self.wire = None


class _HTTPConnection(_Lendable, HTTPConnection):
    """Plain."""


class _HTTPSConnection(_Lendable, HTTPSConnection):
    """Through TLS."""


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection  # type: ignore[assignment,unused-ignore]  # pyright reads the protocol as one of mutable members


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection  # type: ignore[assignment,unused-ignore]  # likewise


class _Handover(BaseHTTPResponse):
    """What stands for a response while urllib3 looks: the connection to have the real one on."""

    length_remaining = None

    def __init__(self, connection: _Lendable) -> None:
        super().__init__(status=0, version=11, version_string="HTTP/1.1", reason=None, decode_content=False, request_url=None)
        self.lent = connection

    def close(self) -> None:
        """There is nothing to close here; whoever was lent the connection sees to it."""


class Lent(Connection):
    """A connection of urllib3's for the length of one exchange."""

    def __init__(self, handover: _Handover) -> None:
        self._lender = handover.lent
        assert self._lender.wire is not None, "connected"  # noqa: S101 - `request` saw to it
        vars(self).update(vars(self._lender.wire))
        self._pool = vars(handover)["_pool"]

    def give_back(self) -> None:
        """It may serve again."""
        if self._lender.wire is not None:
            self._lender.wire.idle_since = time.monotonic()
        self._pool._put_conn(self._lender)

    def drop(self) -> None:
        """Close it; its place in the pool is kept."""
        self._lender.close()
        self.give_back()


class Urllib3Wire(Wire):
    """A wire whose connections come from a `urllib3.PoolManager`."""

    def __init__(self, pools: urllib3.PoolManager) -> None:
        super().__init__(time.monotonic)
        classes: dict[str, type[HTTPConnectionPool] | type[HTTPSConnectionPool]] = {"http": _HTTPPool, "https": _HTTPSPool}
        self.pools = copy.copy(pools)  # its settings; but connections that say nothing are for nobody else
        self.pools.pools = type(pools.pools)(10)
        self.pools.connection_pool_kw = dict(pools.connection_pool_kw)
        self.pools.pool_classes_by_scheme = classes

    def _kept(self, exchange: Exchange, effect: Send | Open) -> Connection | None:
        """None: urllib3 keeps them, and says so below; what no proxy may see goes past it."""
        return super()._kept(exchange, effect) if _direct(effect) else None

    def _connection(self, exchange: Exchange, effect: Send | Open, limits: Limits) -> Flow[Connection]:
        return super()._connection(exchange, effect, limits) if _direct(effect) else self._lent(exchange, effect, limits)

    def _lent(self, exchange: Exchange, effect: Send | Open, limits: Limits) -> Flow[Connection]:
        scheme, authority = exchange.origin
        host, port = host_and_port(scheme, authority)
        if scheme == "https":
            self._secure()
        left = limits.left(limits.end(effect.phases.connect))
        if left == 0:
            raise not_sent("timeout", "connect", "no time is left to connect")
        patience = limits.left(limits.end(effect.phases.pool))
        forced = _fresh.set(effect.fresh)
        try:
            handover = self.pools.connection_from_host(host, port, scheme).urlopen(
                effect.request.method,
                "/",
                headers={},
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                timeout=Timeout(connect=left),
                pool_timeout=cast("int | None", patience),  # queue.get takes any number, whatever the stubs say
            )
        except HTTPError as error:
            raise _failure(error) from None
        finally:
            _fresh.reset(forced)
        assert isinstance(handover, _Handover), "our pools make our connections"  # noqa: S101 - urllib3's contract
        exchange.reused = handover.lent.served
        handover.lent.served = True
        yield from ()  # a flow, though it asks for nothing: urllib3 waits on its own
        return Lent(handover)

    def _leave(self, exchange: Exchange, connection: Connection, keep: bool) -> None:
        if not isinstance(connection, Lent):  # one that went past urllib3's proxy
            super()._leave(exchange, connection, keep)
        elif keep:
            connection.give_back()
        else:
            connection.drop()

    def _secure(self) -> None:
        """One context for all connections, made when the first of them needs it, unless the manager says how to trust."""
        settings = self.pools.connection_pool_kw
        if not any(name.startswith(("ssl_", "ca_", "cert_", "assert_")) and value is not None for name, value in settings.items()):
            settings["ssl_context"] = self._connector.tls

    def close(self) -> None:
        """Close every idle connection."""
        super().close()
        self.pools.clear()


def _direct(effect: Send | Open) -> bool:
    return isinstance(effect, Send) and effect.direct


def _failure(error: HTTPError) -> DispatchFailure:
    """What went wrong while urllib3 connected, in our terms: nothing has been sent."""
    kind: Kind = "refused"
    phase: Phase = "connect"
    match error:
        case EmptyPoolError():
            kind, phase = "timeout", "pool"
        case NameResolutionError():
            phase = "resolve"
        case NewConnectionError():
            pass
        case ConnectTimeoutError():
            kind = "timeout"
        case ReadTimeoutError():
            kind, phase = "timeout", "tls"
        case SSLError():
            kind, phase = "tls", "tls"
        case ProxyError():
            # its words may quote the proxy's address, and that a password
            return not_sent("refused", "proxy", f"urllib3: no way through the proxy ({type(error.args[-1]).__name__})")
        case _:
            kind, phase = "reset", "tls"
    return not_sent(kind, phase, f"urllib3: {error}")


class Client(SyncClient):
    """SageMaker Runtime over urllib3.

    `pools` is a `urllib3.PoolManager` (or `ProxyManager`) of yours, whose settings are used; connections are the client's own.
    Without one they trust `tls` (default: the system's certificates). Raises `ConstructionError` for settings that cannot work.
    """

    def __init__(
        self,
        *,
        pools: urllib3.PoolManager | None = None,
        tls: ssl.SSLContext | None = None,
        max_connections: int = MOST,
        **settings: Unpack[Settings],
    ) -> None:
        Pool(time.monotonic, max_connections)  # refuses what is no number of connections
        self._wire = Urllib3Wire(pools or urllib3.PoolManager(maxsize=max_connections, block=True, ssl_context=tls))
        super().__init__(settings, SocketIO(self._wire))

    def close(self) -> None:
        self._wire.close()
