"""The TLS handshake. Imported with the first one, since importing `ssl` takes 8 ms."""

from __future__ import annotations

import socket
import ssl
from typing import cast

from smruntime_core.effects import Flow
from smruntime_core.errors import Phase

from ..nonblocking._connection import READ, Connection
from ..nonblocking._retry import SecondsLeft, broken, not_sent, retry_until_ready
from ..nonblocking._socket_errors import raise_if_interrupt
from ._tls_in_tls import NestedTLS


def handshake(
    connection: Connection,
    tls_context: ssl.SSLContext,
    host: str,
    seconds_left: SecondsLeft,
    phase: Phase,
) -> Flow[None]:
    """Make `connection` go on through TLS with `host`; raises `DispatchFailure`."""
    description = f"TLS handshake with {host}"
    outer_socket = connection.sock
    # the proxy's TLS and the host's are two at most
    assert not isinstance(outer_socket, NestedTLS), "TLS in TLS already"  # noqa: S101
    try:
        secured_socket = _wrap_socket(outer_socket, tls_context, host)
    except OSError as error:  # the peer has closed the connection already
        raise_if_interrupt(error)
        raise broken(error, phase, description) from None
    except ValueError:  # such as one that begins with a dot
        raise not_sent("tls", phase, f"{description} failed: not a host name for TLS") from None
    connection.secured(secured_socket)
    handshake_step = secured_socket.do_handshake
    yield from retry_until_ready(connection, handshake_step, READ, seconds_left, phase, description)


def _wrap_socket(
    outer_socket: socket.socket, tls_context: ssl.SSLContext, host: str
) -> ssl.SSLSocket | NestedTLS:
    if hasattr(outer_socket, "pending") or type(tls_context).__module__.startswith("truststore"):
        return NestedTLS(outer_socket, tls_context, host)  # over TLS, or the context verifies late
    # If the peer has closed already, `wrap_socket` would lose the socket without closing it.
    outer_socket.getpeername()
    server_name: str | bytes = host
    if type(tls_context).__module__ == "ssl":  # not gevent's or eventlet's, which take only text
        server_name = host.encode("ascii")  # text costs an import of 2 ms (encodings.idna)
    return tls_context.wrap_socket(
        outer_socket,
        server_hostname=cast("str", server_name),
        do_handshake_on_connect=False,
        suppress_ragged_eofs=False,  # an end without close_notify may be a cut
    )
