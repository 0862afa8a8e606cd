"""The addresses that a location named by a server may lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ..nonblocking._connection import Connection
from ..nonblocking._retry import not_sent

if TYPE_CHECKING:
    import socket


def require_public_address(connection: Connection) -> None:
    """Raise `DispatchFailure` unless the peer has a public address."""
    import ipaddress  # 3 ms that only locations outside S3 cost

    plain_socket = cast("socket.socket", connection.sock)  # TLS inside TLS is for proxies
    peer_host = str(plain_socket.getpeername()[0]).partition("%")[0]
    peer_address = ipaddress.ip_address(peer_host)
    if isinstance(peer_address, ipaddress.IPv6Address):
        peer_address = peer_address.ipv4_mapped or peer_address
    if not peer_address.is_global or peer_address.is_multicast:
        message = f"a server named a location at {peer_address}, which is not a public address"
        raise not_sent("refused", "connect", message)
