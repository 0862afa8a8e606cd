"""Opening a connection: resolve the name, try its addresses, go through a proxy, begin TLS.

    Resolver ──> race ──> [TLS with the proxy] ──> [CONNECT] ──> [TLS with the host] ──> Connection

All steps share the time of one connect phase (`timeouts.connect`). If one fails, nothing has been
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from smruntime_core import ConstructionError, DispatchFailure
from smruntime_core.effects import Flow
from smruntime_core.errors import Phase
from smruntime_core.values import split_authority

from ..nonblocking._connection import OPTIONS, Connection, Option, Origin, Route
from ..nonblocking._retry import SecondsLeft, not_sent
from ..nonblocking._time_limits import TimeLimits
from ._happy_eyeballs import connect_to_any
from ._proxies import Proxies, Proxy, tunnel
from ._resolver import Resolver
from ._tls import TLS, is_context

if TYPE_CHECKING:
    import ssl

_PROXY_TLS: Final = "for settings of the proxy's own pass proxy=Proxy.of(url, tls=TLS(...))"


class Connector:
    """Opens connections through `proxies`, with TLS as `tls` says, over sockets with `options`.

    `source_address` is the host and port to bind sockets to.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        tls: ssl.SSLContext | TLS | None = None,
        proxies: Proxies | None = None,
        resolver: Resolver | None = None,
        options: Iterable[Option] = OPTIONS,
        source_address: tuple[str, int] | None = None,
    ) -> None:
        if not (tls is None or isinstance(tls, TLS) or is_context(tls)):
            requirement = "a TLS, as TLS(ca_bundle=...), or an ssl.SSLContext"
            raise ConstructionError("tls", requirement, f"found {type(tls).__name__}")
        self.proxies: Proxies = Proxies() if proxies is None else proxies
        self._clock = clock
        self._tls = tls
        self._tls_context: ssl.SSLContext | None = None
        self._proxy_contexts: dict[Proxy, ssl.SSLContext] = {}
        self._resolver = resolver or Resolver()
        self._socket_options = options
        self._source_address = source_address
        self._ca_bundle: str | None = None

    def trust(self, ca_bundle: str | None) -> None:
        """Trust the certificates in `ca_bundle` from now on, unless others were given."""
        self._ca_bundle = ca_bundle

    @property
    def tls(self) -> ssl.SSLContext:
        """The one context for all endpoints, made when the first connection needs it."""
        if self._tls_context is None:
            self._tls_context = self._make_context(self._tls)
        return self._tls_context

    def proxy_tls(self, proxy: Proxy) -> ssl.SSLContext:
        """Return the context for `proxy` itself, which never holds the endpoint's certificate."""
        tls_context = self._proxy_contexts.get(proxy)
        if tls_context is None:
            own_tls = self._tls.without_certificate() if isinstance(self._tls, TLS) else None
            tls_context = self._make_context(own_tls if proxy.tls is None else proxy.tls)
            self._proxy_contexts[proxy] = tls_context
        return tls_context

    def _make_context(self, tls: ssl.SSLContext | TLS | None) -> ssl.SSLContext:
        tls = TLS() if tls is None else tls
        return tls.context(self._ca_bundle) if isinstance(tls, TLS) else tls

    def route(self, origin: Origin, direct: bool) -> Route:
        """Return how to reach `origin`: through no proxy if `direct`."""
        proxy = None
        if self.proxies.exist and not direct:
            proxy = self.proxies.proxy_for(origin[0], *split_authority(*origin))
        return (*origin, proxy)

    def connect(self, route: Route, limits: TimeLimits) -> Flow[Connection]:
        """Return a new connection.

        Raises `DispatchFailure`, or `ConstructionError` if the files for TLS cannot be used.
        """
        seconds_left = limits.countdown(limits.phases.connect)
        plain_connection = yield from self.open_unsecured(route, seconds_left)
        if route[0] == "http":
            return plain_connection
        connection: Connection | None = None
        try:
            connection = yield from self.secure(plain_connection, route, seconds_left)
            return connection
        finally:
            if connection is None:
                plain_connection.drop()

    def open_unsecured(self, route: Route, seconds_left: SecondsLeft) -> Flow[Connection]:
        """Return a connection to the origin, or through its proxy, without TLS to the origin."""
        scheme, authority, proxy = route
        host, port = split_authority(scheme, authority)
        if proxy is None:
            return (yield from self.connect_to_host(host, port, seconds_left))
        connection = yield from self.connect_to_host(proxy.host, proxy.port, seconds_left, "proxy")
        is_established = False
        try:
            if proxy.scheme == "https":
                yield from self._secure_proxy(connection, proxy, seconds_left)
            yield from tunnel(connection, proxy, host, port, seconds_left)
            is_established = True
            return connection
        finally:
            if not is_established:
                connection.drop()

    def secure(self, connection: Connection, route: Route, left: SecondsLeft) -> Flow[Connection]:
        """Begin TLS with the origin; return the connection to use from now on."""
        host, _ = split_authority(*route[:2])
        yield from self._handshake(connection, self.tls, host, left, "tls")
        return connection

    def _secure_proxy(
        self, connection: Connection, proxy: Proxy, seconds_left: SecondsLeft
    ) -> Flow[None]:
        tls_context = self.proxy_tls(proxy)
        try:
            yield from self._handshake(connection, tls_context, proxy.host, seconds_left, "proxy")
        except DispatchFailure as failure:
            if failure.kind == "tls" and proxy.tls is None:
                failure.hint = _PROXY_TLS
            raise

    def _handshake(
        self,
        connection: Connection,
        tls_context: ssl.SSLContext,
        host: str,
        seconds_left: SecondsLeft,
        phase: Phase,
    ) -> Flow[None]:
        from ._tls_handshake import handshake  # it imports `ssl`, which takes 8 ms

        return handshake(connection, tls_context, host, seconds_left, phase)

    def connect_to_host(
        self, host: str, port: int, seconds_left: SecondsLeft, phase: Phase | None = None
    ) -> Flow[Connection]:
        """Return an open TCP connection to `host`; failures are of `phase`, if that is given."""
        resolving_phase, connecting_phase = phase or "resolve", phase or "connect"
        if seconds_left() == 0:
            raise not_sent("timeout", connecting_phase, f"no time is left to connect to {host}")
        ip_addresses = yield from self._resolver.addresses(host, port, seconds_left())
        if ip_addresses is None:
            late_message = f"the name {host} was not resolved in time"
            raise not_sent("timeout", resolving_phase, late_message)
        if not ip_addresses:
            raise not_sent("refused", resolving_phase, f"no address found for {host}")
        return (
            yield from connect_to_any(
                ip_addresses,
                self._clock,
                seconds_left,
                connecting_phase,
                self._socket_options,
                self._source_address,
            )
        )
