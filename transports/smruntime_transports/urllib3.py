"""The blocking client over urllib3: TLS, certificates and proxy as a `PoolManager` has them.

urllib3 secures sockets and does nothing else. Our resolver and our CONNECT open a socket, urllib3
makes the TLS handshake with the manager's settings, and the connection then lives in our own pool
and carries our own exchange, as on the sockets transport:

    resolver ──> socket ──> CONNECT, if there is a proxy ──> urllib3: TLS ──> our pool ──> exchange

Deadlines: `seconds_left()` returns what remains of `timeouts.connect`, and each step of connecting
waits for no longer than that. urllib3's handshake blocks, on a socket with that timeout, which
`ssl` applies to the handshake as a whole. Afterwards the socket is non-blocking, and the waits of
the exchange have its time limits (`nonblocking/_time_limits.py`), as on the sockets transport.

A manager whose connection class opens sockets itself (SOCKS, for instance) is left to do so. With
gevent or eventlet, patch before `ssl` is imported: patched later, urllib3 fails to make the TLS
context of a manager with `ca_certs` (RecursionError).
"""

from __future__ import annotations

import copy
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Unpack, cast

try:
    import urllib3
    from urllib3._version import __version__ as urllib3_version
    from urllib3.connection import HTTPConnection
    from urllib3.connectionpool import HTTPConnectionPool
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
    from urllib3.util import ssl_
except ImportError as _error:
    _INSTALL_HINT: str = "needs urllib3: pip install 'smruntime-core[urllib3]'"
    raise ImportError(f"smruntime_transports.urllib3 {_INSTALL_HINT}") from _error

if hasattr(HTTPConnection, "is_multiplexed"):
    raise ImportError(
        f"smruntime_transports.urllib3 needs urllib3, and {urllib3_version} is urllib3-future "
        "(niquests installs it under the same name), which opens connections in another way. Use "
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
from .connect._tls import TLS, check_tls_files
from .nonblocking._connection import OPTIONS, Connection, Option, Route
from .nonblocking._retry import SecondsLeft, broken, not_sent
from .nonblocking._time_limits import TimeLimits
from .wire._pool import DEFAULT_MAX_CONNECTIONS, Pool
from .wire._wire import Wire
from .wire._wire_settings import WireSettings, conceal_proxy, make_connector

_UNLIMITED_CONNECTIONS = 1_000_000  # of a manager that does not make its callers wait
_TLS_SETTING = re.compile("ssl_|ca_|cert_|assert_")  # how the names of such settings begin
# a ProxyManager's own method would return a pool for the proxy where the scheme is http
_find_pool = urllib3.PoolManager.connection_from_host
_HTTP2_MESSAGE = "urllib3 speaks HTTP/2: call urllib3.http2.extract_from_urllib3()"
_HTTPS_PROXY_MESSAGE = "for a proxy that speaks TLS pass proxy= instead of a ProxyManager"


class ManagedConnector(Connector):
    """A connector with the settings of a `urllib3.PoolManager`.

    The other arguments are for what the manager does not set.
    """

    def __init__(
        self,
        pool_manager: urllib3.PoolManager,
        clock: Callable[[], float],
        tls: ssl.SSLContext | TLS | None = None,
        proxies: Proxies | None = None,
        options: Iterable[Option] = OPTIONS,
    ) -> None:
        manager_settings = pool_manager.connection_pool_kw
        super().__init__(
            clock,
            tls,
            Proxies(_proxy_of_manager(pool_manager)) if proxies is None else proxies,
            options=(*options, *(manager_settings.get("socket_options") or ())),
            source_address=manager_settings.get("source_address"),
        )
        self._pool_manager = copy.copy(pool_manager)  # with pools of its own
        self._pool_manager.pools = type(pool_manager.pools)(100)  # origins at most
        # without the proxy, since CONNECT is ours
        self._pool_manager.connection_pool_kw = {
            name: value for name, value in manager_settings.items() if not name.startswith("_proxy")
        }

    def connect(self, route: Route, limits: TimeLimits) -> Flow[Connection]:
        """Return a new connection; raises like `Connector.connect`."""
        _, _, proxy = route
        if proxy is not None and proxy.scheme == "https" and self._pool_manager.proxy is not None:
            raise not_sent("tls", "proxy", _HTTPS_PROXY_MESSAGE)
        urllib3_pool, urllib3_connection = self._new_urllib3_connection(route)
        if type(urllib3_connection)._new_conn is HTTPConnection._new_conn:
            return (yield from super().connect(route, limits))
        if proxy is not None:
            host, port = urllib3_connection.host, urllib3_connection.port
            urllib3_connection.set_tunnel(host, port, dict(proxy.headers))
            urllib3_connection.host, urllib3_connection.port = proxy.host, proxy.port
        seconds_left = limits.countdown(limits.phases.connect)
        open_socket = _connect_urllib3(urllib3_pool, urllib3_connection, seconds_left)
        return Connection(open_socket, self._clock())

    def secure(self, connection: Connection, route: Route, left: SecondsLeft) -> Flow[Connection]:
        """Have urllib3 secure a duplicate of the socket, and return the connection over that."""
        _, _, proxy = route
        if proxy is not None and proxy.scheme == "https":
            return (yield from super().secure(connection, route, left))
        plain_socket = cast("socket.socket", connection.sock)  # TLS is about to begin
        urllib3_pool, urllib3_connection = self._new_urllib3_connection(route)

        def duplicate_socket() -> socket.socket:
            plain_socket.getpeername()  # if the peer has left, `wrap_socket` skips the handshake
            duplicate = plain_socket.dup()
            duplicate.settimeout(urllib3_connection.timeout)
            return duplicate

        # of this connection only
        urllib3_connection._new_conn = duplicate_socket  # type: ignore[method-assign]
        try:
            secured_socket = _connect_urllib3(urllib3_pool, urllib3_connection, left)
            secured_connection = Connection(secured_socket, self._clock())
        except BaseException:
            connection.hang_up()  # the peer sees the end even if the duplicate is lost
            raise
        connection.drop()
        return secured_connection

    def _new_urllib3_connection(self, route: Route) -> tuple[HTTPConnectionPool, HTTPConnection]:
        """Return urllib3's pool for `route`, and a connection of its class, not yet connected."""
        scheme, (host, port) = route[0], split_authority(*route[:2])
        manager_settings = self._pool_manager.connection_pool_kw
        given_settings = [name for name, value in manager_settings.items() if value is not None]
        if scheme == "https" and any(map(_TLS_SETTING.match, given_settings)):
            check_tls_files(manager_settings)
        elif scheme == "https":
            manager_settings["ssl_context"] = _interruptible(self.tls)
        urllib3_pool = _find_pool(self._pool_manager, host, port, scheme)
        return urllib3_pool, cast("HTTPConnection", urllib3_pool._new_conn())


def _connect_urllib3(
    urllib3_pool: HTTPConnectionPool, urllib3_connection: HTTPConnection, seconds_left: SecondsLeft
) -> socket.socket:
    """Have urllib3 connect and return the socket; raises `DispatchFailure`."""
    urllib3_connection.timeout = seconds_left()
    try:
        if urllib3_connection.timeout == 0:
            raise TimeoutError
        # connects https, and warns if the certificate is not verified
        urllib3_pool._validate_conn(cast("Any", urllib3_connection))  # the class does not fit
        if urllib3_connection.sock is None:
            urllib3_connection.connect()
        if urllib3_pool.scheme == "https":
            _check_secured_socket(urllib3_connection.sock)
        return cast("socket.socket", urllib3_connection.sock)
    except BaseException as error:
        urllib3_connection.close()
        if isinstance(error, OSError | ValueError | HTTPError):
            raise _dispatch_failure(error, urllib3_pool) from None
        raise


def _check_secured_socket(secured_socket: Any) -> None:
    """Refuse a secured socket that our exchange cannot use."""
    if "h2" in (secured_socket.selected_alpn_protocol(), *ssl_.ALPN_PROTOCOLS):
        raise not_sent("protocol", "tls", _HTTP2_MESSAGE)
    if not hasattr(secured_socket, "pending"):  # pyOpenSSL's, for instance
        socket_type = type(secured_socket).__name__
        raise not_sent("tls", "tls", f"urllib3 returned a {socket_type}: use Python's ssl instead")
    secured_socket.suppress_ragged_eofs = False  # an end without close_notify may be a cut


def _dispatch_failure(error: Exception, urllib3_pool: HTTPConnectionPool) -> DispatchFailure:
    """Return what went wrong while urllib3 connected, in our terms."""
    phase: Phase = "tls" if urllib3_pool.scheme == "https" else "connect"
    activity = f"{'TLS handshake with' if phase == 'tls' else 'connection to'} {urllib3_pool.host}"
    match error:
        case NewConnectionError():  # which is a timeout to urllib3 as well
            return not_sent("refused", "connect", f"urllib3: {error}")
        case ConnectTimeoutError():
            return not_sent("timeout", "connect", f"urllib3: {error}")
        case TimeoutError():
            return not_sent("timeout", phase, f"{activity} was not finished in time")
        case OSError():
            return broken(error, phase, activity)
        case _:
            return not_sent("tls", "tls", f"{activity} failed: {error}")


def _interruptible(tls_context: ssl.SSLContext) -> ssl.SSLContext:
    """Make the sockets of `tls_context` close when an interrupt ends their handshake.

    Python's `wrap_socket` closes them after an OSError only.
    """
    is_standard_context = type(tls_context).__module__ == "ssl"  # not gevent's, for instance
    if is_standard_context and tls_context.sslsocket_class is ssl.SSLSocket:

        class InterruptibleSocket(ssl.SSLSocket):
            def do_handshake(self, block: bool = False) -> None:
                try:
                    super().do_handshake(block)
                except OSError:
                    raise
                except BaseException:
                    self.close()
                    raise

        tls_context.sslsocket_class = InterruptibleSocket
    return tls_context


def _proxy_of_manager(pool_manager: urllib3.PoolManager) -> Proxy | None:
    """Return the proxy of a `ProxyManager`, with its headers."""
    proxy_url = pool_manager.proxy
    if proxy_url is None:
        return None
    host = (proxy_url.host or "").strip("[]")  # of an IPv6 address
    proxy_headers = tuple(cast("urllib3.ProxyManager", pool_manager).proxy_headers.items())
    return Proxy(proxy_url.scheme or "http", host, proxy_url.port or 80, proxy_headers)


class Client(BaseClient, takes_io=False):
    """A client of SageMaker Runtime over urllib3; threads may share it.

    Of `pools`, the settings are used: TLS, certificates, proxy with headers, source address, socket
    options, and the limits `maxsize` and `block`; its connections are not. Settings that cannot
    work raise `ConstructionError`.
    """

    _settings_type = Urllib3Settings
    _settings_of_process = ("pools",)

    @boundary
    def __init__(self, **settings: Unpack[Urllib3Settings]) -> None:
        super().__init__(**cast("WireClientSettings", settings))

    def _make_wire(self, settings: Settings) -> Wire:
        conceal_proxy(cast("WireSettings", settings))
        wire_settings = {
            name: value for name, value in settings.items() if name in WireSettings.__annotations__
        }
        pool_manager = cast("Urllib3Settings", settings).get("pools")
        return _managed_wire(cast("WireSettings", wire_settings), pool_manager)


def _managed_wire(settings: WireSettings, pool_manager: urllib3.PoolManager | None) -> Wire:
    max_connections = max_idle = settings.get("max_connections", DEFAULT_MAX_CONNECTIONS)
    if pool_manager is None:
        pool_manager = urllib3.PoolManager()
    elif not isinstance(pool_manager, urllib3.PoolManager):
        raise ConstructionError("pools", "a urllib3.PoolManager or ProxyManager")
    elif settings:
        raise ConstructionError("pools", f"given without {min(settings)}: it has its own")
    else:
        manager_settings = pool_manager.connection_pool_kw
        max_idle = manager_settings.get("maxsize", 1)
        max_connections = max_idle if manager_settings.get("block") else _UNLIMITED_CONNECTIONS
    connector = make_connector(time.monotonic, settings, partial(ManagedConnector, pool_manager))
    connection_pool = Pool(time.monotonic, max_connections, max_idle)
    return Wire(time.monotonic, settings, connector, connection_pool)
