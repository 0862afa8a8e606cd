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
from ..nonblocking._retry import Left, not_sent, retry_until_ready
from ._tls import TLS, is_context

if TYPE_CHECKING:
    import ssl
    from ipaddress import IPv4Address, IPv6Address

HeaderFields: TypeAlias = "tuple[tuple[str, str], ...]"

_URL_RULE: Final = "a URL of a host, http:// or https://, with a user name and password if need be"
_URL: Final = re.compile(
    r"(?:(?P<scheme>https?)://)?"
    r"(?:(?P<user>[^/]*)@)?"
    r"(?P<host>\[[0-9a-f.]*:[0-9a-f:.]*\]|[^\[\]:/?#@]*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?#][^@]*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_HOST_NAME: Final = re.compile(r"[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*\.?")
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# instance metadata, Pod Identity and Amazon's NTP and DNS; beside the link-local networks
_EC2_NETWORK: Final = "fd00:ec2::/32"


def _check_scheme(member: str, value: object) -> str:
    if value not in ("http", "https"):
        raise ConstructionError(member, '"http" or "https"')
    return cast("str", value)


def _check_host(member: str, value: object) -> str:
    valid = isinstance(value, str) and (_HOST_NAME.fullmatch(value) or ":" in value)
    if not valid or (":" in cast("str", value) and _address(cast("str", value)) is None):
        raise ConstructionError(member, "a host name in ASCII or an IP address without brackets")
    return cast("str", value)


def _check_port(member: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 65536:
        raise ConstructionError(member, "a port from 1 to 65535")
    return value


def _check_fields(member: str, value: object) -> HeaderFields:
    fields: list[tuple[str, str]] = []
    for pair in value if isinstance(value, tuple | list) else (None,):
        name, text = pair if isinstance(pair, tuple) and len(pair) == 2 else ("", "")
        if not (isinstance(name, str) and isinstance(text, str) and _FIELD_NAME.fullmatch(name)):
            raise ConstructionError(member, "pairs of a field name and a value, both text")
        if not (text.isascii() and text.isprintable()):
            raise ConstructionError(member, "field values of 0x20–0x7E")
        fields.append((name, text))
    return tuple(fields)


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
        parsed = url if isinstance(url, Proxy) else _parse(url)
        del url  # a traceback with locals would show the password
        if parsed is None:
            raise ConstructionError(member, _URL_RULE)
        return parsed if tls is None else parsed.replace(tls=tls)

    def __reduce__(self) -> str | tuple[object, ...]:
        if self.headers:
            remedy = "pass it in the process that uses it, or use trust_env=True there"
            raise TypeError(f"a proxy's password is not pickled: {remedy}")
        return super().__reduce__()


def _parse(url: object) -> Proxy | None:
    """Return the proxy at `url`, None for anything else; raises nothing, which could quote it."""
    parts = _URL.fullmatch(url) if isinstance(url, str) else None
    if parts is None:
        return None
    scheme, user = (parts["scheme"] or "http").lower(), parts["user"]
    try:
        fields = () if user is None else (("Proxy-Authorization", _basic(user)),)
        port = int(parts["port"] or _DEFAULT_PORTS[scheme])
        return Proxy(scheme, parts["host"].removeprefix("[").removesuffix("]"), port, fields)
    except ValueError:  # a `ConstructionError` too
        return None


def _basic(user: str) -> str:
    """Return the value of Proxy-Authorization for the user name and password of a URL."""
    from base64 import b64encode  # 6 ms with the next one
    from urllib.parse import unquote_to_bytes

    # the environment has bytes that are not UTF-8 as surrogates
    escaped = user.encode("utf-8", "surrogateescape")
    pair = b":".join(map(unquote_to_bytes, escaped.partition(b":")[::2]))
    return f"Basic {b64encode(pair).decode()}"


class Proxies:
    """The proxies of a client: the one `given`, or those of `environ` unless that is None."""

    def __init__(
        self, given: Proxy | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._given: Proxy | None = given
        self._by_scheme: dict[str, Proxy] = {}
        self._exempt: list[str] = []
        if environ is not None:
            self._read(environ)

    def __bool__(self) -> bool:
        return self._given is not None or bool(self._by_scheme)

    def to(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for an origin, None if it is reached directly."""
        proxy = self._given or self._by_scheme.get(scheme)
        if proxy is None or _is_local(host):
            return None
        lowered = host.lower()
        return None if any(exempt(rule, lowered, port) for rule in self._exempt) else proxy

    def _read(self, environ: Mapping[str, str]) -> None:
        def variable(name: str) -> str:
            value = environ.get(name)
            # in a CGI program HTTP_PROXY holds the `Proxy:` header of the request
            if not value and not (name == "http_proxy" and "REQUEST_METHOD" in environ):
                value = environ.get(name.upper())
            return (value or "").strip()

        for scheme in ("http", "https"):
            for name in (f"{scheme}_proxy", "all_proxy"):
                if scheme not in self._by_scheme and variable(name):
                    self._by_scheme[scheme] = Proxy.of(variable(name), name.upper())
        rules = (rule.strip().lower() for rule in variable("no_proxy").split(","))
        self._exempt = [rule for rule in rules if rule]


def exempt(rule: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY matches `host`; both are in lower case.

    An entry is `*`, a domain with all below it, an address or a network, each perhaps with a port.
    """
    if rule == "*":
        return True
    address = _address(host)
    if "/" in rule:
        return address is not None and _in_network(address, rule)
    name, colon, digits = rule.rpartition(":")
    if colon and digits.isdigit() and (":" not in name or name.endswith("]")):
        if digits != str(port):
            return False
        rule = name
    if address is not None:
        return address == _address(rule.strip("[]"))
    domain = rule.lstrip("*").lstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that `host` is, None for a name."""
    import ipaddress  # 4 ms, paid where there is a proxy

    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _in_network(address: IPv4Address | IPv6Address, network: str) -> bool:
    import ipaddress

    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _is_local(host: str) -> bool:
    """Return whether `host` is an address at which only this machine or its VPC answers."""
    address = _address(host)
    return address is not None and (address.is_link_local or _in_network(address, _EC2_NETWORK))


def tunnel(connection: Connection, proxy: Proxy, host: str, port: int, left: Left) -> Flow[None]:
    """Ask `proxy`, the peer of `connection`, for a tunnel to `host`; raises `DispatchFailure`."""
    what = f"CONNECT through the proxy {proxy.host}:{proxy.port}"
    if not host.isascii():  # the error of encoding the request would carry the password
        raise not_sent("protocol", "proxy", f"{what}: the endpoint's host must be ASCII (xn--)")
    unsent = _connect_request(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", proxy)
    send = connection.sock.send
    while unsent:
        step = partial(send, unsent)
        count = yield from retry_until_ready(connection, step, WRITE, left, "proxy", what)
        unsent = unsent[count:]
    received = bytearray()
    for _ in range(MAX_INTERIM_RESPONSES + 1):
        end = yield from _receive_head(connection, received, left, what)
        head = _parse_head(bytes(received[:end]), what)
        del received[: end + 4]
        if head.status >= 200:
            _require_tunnel(head, bool(received), what)
            return
    raise not_sent("protocol", "proxy", f"{what}: more than {MAX_INTERIM_RESPONSES} 1xx responses")


def _connect_request(authority: str, proxy: Proxy) -> memoryview:
    """Return the CONNECT request as a view, whose repr does not show the password."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in proxy.headers)
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n"
    return memoryview(head.encode("ascii"))


def _receive_head(connection: Connection, received: bytearray, left: Left, what: str) -> Flow[int]:
    """Extend `received` until it has a whole head; return where the empty line begins."""
    step, searched = partial(connection.sock.recv, 16 * 1024), 0
    while (end := received.find(b"\r\n\r\n", searched)) < 0:
        searched = max(0, len(received) - 3)
        if len(received) >= MAX_HEAD:
            too_large = f"{what}: the head of the response is longer than {MAX_HEAD} bytes"
            raise not_sent("too_large", "proxy", too_large)
        if left() == 0:  # a fast drip never blocks, so no wait checks the time
            raise not_sent("timeout", "proxy", f"{what} took longer than timeouts.connect allows")
        data = yield from retry_until_ready(connection, step, READ, left, "proxy", what)
        if not data:
            raise not_sent("closed", "proxy", f"{what}: the proxy closed the connection")
        received += data
    return end


def _parse_head(raw: bytes, what: str) -> Head:
    """Return the head of a response; raises `DispatchFailure` without the violation behind it.

    A proxy may echo the request with the password, and a `ProtocolViolation` quotes what it read.
    """
    try:
        return read_head(raw)
    except ProtocolViolation as violation:
        kind = violation.kind
    raise not_sent(kind, "proxy", f"{what}: the response is not HTTP")


def _require_tunnel(head: Head, more: bool, what: str) -> None:
    """Raise `DispatchFailure` unless `head` opens a tunnel and nothing (`more`) follows it."""
    if head.status == 407:
        remedy = "pass another user name and password in the URL of the proxy"
        raise not_sent("protocol", "proxy", f"{what}: it refuses these credentials (407): {remedy}")
    if head.status >= 300:
        # a 5xx may pass; anything else would be answered alike the next time
        kind: Kind = "refused" if head.status >= 500 else "protocol"
        raise not_sent(kind, "proxy", f"{what}: it responded with status {head.status}")
    if more:
        raise not_sent("protocol", "proxy", f"{what}: it sent bytes before the tunnel was used")
