"""The blocking client over urllib3: the TLS, certificate and proxy settings of a `PoolManager`, and our own exchange.

urllib3 secures a socket and does nothing else. Our resolver and our CONNECT open it, within the deadline; then urllib3
makes the TLS handshake with the manager's settings, and the connection lives in our pool as on the sockets transport:

    pool ──> our socket, through the manager's proxy ──> urllib3: TLS ──> exchange ──> pool

Deadlines: `left()` is what remains of `timeouts.connect`. Our part waits for no longer than that; urllib3's handshake
blocks on a socket with that timeout, which `ssl` holds the whole handshake to. From then on the socket does not block,
and the flow of the exchange waits with its own deadlines, as on the sockets transport.

A manager whose connection class opens sockets in its own way (SOCKS, for instance) is left to do so.
"""

from __future__ import annotations

import copy
import ssl
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, cast

try:
    import urllib3
    from urllib3._version import __version__ as version
    from urllib3.connection import HTTPConnection
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
    from urllib3.util import ssl_
except ImportError as error:
    raise ImportError("smruntime_transports.urllib3 needs urllib3: pip install 'smruntime-core[urllib3]'") from error

if hasattr(HTTPConnection, "is_multiplexed"):
    raise ImportError(
        f"smruntime_transports.urllib3 needs urllib3, and {version} is urllib3-future (niquests installs it "
        "under the same name), which opens connections in another way. Use smruntime_transports.sockets or "
        ".asyncio, or pip install --force-reinstall urllib3"
    )

from smruntime_core import ConstructionError, DispatchFailure
from smruntime_core.effects import Flow
from smruntime_core.values import host_and_port

from .client._boundary import boundary
from .client._client import Client as BaseClient
from .client._settings import Settings, Urllib3Settings, WireClientSettings
from .connect._connector import Connector
from .connect._proxies import Proxies, Proxy
from .connect._tls import TLS
from .nonblocking._connection import OPTIONS, Connection, Option, Route
from .nonblocking._retry import Left, broken, not_sent
from .nonblocking._time_limits import Limits
from .wire._pool import MOST, Pool
from .wire._wire import Wire, WireSettings, conceal, connector_of

if TYPE_CHECKING:
    import socket

    from urllib3.connectionpool import HTTPConnectionPool

_UNLIMITED = 1_000_000  # connections of a manager that does not make its callers wait


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
        # a copy without pools, so that nothing here is seen in the caller's, and without its proxy: CONNECT is ours
        self._manager = copy.copy(manager)
        self._manager.pools = type(manager.pools)(10)
        settings = {name: value for name, value in settings.items() if not name.startswith("_proxy")}
        self._manager.connection_pool_kw = settings

    def connect(self, route: Route, limits: Limits) -> Flow[Connection]:
        """Return a new connection; raises like `Connector.connect`."""
        pool, connection = self._urllib3(route)
        if type(connection)._new_conn is HTTPConnection._new_conn:
            return (yield from super().connect(route, limits))
        _, _, proxy = route
        if proxy is not None:
            host, port = connection.host, connection.port
            connection.host, connection.port = proxy.host, proxy.port
            connection.set_tunnel(host, port, dict(proxy.headers))
        left = limits.countdown(limits.phases.connect)
        return Connection(_connected(pool, connection, left), self._clock())

    def open(self, route: Route, left: Left) -> Flow[Connection]:
        """Return a connection without TLS to the origin."""
        if self._manager.proxy is not None and self._manager.proxy.scheme == "https":
            message = "urllib3's TLS inside TLS has no socket to wait for: pass proxy= instead of a ProxyManager"
            raise not_sent("tls", "proxy", message)
        return (yield from super().open(route, left))

    def secure(self, connection: Connection, route: Route, left: Left) -> Flow[Connection]:
        """Have urllib3 make the TLS handshake on a duplicate of the socket; return the secured connection."""
        _, _, proxy = route
        if proxy is not None and proxy.scheme == "https":
            return (yield from super().secure(connection, route, left))
        plain = cast("socket.socket", connection.sock)
        pool, managed = self._urllib3(route)

        def duplicate() -> socket.socket:
            plain.getpeername()  # or `wrap_socket` finds out that the peer left, and skips the handshake
            sock = plain.dup()
            sock.settimeout(managed.timeout)
            return sock

        managed._new_conn = duplicate  # type: ignore[method-assign]  # of this one connection
        try:
            secured = Connection(_connected(pool, managed, left), self._clock())
        except BaseException:
            connection.hang_up()  # for an interrupt loses the duplicate, open, in the handshake
            raise
        connection.drop()
        return secured

    def _urllib3(self, route: Route) -> tuple[HTTPConnectionPool, HTTPConnection]:
        """Return urllib3's pool for a route, with a connection of its class that is not connected yet."""
        scheme, authority, _ = route
        settings = self._manager.connection_pool_kw
        tls = ("ssl_", "ca_", "cert_", "assert_")
        if scheme == "https" and not any(name.startswith(tls) and value is not None for name, value in settings.items()):
            settings["ssl_context"] = _interruptible(self.tls)  # urllib3 would make one per connection
        host, port = host_and_port(scheme, authority)
        # not a ProxyManager's own method, which returns the proxy for plain http
        pool = urllib3.PoolManager.connection_from_host(self._manager, host, port, scheme)
        return pool, cast("HTTPConnection", pool._new_conn())


def _connected(pool: HTTPConnectionPool, connection: HTTPConnection, left: Left) -> socket.socket:
    """Have urllib3 connect, and return the socket; raises `DispatchFailure`."""
    connection.timeout = left()
    checked: Any = None
    try:
        if connection.timeout == 0:
            raise TimeoutError
        # connects https, and warns if the certificate is not verified
        pool._validate_conn(cast("Any", connection))  # the class does not fit urllib3's protocol
        if connection.sock is None:
            connection.connect()
        checked = _checked(connection.sock) if pool.scheme == "https" else connection.sock
        return cast("socket.socket", checked)
    except (OSError, ValueError, HTTPError) as error:
        raise _failure(error, pool.host) from None
    finally:
        if checked is None:
            connection.close()


def _checked(sock: Any) -> socket.socket:
    """Refuse a secured socket on which our exchange cannot work."""
    if "h2" in (sock.selected_alpn_protocol(), *ssl_.ALPN_PROTOCOLS):
        raise not_sent("protocol", "tls", "HTTP/2 is switched on: call urllib3.http2.extract_from_urllib3()")
    if not hasattr(sock, "pending"):  # pyOpenSSL's, for instance
        raise not_sent("tls", "tls", f"a {type(sock).__name__} of urllib3's cannot be waited for: use Python's ssl")
    sock.suppress_ragged_eofs = False  # an end without close_notify may be a cut
    return cast("socket.socket", sock)


def _failure(error: Exception, host: str) -> DispatchFailure:
    """Return what went wrong while urllib3 connected, in our terms."""
    what = f"TLS handshake with {host}"
    match error:
        case ConnectTimeoutError():
            return not_sent("timeout", "connect", f"urllib3: {error}")
        case NewConnectionError():
            return not_sent("refused", "connect", f"urllib3: {error}")
        case TimeoutError():
            return not_sent("timeout", "tls", f"{what} took too long")
        case OSError():
            return broken(error, "tls", what)
        case _:
            return not_sent("tls", "tls", f"{what} failed: {error}")


def _interruptible(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make the sockets of `context` close when an interrupt ends their handshake.

    Python's `wrap_socket` closes them after an OSError only, and loses them otherwise.
    """
    standard = type(context).__module__ == "ssl"  # and not gevent's, eventlet's or truststore's
    if standard and context.sslsocket_class is ssl.SSLSocket:

        class InterruptibleSocket(ssl.SSLSocket):
            def do_handshake(self, block: bool = False) -> None:
                try:
                    super().do_handshake(block)
                except Exception:
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
    port = url.port or (443 if url.scheme == "https" else 80)
    return Proxy(url.scheme or "http", url.host or "", port, tuple(headers.items()))


class Client(BaseClient):
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
        conceal(cast("WireSettings", settings))
        chosen = {name: value for name, value in settings.items() if name in WireSettings.__annotations__}
        return _wire(cast("WireSettings", chosen), cast("Urllib3Settings", settings).get("pools"))


def _wire(settings: WireSettings, manager: urllib3.PoolManager | None) -> Wire:
    clock = time.monotonic
    most = kept = settings.get("max_connections", MOST)
    if manager is None:
        manager = urllib3.PoolManager()
    elif not isinstance(manager, urllib3.PoolManager):
        raise ConstructionError("pools", "a urllib3.PoolManager or ProxyManager")
    elif settings:
        raise ConstructionError("pools", f"given without {min(settings)}: it has its own")
    else:
        kept = manager.connection_pool_kw.get("maxsize", 1)
        most = kept if manager.connection_pool_kw.get("block") else _UNLIMITED
    connector = connector_of(clock, settings, partial(ManagedConnector, manager))
    return Wire(clock, settings, connector, Pool(clock, most, kept))
