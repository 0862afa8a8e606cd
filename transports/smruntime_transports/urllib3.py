"""The blocking client over urllib3: TLS, certificates and proxy as a `PoolManager` has them.

urllib3 secures sockets and does nothing else. Our resolver and our CONNECT open a socket, urllib3
makes the TLS handshake with the manager's settings, and the connection then lives in our own pool
and carries our own exchange, as on the sockets transport:

    pool ──> socket, through the manager's proxy ──> urllib3: TLS ──> exchange ──> pool

Deadlines: `left()` returns what remains of `timeouts.connect`, and each step of connecting waits
for no longer than that. urllib3's handshake blocks, on a socket with that timeout; `ssl` applies it
to the handshake as a whole. Afterwards the socket is non-blocking, and the exchange has time limits
of its own (`_time_limits`).

A manager whose connection class opens sockets itself (SOCKS, for instance) is left to do so. With
gevent or eventlet, patch before `ssl` is imported: patched later, urllib3 fails to make the TLS
context of a manager with `ca_certs` (RecursionError).
"""

from __future__ import annotations

import copy
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Unpack, cast

try:
    import urllib3
    from urllib3._version import __version__ as version
    from urllib3.connection import HTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
    from urllib3.util import ssl_
except ImportError as error:
    remedy = "needs urllib3: pip install 'smruntime-core[urllib3]'"
    raise ImportError(f"smruntime_transports.urllib3 {remedy}") from error

if hasattr(HTTPConnection, "is_multiplexed"):
    raise ImportError(
        f"smruntime_transports.urllib3 needs urllib3, and {version} is urllib3-future (niquests "
        "installs it under the same name), which opens connections in another way. Use "
        "smruntime_transports.sockets, or pip install --force-reinstall urllib3"
    )

from smruntime_core import ConstructionError, DispatchFailure
from smruntime_core.effects import Flow
from smruntime_core.errors import Phase
from smruntime_core.values import split_authority

from .client._boundary import boundary
from .client._client import Client as BaseClient
from .client._settings import Settings, Urllib3Settings, WireClientSettings
from .connect._connector import Connector
from .connect._proxies import Proxies, Proxy
from .connect._tls import TLS
from .nonblocking._connection import OPTIONS, Connection, Option, Origin, Route
from .nonblocking._retry import Left, broken, not_sent
from .nonblocking._time_limits import TimeLimits
from .wire._pool import DEFAULT_MAX_CONNECTIONS, Pool
from .wire._wire import Wire
from .wire._wire_settings import WireSettings, conceal_proxy, make_connector

_UNLIMITED = 1_000_000  # connections of a manager that does not make its callers wait
_TLS_SETTINGS = ("ssl_", "ca_", "cert_", "assert_")  # how their names begin
_HTTP2 = "urllib3 speaks HTTP/2: call urllib3.http2.extract_from_urllib3()"
_HTTPS_PROXY = "for a proxy that speaks TLS pass proxy= instead of a ProxyManager"


class ManagedConnector(Connector):
    """Opens connections with the settings of a `urllib3.PoolManager`.

    The other arguments are for what the manager does not set.
    """

    def __init__(
        self,
        manager: urllib3.PoolManager,
        clock: Callable[[], float],
        tls: ssl.SSLContext | TLS | None = None,
        proxies: Proxies | None = None,
        options: Iterable[Option] = OPTIONS,
    ) -> None:
        settings = manager.connection_pool_kw
        super().__init__(
            clock,
            tls,
            proxies or Proxies(_proxy_of(manager)),
            options=(*options, *(settings.get("socket_options") or ())),
            source_address=settings.get("source_address"),
        )
        self._manager = manager
        self._pools: dict[Origin, HTTPConnectionPool] = {}
        self._settings = {  # without the proxy, since CONNECT is ours
            name: value for name, value in settings.items() if not name.startswith("_proxy")
        }

    def connect(self, route: Route, limits: TimeLimits) -> Flow[Connection]:
        """Return a new connection; raises like `Connector.connect`."""
        _, _, proxy = route
        if proxy is not None and proxy.scheme == "https" and self._manager.proxy is not None:
            raise not_sent("tls", "proxy", _HTTPS_PROXY)
        pool, managed = self._urllib3(route)
        if type(managed)._new_conn is HTTPConnection._new_conn:
            return (yield from super().connect(route, limits))
        if proxy is not None:
            managed.set_tunnel(managed.host, managed.port, dict(proxy.headers))
            managed.host, managed.port = proxy.host, proxy.port
        left = limits.countdown(limits.phases.connect)
        return Connection(_connected(pool, managed, left), self._clock())

    def secure(self, connection: Connection, route: Route, left: Left) -> Flow[Connection]:
        """Have urllib3 secure a duplicate of the socket, and return the connection over that."""
        _, _, proxy = route
        if proxy is not None and proxy.scheme == "https":
            return (yield from super().secure(connection, route, left))
        plain = cast("socket.socket", connection.sock)  # TLS is about to begin
        pool, managed = self._urllib3(route)

        def duplicate() -> socket.socket:
            plain.getpeername()  # if the peer has left, `wrap_socket` would skip the handshake
            sock = plain.dup()
            sock.settimeout(managed.timeout)
            return sock

        managed._new_conn = duplicate  # type: ignore[method-assign]  # of this one connection
        try:
            secured = Connection(_connected(pool, managed, left), self._clock())
        except BaseException:
            connection.hang_up()  # the peer sees the end even if the duplicate is lost
            raise
        connection.drop()
        return secured

    def _urllib3(self, route: Route) -> tuple[HTTPConnectionPool, HTTPConnection]:
        """Return urllib3's pool for `route`, and a connection of its class, not yet connected."""
        scheme, _ = origin = route[:2]
        pool = self._pools.get(origin)
        if pool is None:
            given = (name for name, value in self._settings.items() if value is not None)
            if scheme == "https" and not any(name.startswith(_TLS_SETTINGS) for name in given):
                self._settings["ssl_context"] = _interruptible(self.tls)  # for all connections
            manager = copy.copy(self._manager)  # with other pools: the caller's are not touched
            manager.pools = type(manager.pools)(1)
            manager.connection_pool_kw = self._settings
            # a ProxyManager's own method would return a pool for the proxy where the scheme is http
            connect_to = urllib3.PoolManager.connection_from_host
            pool = connect_to(manager, *split_authority(*origin), scheme)
            self._pools[origin] = pool
        return pool, cast("HTTPConnection", pool._new_conn())


def _connected(pool: HTTPConnectionPool, managed: HTTPConnection, left: Left) -> socket.socket:
    """Have urllib3 connect and return the socket; raises `DispatchFailure`."""
    managed.timeout = left()
    try:
        if managed.timeout == 0:
            raise TimeoutError
        # connects https, and warns if the certificate is not verified
        pool._validate_conn(cast("Any", managed))  # the class does not fit urllib3's protocol
        if managed.sock is None:
            managed.connect()
        if pool.scheme == "https":
            _check(managed.sock)
        return cast("socket.socket", managed.sock)
    except BaseException as error:
        managed.close()
        if isinstance(error, OSError | ValueError | HTTPError):
            raise _failure(error, pool) from None
        raise


def _check(sock: Any) -> None:
    """Refuse a secured socket that our exchange cannot use."""
    if "h2" in (sock.selected_alpn_protocol(), *ssl_.ALPN_PROTOCOLS):
        raise not_sent("protocol", "tls", _HTTP2)
    if not hasattr(sock, "pending"):  # pyOpenSSL's, for instance
        message = f"cannot wait for a {type(sock).__name__} of urllib3's: use Python's ssl"
        raise not_sent("tls", "tls", message)
    sock.suppress_ragged_eofs = False  # an end without close_notify may be a cut


def _failure(error: Exception, pool: HTTPConnectionPool) -> DispatchFailure:
    """Return what went wrong while urllib3 connected, in our terms."""
    phase: Phase = "tls" if pool.scheme == "https" else "connect"
    what = f"TLS handshake with {pool.host}" if phase == "tls" else f"connection to {pool.host}"
    match error:
        case NewConnectionError():  # which is a timeout to urllib3 as well
            return not_sent("refused", "connect", f"urllib3: {error}")
        case ConnectTimeoutError():
            return not_sent("timeout", "connect", f"urllib3: {error}")
        case TimeoutError():
            return not_sent("timeout", phase, f"{what} took longer than timeouts.connect allows")
        case OSError():
            return broken(error, phase, what)
        case _:
            return not_sent("tls", "tls", f"{what} failed: {error}")


def _interruptible(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make the sockets of `context` close when an interrupt ends their handshake.

    Python's `wrap_socket` closes them after an OSError only.
    """
    standard = type(context).__module__ == "ssl"  # not gevent's, eventlet's or truststore's
    if standard and context.sslsocket_class is ssl.SSLSocket:

        class InterruptibleSocket(ssl.SSLSocket):
            def do_handshake(self, block: bool = False) -> None:
                try:
                    super().do_handshake(block)
                except OSError:
                    raise
                except BaseException:
                    self.close()
                    raise

        context.sslsocket_class = InterruptibleSocket
    return context


def _proxy_of(manager: urllib3.PoolManager) -> Proxy | None:
    """Return the proxy of a `ProxyManager`, with its headers."""
    url = manager.proxy
    if url is None:
        return None
    headers = cast("urllib3.ProxyManager", manager).proxy_headers
    host = (url.host or "").strip("[]")  # of an IPv6 address
    return Proxy(url.scheme or "http", host, url.port or 80, tuple(headers.items()))


class Client(BaseClient, takes_io=False):
    """A client of SageMaker Runtime over urllib3; threads may share it.

    Of `pools`, the settings are used: TLS, certificates, proxy with headers, source address, socket options, and the limits `maxsize` and
    `block`; its connections are not. Settings that cannot work raise `ConstructionError`.
    """

    _settings_type = Urllib3Settings
    _settings_of_process = ("pools",)

    @boundary
    def __init__(self, **settings: Unpack[Urllib3Settings]) -> None:
        super().__init__(**cast("WireClientSettings", settings))

    def _make_wire(self, settings: Settings) -> Wire:
        conceal_proxy(cast("WireSettings", settings))
        chosen = {
            name: value for name, value in settings.items() if name in WireSettings.__annotations__
        }
        return _wire(cast("WireSettings", chosen), cast("Urllib3Settings", settings).get("pools"))


def _wire(settings: WireSettings, manager: urllib3.PoolManager | None) -> Wire:
    clock = time.monotonic
    most = kept = settings.get("max_connections", DEFAULT_MAX_CONNECTIONS)
    if manager is None:
        manager = urllib3.PoolManager()
    elif not isinstance(manager, urllib3.PoolManager):
        raise ConstructionError("pools", "a urllib3.PoolManager or ProxyManager")
    elif settings:
        raise ConstructionError("pools", f"given without {min(settings)}: it has its own")
    else:
        kept = manager.connection_pool_kw.get("maxsize", 1)
        most = kept if manager.connection_pool_kw.get("block") else _UNLIMITED
    connector = make_connector(clock, settings, partial(ManagedConnector, manager))
    return Wire(clock, settings, connector, Pool(clock, most, kept))
