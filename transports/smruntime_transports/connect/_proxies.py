"""Which proxy leads to an origin, and the CONNECT request that opens a tunnel through it.

Every request goes through CONNECT, plain http too. So a response is always the endpoint's and never
the proxy's, a request that fails on the way has certainly not been sent, and a proxy sees neither
bodies nor session tokens. (A proxy that allows CONNECT to port 443 only lets no plain http through;
SageMaker's own endpoints are https.)

| the first that holds                  | proxy                                          |
|---------------------------------------|------------------------------------------------|
| the host is link-local or EC2's own:  | none                                           |
| credentials may be served there       |                                                |
| `proxy=` was passed                   | that one                                       |
| `trust_env=True`, host in `no_proxy`  | none                                           |
| `trust_env=True`                      | `<scheme>_proxy` or `all_proxy` (either case)  |

A proxy's password appears nowhere: in no message, repr, pickle, chained error or traceback.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from smruntime_core import ConstructionError
from smruntime_core.effects import Flow
from smruntime_core.errors import Kind
from smruntime_core.http1 import MAX_HEAD, MAX_INTERIM_RESPONSES, Head, ProtocolViolation, read_head
from smruntime_core.values import Record, field

from ..nonblocking._connection import READ, WRITE, Connection
from ..nonblocking._retry import SecondsLeft, late, not_sent, retry_until_ready
from ._tls import TLS, is_context

if TYPE_CHECKING:
    import ssl
    from ipaddress import IPv4Address, IPv6Address

HeaderFields: TypeAlias = "tuple[tuple[str, str], ...]"

_URL_REQUIREMENT: Final = (
    "a URL of a host, http:// or https://, with a user name and password if need be"
)
_URL_PATTERN: Final = (
    r"(?ais)(?:(?P<scheme>https?)://)?"
    r"(?:(?P<user>[^/]*)@)?"
    r"(?P<host>\[[0-9a-f.]*:[0-9a-f:.]*\]|[^\[\]:/?#@]*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?#][^@]*)?"
)
_HOST_NAME_PATTERN: Final = r"[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*\.?"
_FIELD_NAME_PATTERN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# instance metadata, Pod Identity and Amazon's NTP and DNS; beside the link-local networks
_EC2_NETWORK: Final = "fd00:ec2::/32"


def _check_scheme(member: str, value: object) -> str:
    if isinstance(value, str) and value in _DEFAULT_PORTS:
        return value
    raise ConstructionError(member, '"http" or "https"')


def _check_host(member: str, value: object) -> str:
    if isinstance(value, str) and (
        re.fullmatch(_HOST_NAME_PATTERN, value) or _parse_address(value)
    ):
        return value
    raise ConstructionError(member, "a host name in ASCII or an IP address without brackets")


def _check_port(member: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
        raise ConstructionError(member, "a port from 1 to 65535")
    return value


def _check_fields(member: str, value: object) -> HeaderFields:
    if not isinstance(value, tuple | list):
        raise ConstructionError(member, "a tuple of pairs")
    return tuple(_check_pair(member, pair) for pair in cast("tuple[object, ...]", value))


def _check_pair(member: str, pair: object) -> tuple[str, str]:
    pair_items = cast("tuple[object, ...]", pair) if isinstance(pair, tuple) else ()
    texts = [item for item in pair_items if isinstance(item, str)]
    if not len(texts) == len(pair_items) == 2:
        raise ConstructionError(member, "pairs of a field name and a value, both text")
    field_name, field_value = texts
    if not re.fullmatch(_FIELD_NAME_PATTERN, field_name):
        raise ConstructionError(member, "fields whose names are tokens (RFC 9110)")
    if not (field_value.isascii() and field_value.isprintable()):
        raise ConstructionError(member, "fields whose values are of 0x20–0x7E")
    return field_name, field_value


def _check_tls(member: str, value: object) -> TLS | ssl.SSLContext | None:
    if value is None or isinstance(value, TLS) or is_context(value):
        return value
    raise ConstructionError(member, "a TLS, as TLS(ca_bundle=...), or an ssl.SSLContext")


class Proxy(Record):
    """A proxy: its address, the header fields of CONNECT, and its own TLS settings.

    The fields hold the password. `tls` is for a proxy whose scheme is https. By default it is
    verified with the certificates that a client's `TLS` trusts, or the system's where a client has
    an `ssl.SSLContext`; it never gets the client's certificate for the endpoint.
    """

    scheme: str = field(check=_check_scheme)
    host: str = field(check=_check_host)
    port: int = field(check=_check_port)
    headers: HeaderFields = field(default=(), check=_check_fields, secret=True)
    tls: TLS | ssl.SSLContext | None = field(default=None, check=_check_tls)

    @classmethod
    def of(
        cls, url: object, member: str = "proxy", tls: TLS | ssl.SSLContext | None = None
    ) -> Proxy:
        """Return the proxy at `url`; raises `ConstructionError`, which does not quote it."""
        parsed_proxy = url if isinstance(url, Proxy) else _parse_url(url)
        del url  # a traceback with locals would show the password
        if parsed_proxy is None:
            raise ConstructionError(member, _URL_REQUIREMENT)
        return parsed_proxy if tls is None else parsed_proxy.replace(tls=tls)

    def __reduce__(self) -> str | tuple[object, ...]:
        if self.headers:
            remedy = "pass it in the process that uses it, or use trust_env=True there"
            raise TypeError(f"a proxy's password is not pickled: {remedy}")
        return super().__reduce__()


def _parse_url(url: object) -> Proxy | None:
    """Return the proxy at `url`, None for anything else; raises nothing, which could quote it."""
    url_parts = re.fullmatch(_URL_PATTERN, url) if isinstance(url, str) else None
    if url_parts is None:
        return None
    scheme, user_info = (url_parts["scheme"] or "http").lower(), url_parts["user"]
    host = url_parts["host"].removeprefix("[").removesuffix("]")
    try:
        port = int(url_parts["port"] or _DEFAULT_PORTS[scheme])
        if user_info is None:
            return Proxy(scheme, host, port)
        authorization = ("Proxy-Authorization", _basic_credentials(user_info))
        return Proxy(scheme, host, port, (authorization,))
    except ValueError:  # a `ConstructionError` too
        return None


def _basic_credentials(user_info: str) -> str:
    """Return the value of Proxy-Authorization for the user name and password of a URL."""
    from base64 import b64encode  # 6 ms with the next one
    from urllib.parse import unquote_to_bytes

    # the environment has bytes that are not UTF-8 as surrogates
    escaped_user_info = user_info.encode("utf-8", "surrogateescape")
    user_and_password = map(unquote_to_bytes, escaped_user_info.partition(b":")[::2])
    return f"Basic {b64encode(b':'.join(user_and_password)).decode()}"


class Proxies:
    """The proxies of a client: `given_proxy`, or those of `environment` unless that is None."""

    def __init__(
        self, given_proxy: Proxy | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._given_proxy: Proxy | None = given_proxy
        self._proxy_by_scheme: dict[str, Proxy] = {}
        self._exempt_rules: list[str] = []
        if environment is not None:
            self._read_environment(environment)
        self.exist: bool = self._given_proxy is not None or bool(self._proxy_by_scheme)

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for an origin, None if it is reached directly."""
        proxy = self._given_proxy or self._proxy_by_scheme.get(scheme)
        if proxy is None or _is_never_proxied(host):
            return None
        lowered_host = host.lower()
        exempt = any(is_exempt(rule, lowered_host, port) for rule in self._exempt_rules)
        return None if exempt else proxy

    def _read_environment(self, environment: Mapping[str, str]) -> None:
        def read_variable(variable_name: str) -> str:
            value = environment.get(variable_name)
            # in a CGI program HTTP_PROXY holds the `Proxy:` header of the request
            forgeable = variable_name == "http_proxy" and "REQUEST_METHOD" in environment
            if not value and not forgeable:
                value = environment.get(variable_name.upper())
            return (value or "").strip()

        for scheme in ("http", "https"):
            for variable_name in (f"{scheme}_proxy", "all_proxy"):
                if scheme not in self._proxy_by_scheme and read_variable(variable_name):
                    proxy = Proxy.of(read_variable(variable_name), variable_name.upper())
                    self._proxy_by_scheme[scheme] = proxy
        entries = read_variable("no_proxy").lower().split(",")
        self._exempt_rules = [entry.strip() for entry in entries if entry.strip()]


def is_exempt(exempt_rule: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY matches `host`; both are in lower case.

    An entry is `*`, a domain with all below it, an address or a network, each perhaps with a port.
    """
    if exempt_rule == "*":
        return True
    ip_address = _parse_address(host)
    if "/" in exempt_rule:
        return ip_address is not None and _in_network(ip_address, exempt_rule)
    rule_host, separator, port_digits = exempt_rule.rpartition(":")
    if separator and port_digits.isdigit() and (":" not in rule_host or rule_host.endswith("]")):
        if port_digits != str(port):
            return False
        exempt_rule = rule_host
    if ip_address is not None:
        return ip_address == _parse_address(exempt_rule.strip("[]"))
    domain_name = exempt_rule.lstrip("*").lstrip(".")
    return bool(domain_name) and (host == domain_name or host.endswith(f".{domain_name}"))


def _parse_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that `host` is, None for a name."""
    if ":" not in host and not host[-1:].isdigit():
        return None  # a name, as nearly always: spares the import (4 ms) and 4 µs a call
    import ipaddress

    try:
        ip_address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(ip_address, "ipv4_mapped", None) or ip_address


def _in_network(ip_address: IPv4Address | IPv6Address, network_text: str) -> bool:
    import ipaddress

    try:
        return ip_address in ipaddress.ip_network(network_text, strict=False)
    except ValueError:
        return False


def _is_never_proxied(host: str) -> bool:
    """Return whether `host` is an address at which only this machine or its VPC answers."""
    ip_address = _parse_address(host)
    return ip_address is not None and (
        ip_address.is_link_local or _in_network(ip_address, _EC2_NETWORK)
    )


def tunnel(
    connection: Connection, proxy: Proxy, host: str, port: int, seconds_left: SecondsLeft
) -> Flow[None]:
    """Ask `proxy`, the peer of `connection`, for a tunnel to `host`; raises `DispatchFailure`."""
    description = f"CONNECT through the proxy {proxy.host}:{proxy.port}"
    if not host.isascii():  # the error of encoding the request would carry the password
        message = f"{description}: the endpoint's host must be ASCII (xn--)"
        raise not_sent("protocol", "proxy", message)
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    unsent_bytes = _connect_request(authority, proxy)
    send_piece = connection.sock.send
    while unsent_bytes:
        socket_operation = partial(send_piece, unsent_bytes)
        sent_count = yield from retry_until_ready(
            connection, socket_operation, WRITE, seconds_left, "proxy", description
        )
        unsent_bytes = unsent_bytes[sent_count:]
    received_head = bytearray()
    for _ in range(MAX_INTERIM_RESPONSES + 1):
        head_end = yield from _receive_head(connection, received_head, seconds_left, description)
        response_head = _parse_head(bytes(received_head[:head_end]), description)
        del received_head[: head_end + 4]
        if response_head.status >= 200:
            _require_tunnel(response_head, bool(received_head), description)
            return
    message = f"{description}: more than {MAX_INTERIM_RESPONSES} 1xx responses"
    raise not_sent("protocol", "proxy", message)


def _connect_request(authority: str, proxy: Proxy) -> memoryview:
    """Return the CONNECT request as a view, whose repr does not show the password."""
    header_fields = "".join(f"{name}: {value}\r\n" for name, value in proxy.headers)
    request_head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{header_fields}\r\n"
    return memoryview(request_head.encode("ascii"))


def _receive_head(
    connection: Connection, received_head: bytearray, seconds_left: SecondsLeft, description: str
) -> Flow[int]:
    """Extend `received_head` until it has a whole head; return where the empty line begins."""
    socket_operation, search_start = partial(connection.sock.recv, 16 * 1024), 0
    while (head_end := received_head.find(b"\r\n\r\n", search_start)) < 0:
        search_start = max(0, len(received_head) - 3)
        if len(received_head) >= MAX_HEAD:
            message = f"{description}: the head of the response is longer than {MAX_HEAD} bytes"
            raise not_sent("too_large", "proxy", message)
        if seconds_left() == 0:  # a fast drip never blocks, so no wait checks the time
            raise late("proxy", description)
        received_bytes = yield from retry_until_ready(
            connection, socket_operation, READ, seconds_left, "proxy", description
        )
        if not received_bytes:
            raise not_sent("closed", "proxy", f"{description}: the proxy closed the connection")
        received_head += received_bytes
    return head_end


def _parse_head(head_bytes: bytes, description: str) -> Head:
    """Return the head of a response; raises `DispatchFailure` without the violation behind it.

    A proxy may echo the request with the password, and a `ProtocolViolation` quotes what it read.
    """
    try:
        return read_head(head_bytes)
    except ProtocolViolation as violation:
        failure_kind = violation.kind
    raise not_sent(failure_kind, "proxy", f"{description}: the response is not HTTP")


def _require_tunnel(response_head: Head, has_more_bytes: bool, description: str) -> None:
    """Raise `DispatchFailure` unless `response_head` opens a tunnel and no bytes follow it."""
    status_code = response_head.status
    if status_code == 407:
        remedy = "pass another user name and password in the URL of the proxy"
        message = f"{description}: it refuses these credentials (407): {remedy}"
        raise not_sent("protocol", "proxy", message)
    if status_code >= 300:
        # a 5xx may pass; anything else would be answered alike the next time
        failure_kind: Kind = "refused" if status_code >= 500 else "protocol"
        message = f"{description}: it responded with status {status_code}"
        raise not_sent(failure_kind, "proxy", message)
    if has_more_bytes:
        message = f"{description}: it sent bytes before the tunnel was used"
        raise not_sent("protocol", "proxy", message)
