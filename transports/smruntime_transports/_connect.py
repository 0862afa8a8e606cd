"""How a connection comes about: a name's addresses, one that answers, TLS. Whatever fails here, nothing has been sent."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable

from smruntime_core import ConstructionError, DispatchFailure, Flow
from smruntime_core._errors import Kind, Phase
from smruntime_core._url import host_and_port

from ._connection import READ, WRITE, Connection, tune
from ._limits import Limits
from ._pool import Origin
from ._waits import Resolve, Wait


class Connector:
    """Makes connections that trust the certificates of `tls`; None for those that `trust` names, or the system's."""

    def __init__(self, clock: Callable[[], float], tls: ssl.SSLContext | None = None) -> None:
        self._clock = clock
        self._tls = tls
        self._ca_bundle: str | None = None

    def trust(self, ca_bundle: str | None) -> None:
        """Certificates for connections to come, unless a context of the caller's was given."""
        self._ca_bundle = ca_bundle

    @property
    def tls(self) -> ssl.SSLContext:
        """The one context for all connections, made when the first of them needs it."""
        if self._tls is None:
            self._tls = default_tls(self._ca_bundle)
        return self._tls

    def connect(self, origin: Origin, limits: Limits) -> Flow[Connection]:
        """A new connection; raises `DispatchFailure`."""
        scheme, authority = origin
        host, port = host_and_port(scheme, authority)
        end = limits.end(limits.phases.connect)
        addresses = yield from Resolve(host, port, limits.left(end))
        if not addresses:
            kind: Kind = "timeout" if limits.left(end) == 0 else "refused"
            raise not_sent(kind, "resolve", f"no address found for {host}")
        failure = not_sent("timeout", "connect", f"no time left to connect to {host}")
        for index, (family, address) in enumerate(addresses):
            left = limits.left(end)
            share = limits.end(None if left is None else left / (len(addresses) - index))
            connection, settled = None, False
            try:
                connection = Connection(_new_socket(family), self._clock())
                yield from self._open(connection, address, limits, share)
                if scheme == "https":
                    yield from self._handshake(connection, host, limits, end)
                settled = True
                return connection
            except DispatchFailure as error:
                failure = error
                if error.phase != "connect":
                    break
            finally:
                if connection is not None and not settled:
                    connection.drop()
        raise failure

    def _open(self, connection: Connection, address: tuple[object, ...], limits: Limits, end: float | None) -> Flow[None]:
        sock = connection.sock
        tune(sock)
        try:
            sock.connect(address)
        except BlockingIOError:
            if not (yield from Wait(connection, WRITE, limits.left(end))):
                raise not_sent("timeout", "connect", f"no connection to {address[0]}:{address[1]} in time") from None
            if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise not_sent("refused", "connect", f"{address[0]}:{address[1]}: {os.strerror(code)}") from None
        except OSError as error:
            raise not_sent("refused", "connect", f"{address[0]}:{address[1]}: {error.strerror or error}") from None

    def _handshake(self, connection: Connection, host: str, limits: Limits, end: float | None) -> Flow[None]:
        tls = self.tls
        try:
            connection.sock.getpeername()  # or `wrap_socket` would find out, and lose the socket without closing it
            wrapped = tls.wrap_socket(connection.sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False)
        except OSError as error:  # the peer has left already
            raise not_sent("reset", "tls", f"TLS handshake with {host} broke: {error.strerror or error}") from None
        connection.secured(wrapped)
        while True:
            try:
                wrapped.do_handshake()
                return
            except ssl.SSLWantReadError:
                mask = READ
            except ssl.SSLWantWriteError:
                mask = WRITE
            except ssl.SSLError as error:
                raise not_sent("tls", "tls", f"TLS handshake with {host} failed: {error.reason or error}") from None
            except OSError as error:
                raise not_sent("reset", "tls", f"TLS handshake with {host} broke: {error.strerror or error}") from None
            if not (yield from Wait(connection, mask, limits.left(end))):
                raise not_sent("timeout", "tls", f"TLS handshake with {host} took too long")


def _new_socket(family: socket.AddressFamily) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # no such family here, or too many open files
        raise not_sent("refused", "connect", f"no socket: {error.strerror or error}") from None


def not_sent(kind: Kind, phase: Phase, message: str) -> DispatchFailure:
    """A failure before the first byte of the request."""
    return DispatchFailure(message, kind=kind, phase=phase, delivery="not_sent")


def default_tls(ca_bundle: str | None = None) -> ssl.SSLContext:
    """The certificate authorities in the file `ca_bundle`, or the system's; TLS 1.2 or later.

    Made late: it costs 16 ms and plain http needs none. Raises `ConstructionError` if the file is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError):
        raise ConstructionError("ca_bundle", "a readable file of certificates in PEM", f"{ca_bundle} is not") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
