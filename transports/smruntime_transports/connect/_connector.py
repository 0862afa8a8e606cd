"""How a connection comes about: a name's addresses, one that answers, a proxy to go through, TLS.

    Names ──> race ──> [TLS to the proxy] ──> [CONNECT] ──> [TLS to the host] ──> Connection

All of it has the time of one connect phase, and whatever fails here, nothing has been sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from smruntime_core import ConstructionError
from smruntime_core.effects import Flow
from smruntime_core.errors import Phase
from smruntime_core.values import host_and_port

from ..nonblocking._connection import OPTIONS, Connection, Option, Origin
from ..nonblocking._retry import Left, not_sent
from ..nonblocking._time_limits import Limits
from ._happy_eyeballs import race
from ._proxies import Proxies, tunnel
from ._resolver import Names
from ._tls import TLS, is_context

if TYPE_CHECKING:
    import ssl


class Connector:
    """Makes connections: through `proxies`, with TLS as `tls` says, by names that `names` looks up, over sockets with `options`."""

    def __init__(
        self,
        clock: Callable[[], float],
        tls: ssl.SSLContext | TLS | None = None,
        proxies: Proxies | None = None,
        names: Names | None = None,
        options: Iterable[Option] = OPTIONS,
    ) -> None:
        if not (tls is None or isinstance(tls, TLS) or is_context(tls)):
            raise ConstructionError("tls", "a TLS, as TLS(ca_bundle=...), or an ssl.SSLContext", f"found {type(tls).__name__}")
        self.proxies = proxies or Proxies()
        self._clock = clock
        self._tls = TLS() if tls is None else tls
        self._names = names or Names()
        self._options = options
        self._ca_bundle: str | None = None

    def trust(self, ca_bundle: str | None) -> None:
        """Certificates for connections to come, unless others were given."""
        self._ca_bundle = ca_bundle

    @property
    def tls(self) -> ssl.SSLContext:
        """The one context for all connections, made when the first of them needs it."""
        if isinstance(self._tls, TLS):
            self._tls = self._tls.context(self._ca_bundle)
        return self._tls

    def connect(self, origin: Origin, limits: Limits, *, direct: bool = False) -> Flow[Connection]:
        """A new connection, through no proxy if it is to be `direct`.

        Raises `DispatchFailure`, or `ConstructionError` if the files for TLS are none.
        """
        scheme, authority = origin
        host, port = host_and_port(scheme, authority)
        end = limits.end(limits.phases.connect)

        def left() -> float | None:
            return limits.left(end)

        proxy = None if direct else self.proxies.to(scheme, host, port)
        if proxy is None:
            connection = yield from self.reach(host, port, left)
        else:
            connection = yield from self.reach(proxy.host, proxy.port, left, "proxy")
        settled = False
        try:
            if proxy is not None:
                if proxy.scheme == "https":
                    yield from self._secure(connection, proxy.host, left, "proxy")
                yield from tunnel(connection, proxy, host, port, left)
            if scheme == "https":
                yield from self._secure(connection, host, left, "tls")
            settled = True
            return connection
        finally:
            if not settled:
                connection.drop()

    def _secure(self, connection: Connection, host: str, left: Left, phase: Phase) -> Flow[None]:
        from ._tls_handshake import handshake  # with it comes `ssl`

        return handshake(connection, self.tls, host, left, phase)

    def reach(self, host: str, port: int, left: Left, phase: Phase | None = None) -> Flow[Connection]:
        """An open connection to `host`, nothing said on it yet; its failures are of `phase`, if that is given."""
        if left() == 0:
            raise not_sent("timeout", phase or "connect", f"no time is left to connect to {host}")
        addresses = yield from self._names.addresses(host, port, left())
        if addresses is None:
            raise not_sent("timeout", phase or "resolve", f"no address of {host} in time")
        if not addresses:
            raise not_sent("refused", phase or "resolve", f"no address found for {host}")
        return (yield from race(addresses, self._clock, left, phase or "connect", self._options))
