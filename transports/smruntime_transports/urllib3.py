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
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, Unpack, cast

try:
    import urllib3
    from urllib3._base_connection import ProxyConfig
    from urllib3._version import __version__ as version
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import (
        ConnectTimeoutError,
        HTTPError,
        NewConnectionError,
        ProxyError,
        ReadTimeoutError,
        SSLError,
    )
    from urllib3.response import BaseHTTPResponse, HTTPResponse
    from urllib3.util import Timeout, Url
except ImportError as error:
    raise ImportError("smruntime_transports.urllib3 needs urllib3: pip install 'smruntime-core[urllib3]'") from error

if hasattr(HTTPConnection, "is_multiplexed"):
    raise ImportError(
        f"smruntime_transports.urllib3 needs urllib3, and {version} is urllib3-future (niquests installs it under the same "
        "name): its connections serve several requests at once, so none can be lent. Use smruntime_transports.sockets or .asyncio, "
        "or pip install --force-reinstall urllib3"
    )

from smruntime_core import ConstructionError, DispatchFailure, run
from smruntime_core.effects import Flow, Open, Send
from smruntime_core.errors import Kind, Phase
from smruntime_core.http1 import Exchange
from smruntime_core.values import host_and_port

from .client._client import Settings, SyncClient
from .connect._connector import Connector
from .connect._proxies import Proxy, tunnel
from .connect._tls import TLS
from .nonblocking._connection import Connection, Option, Origin
from .nonblocking._retry import Left, not_sent
from .nonblocking._time_limits import Limits
from .sockets import SocketIO
from .wire._pool import MOST, Pool
from .wire._wire import Wire, WireSettings, conceal, direct


class Calling(NamedTuple):
    """What a connection must know of the call that opens it."""

    connector: Connector
    left: Left
    fresh: bool  # no kept connection will do
    io: SocketIO


_INSTEAD = "give the client proxy= instead of a ProxyManager"
_UNBOUNDED = 1_000_000  # connections of a manager that does not make its callers wait
_calling: ContextVar[Calling] = ContextVar("calling")

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
            raise not_sent("tls", "proxy", f"urllib3 speaks TLS inside TLS without a socket to wait for; {_INSTEAD}")
        if isinstance(sock, ssl.SSLSocket):
            setattr(sock, "suppress_ragged_eofs", False)  # noqa: B010 - no stub knows it: an end without close_notify is a cut
        self.wire = Connection(sock, time.monotonic())
        self.served = False

    def _new_conn(self) -> socket.socket:
        """Names and addresses are ours: urllib3 gives each address the whole of the time, and a name as much as it takes."""
        calling = _calling.get()
        flow = calling.connector.reach(self._dns_host, self.port, calling.left, "proxy" if self.proxy else None)
        sock = run(flow, calling.io).sock
        assert isinstance(sock, socket.socket), "nothing is said on it yet"  # noqa: S101 - so it is bare
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.getpeername()  # or Python's `wrap_socket` would find out, and lose the socket without closing it
        except OSError:
            sock.close()
            raise NewConnectionError(self, "the server hung up at once") from None
        sock.settimeout(calling.left())  # for a handshake, which is held to it as a whole
        return sock

    def _tunnel(self) -> None:
        """CONNECT is ours as well: `http.client` gives each read the whole of the time."""
        calling, sock = _calling.get(), self.sock
        assert self._tunnel_host is not None, "asked for by urllib3"  # noqa: S101 - it says so before
        assert isinstance(sock, socket.socket), "open"  # noqa: S101 - urllib3 has connected it just now
        proxy = Proxy("http", self.host, self.port, self._authorization())
        port = self._tunnel_port or (443 if isinstance(self, HTTPSConnection) else 80)
        run(tunnel(Connection(sock, 0.0), proxy, self._tunnel_host, port, calling.left), calling.io)
        sock.settimeout(calling.left())

    def _authorization(self) -> str | None:
        headers: dict[str, str] = vars(self)["_tunnel_headers"]  # http.client's, which no stub knows
        return next((value for name, value in headers.items() if name.lower() == "proxy-authorization"), None)

    @property
    def is_connected(self) -> bool:
        wire = self.wire
        return wire is not None and wire.pid == os.getpid() and not _calling.get().fresh and wire.usable(time.monotonic())

    def request(self, *_: object, **__: object) -> None:
        if self.sock is None:
            self.connect()

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # what urllib3's own says, against http.client's
        return cast("HTTPResponse", _Handover(self))  # urllib3 itself asks for no more than a BaseHTTPResponse

    def close(self) -> None:
        super().close()
        self.wire = None


class _Interruptible(ssl.SSLSocket):
    """urllib3 waits inside of `wrap_socket`, which loses a socket that a `KeyboardInterrupt` takes out of its handshake."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException as error:
            if not isinstance(error, Exception):
                self.close()
            raise


class _HTTPConnection(_Lendable, HTTPConnection):
    """Plain."""


class _HTTPSConnection(_Lendable, HTTPSConnection):
    """Through TLS."""


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection  # type: ignore[assignment,unused-ignore]  # pyright reads the protocol as one of mutable members

    def _prepare_proxy(self, conn: HTTPConnection) -> None:  # type: ignore[override]  # as urllib3 has it for https
        """urllib3 would have a proxy forward plain http; here everything is tunnelled (see `_proxy`)."""
        assert self.proxy is not None, "asked only then"  # noqa: S101 - by `urlopen`
        if self.proxy.scheme == "https":
            raise not_sent("tls", "proxy", f"urllib3 reaches no plain http through a proxy that speaks TLS; {_INSTEAD}")
        conn.host, conn.port = self.proxy.host or "", self.proxy.port or 80
        conn.set_tunnel(self.host, self.port, headers=self.proxy_headers, scheme="http")
        conn.connect()


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
            self._lender.wire._registered = self._registered  # with the poll that they share
        self._pool._put_conn(self._lender)

    def drop(self) -> None:
        """Close it; its place in the pool is kept."""
        self._lender.close()
        self.give_back()


class _Line(Pool):
    """The line to wait in is ours: an interrupt in urllib3's leaves a place there that is not. What serves again goes back to urllib3."""

    def __init__(self, clock: Callable[[], float], most: int, pools: urllib3.PoolManager) -> None:
        self._pools = pools
        super().__init__(clock, most)

    def _begin(self) -> None:
        """A forked child with urllib3's pools of before would wait for what was lent there, and never comes back."""
        super()._begin()
        self._pools.pools = type(self._pools.pools)(10)

    def give_back(self, origin: Origin, connection: Connection, keep: bool = True) -> None:
        if keep and isinstance(connection, Lent) and connection.pid == self._pid:  # and not one that went past urllib3
            connection.give_back()
            self.leave(origin)
        else:
            super().give_back(origin, connection, keep)


class Urllib3Wire(Wire):
    """A wire whose connections come from a `urllib3.PoolManager`."""

    def __init__(self, settings: WireSettings, pools: urllib3.PoolManager | None) -> None:
        super().__init__(time.monotonic, settings)
        if settings and pools is not None:
            raise ConstructionError("pools", f"given without {min(settings)}: it has its own")
        if pools is not None and not isinstance(pools, urllib3.PoolManager):  # pyright: ignore[reportUnnecessaryIsInstance]  # who knows
            raise ConstructionError("pools", "a urllib3.PoolManager or ProxyManager")
        most = settings.get("max_connections", MOST)
        if pools is None:
            pools = urllib3.PoolManager(maxsize=most, block=True)
        else:
            most = pools.connection_pool_kw.get("maxsize", 1) if pools.connection_pool_kw.get("block") else _UNBOUNDED
        self._io = SocketIO(self)
        classes: dict[str, type[HTTPConnectionPool] | type[HTTPSConnectionPool]] = {"http": _HTTPPool, "https": _HTTPSPool}
        self.pools = copy.copy(pools)  # its settings; but connections that say nothing are for nobody else
        self._pool = _Line(self._clock, most, self.pools)
        self.pools.connection_pool_kw = dict(pools.connection_pool_kw)
        self.pools.pool_classes_by_scheme = classes

    def _past(self, exchange: Exchange, effect: Send | Open) -> bool:
        """The connection is one of ours: no proxy may see it, or the proxy speaks TLS, which urllib3 does without a socket to wait for."""
        scheme, authority = exchange.origin
        proxies = self._connector.proxies
        proxy = proxies.to(scheme, *host_and_port(scheme, authority)) if proxies else None
        return direct(effect) or (proxy is not None and proxy.scheme == "https")

    def _connect(self, exchange: Exchange, effect: Send | Open, limits: Limits) -> Flow[Connection]:
        if self._past(exchange, effect):
            return (yield from super()._connect(exchange, effect, limits))
        scheme, authority = exchange.origin
        host, port = host_and_port(scheme, authority)
        if scheme == "https":
            self._secure()
        end = limits.end(effect.phases.connect)

        def left() -> float | None:
            return limits.left(end)

        if left() == 0:
            raise not_sent("timeout", "connect", "no time is left to connect")
        calling = _calling.set(Calling(self._connector, left, effect.fresh, self._io))
        handover: object = None
        try:
            handover = self._pool_of(scheme, host, port).urlopen(
                effect.request.method,
                "/",
                headers={},
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                timeout=Timeout(connect=left()),
            )
        except HTTPError as error:
            handover = _failure(error)
        finally:
            _calling.reset(calling)
        if isinstance(handover, DispatchFailure):  # raised here, it does not hold what wrapped it
            raise handover
        assert isinstance(handover, _Handover), "our pools make our connections"  # noqa: S101 - urllib3's contract
        exchange.reused = handover.lent.served
        handover.lent.served = True
        yield from ()  # a flow, though it asks for nothing: urllib3 waits on its own
        return Lent(handover)

    def _pool_of(self, scheme: str, host: str, port: int) -> HTTPConnectionPool:
        """urllib3's for an origin; a `ProxyManager` would hand out the proxy itself, to forward plain http."""
        return urllib3.PoolManager.connection_from_host(self.pools, host, port, scheme, self._proxied(scheme, host, port))

    def _proxied(self, scheme: str, host: str, port: int) -> dict[str, object] | None:
        """What tells a pool of urllib3's of a proxy that was given to us, as its `ProxyManager` would."""
        proxy = self._connector.proxies.to(scheme, host, port)
        if proxy is None:
            return None
        headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
        config = ProxyConfig(None, False, None, None)
        return {"_proxy": Url(proxy.scheme, None, proxy.host, proxy.port), "_proxy_headers": headers, "_proxy_config": config}

    def _secure(self) -> None:
        """One context for all connections, made when the first of them needs it, unless the manager says how to trust."""
        settings = self.pools.connection_pool_kw
        if not any(name.startswith(("ssl_", "ca_", "cert_", "assert_")) and value is not None for name, value in settings.items()):
            context = settings["ssl_context"] = self._connector.tls
            if context.sslsocket_class is ssl.SSLSocket:
                context.sslsocket_class = _Interruptible

    def close(self) -> None:
        """Close every idle connection."""
        super().close()
        self.pools.clear()


def _failure(error: HTTPError) -> DispatchFailure:
    """What went wrong while urllib3 connected, in our terms: nothing has been sent."""
    if ours := _within(error):
        return ours
    kind: Kind = "refused"
    phase: Phase = "connect"
    match error:
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
            cause = error.original_error
            kind = "tls" if isinstance(cause, SSLError | ssl.SSLError) else "refused"
            return not_sent(kind, "proxy", f"urllib3: no way through the proxy ({type(cause).__name__})")
        case _:
            kind, phase = "reset", "tls"
    return not_sent(kind, phase, f"urllib3: {error}")


def _within(error: BaseException) -> DispatchFailure | None:
    """What we raised ourselves, if it is what urllib3 has wrapped."""
    if isinstance(error, DispatchFailure):
        return error
    causes = (*error.args, error.__cause__)
    return next((found for cause in causes if isinstance(cause, BaseException) and (found := _within(cause))), None)


class Urllib3Settings(Settings, total=False):
    """What a client over urllib3 takes besides.

    `pools` is a `urllib3.PoolManager` (or `ProxyManager`) of yours, whose settings are used; connections are the client's own.
    `tls`, `max_connections`, `proxy`, `trust_env` and `socket_options` are as in `WireSettings`, and not for a client with `pools`.
    """

    pools: urllib3.PoolManager | None
    tls: ssl.SSLContext | TLS | None
    max_connections: int
    proxy: str | Proxy | None
    trust_env: bool
    socket_options: Sequence[Option]


class Client(SyncClient):
    """SageMaker Runtime over urllib3: takes `Urllib3Settings`. Raises `ConstructionError` for settings that cannot work."""

    Takes = Urllib3Settings
    Bound = ("pools",)

    def __init__(self, **settings: Unpack[Urllib3Settings]) -> None:
        conceal(cast("WireSettings", settings))
        wiring = {name: value for name, value in settings.items() if name in WireSettings.__annotations__}
        self._wire = Urllib3Wire(cast("WireSettings", wiring), settings.get("pools"))
        super().__init__(settings, SocketIO(self._wire))

    def close(self) -> None:
        self._wire.close()
