"""The addresses that a location named by a server may lead to.

IPv6 has several notations for an IPv4 address that a router unpacks, and Python calls most of them
global. So an IPv6 address must lie in 2000::/3, the only unicast addresses that are assigned, and
be no 6to4 address; the address in a mapped or NAT64 one (RFC 6052) is judged itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from ..nonblocking._connection import Connection
from ..nonblocking._retry import not_sent

if TYPE_CHECKING:
    import socket
    from ipaddress import IPv4Address, IPv6Address

_NAT64_PREFIX: Final = 0x0064_FF9B << 96
_IPV4_MASK: Final = 0xFFFF_FFFF


def require_public_address(connection: Connection) -> None:
    """Raise `DispatchFailure` unless the peer has a public address."""
    import ipaddress  # 3 ms that only locations outside S3 cost

    plain_socket = cast("socket.socket", connection.sock)  # TLS inside TLS is for proxies
    peer_host = str(plain_socket.getpeername()[0]).partition("%")[0]
    peer_address = ipaddress.ip_address(peer_host)
    if not _is_public(peer_address):
        message = f"a server named a location at {peer_address}, which is not a public address"
        raise not_sent("refused", "connect", message)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if address.version == 6:
        embedded_address = address.ipv4_mapped or _unpack_nat64(address)
        if embedded_address is not None:
            return _is_public(embedded_address)
        if int(address) >> 125 != 1 or address.sixtofour is not None:
            return False
    return address.is_global and not address.is_multicast


def _unpack_nat64(address: IPv6Address) -> IPv4Address | None:
    from ipaddress import IPv4Address

    if int(address) & ~_IPV4_MASK != _NAT64_PREFIX:
        return None
    return IPv4Address(int(address) & _IPV4_MASK)
