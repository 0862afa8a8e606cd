"""Proxies: which one leads to an origin, and the way through it.

Everything goes through CONNECT, plain http too. So a response is always the endpoint's and never the
proxy's, a request that fails on the way has certainly not been sent, and a proxy sees neither bodies
nor session tokens. (A proxy that allows CONNECT to port 443 only lets no plain http through;
SageMaker's own endpoints are https.)

A proxy is used if it was given, or if the environment may be asked (`trust_env=True`): `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, in lower
case or upper case, and `NO_PROXY`. Link-local addresses, where the credentials of containers and instances are served, are never reached
through one. A proxy's password appears nowhere: in no message, no repr, no pickle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import cast

from smruntime_core import ConstructionError
from smruntime_core.effects import Flow
from smruntime_core.errors import Kind
from smruntime_core.http1 import MAX_HEAD, MAX_INTERIM_RESPONSES, Head, ProtocolViolation, read_head
from smruntime_core.values import Record, field, split_authority, split_url

from ..nonblocking._connection import READ, WRITE, Connection
from ..nonblocking._retry import Left, not_sent, retry_until_ready

_RULE = "a URL of a host, http:// or https://, with a user name and password if need be"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINK_LOCAL = ("169.254.", "fe80:", "fd00:ec2:")


def _fields(member: str, value: object) -> tuple[tuple[str, str], ...]:
    fields = tuple(cast("tuple[tuple[str, str], ...]", value))
    for name, text in fields:
        if not (_TOKEN.fullmatch(name) and text.isascii() and text.isprintable()):
            raise ConstructionError(member, "header fields: a token, and a value of 0x20–0x7E")
    return fields


class Proxy(Record):
    """A proxy: how to speak to it, where it is, and the headers for CONNECT, which hold the password."""

    scheme: str
    host: str
    port: int
    headers: tuple[tuple[str, str], ...] = field(default=(), check=_fields, secret=True)

    @classmethod
    def of(cls, url: object, member: str = "proxy") -> Proxy:
        """The proxy at `url`; raises `ConstructionError`, which does not quote it."""
        made = _read(url)
        del url  # what a traceback with locals would show
        if made is None:
            raise ConstructionError(member, _RULE)
        return made

    def __reduce__(self) -> str | tuple[object, ...]:
        if self.headers:
            raise TypeError(
                "a proxy's password is not pickled: give it where it is used, or have trust_env=True find it"
            )
        return super().__reduce__()


def _read(url: object) -> Proxy | None:
    from base64 import b64encode  # 6 ms, these two, that only a proxy costs
    from urllib.parse import unquote_to_bytes

    if isinstance(url, Proxy):
        return url
    if not isinstance(url, str):
        return None
    scheme, _, rest = url.rpartition("://")
    user, at, where = rest.partition("/")[0].rpartition("@")
    scheme = scheme.lower() or "http"
    try:
        host, port = split_authority(scheme, split_url(f"{scheme}://{where}")[1])
    except ConstructionError:
        return None
    pair = b":".join(map(unquote_to_bytes, user.partition(":")[::2]))
    return Proxy(
        scheme,
        host,
        port,
        (("Proxy-Authorization", f"Basic {b64encode(pair).decode()}"),) if at else (),
    )


class Proxies:
    """The proxies of a client: the one `given`, or those of `environ` unless that is None."""

    def __init__(
        self, given: Proxy | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._given = given
        self._found: dict[str, Proxy] = {}
        self._exempt: list[str] = []
        if environ is not None:
            self._read(environ)

    def __bool__(self) -> bool:
        return self._given is not None or bool(self._found)

    def to(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for an origin, None if it is reached directly."""
        proxy = self._given or self._found.get(scheme)
        if (
            proxy is None
            or host.lower().startswith(_LINK_LOCAL)
            or any(exempt(rule, host.lower(), port) for rule in self._exempt)
        ):
            return None
        return proxy

    def _read(self, environ: Mapping[str, str]) -> None:
        def variable(name: str) -> str:
            if (
                name == "http_proxy" and "REQUEST_METHOD" in environ
            ):  # in a CGI program HTTP_PROXY is what a client's `Proxy:` said
                return environ.get(name, "")
            return environ.get(name) or environ.get(name.upper(), "")

        for scheme in ("http", "https"):
            for name in (f"{scheme}_proxy", "all_proxy"):
                if scheme not in self._found and variable(name).strip():
                    self._found[scheme] = Proxy.of(variable(name).strip(), name.upper())
        self._exempt = [
            rule.strip().lower() for rule in variable("no_proxy").split(",") if rule.strip()
        ]


def exempt(rule: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY matches `host`.

    An entry is `*`, a domain with all below it, an address or a network, each perhaps with a port.
    """
    if rule == "*":
        return True
    if "/" in rule:
        return _in_network(rule, host)
    name, colon, of = rule.rpartition(":")
    if colon and of.isdigit() and (":" not in name or name.endswith("]")):
        if of != str(port):
            return False
        rule = name
    rule = rule.strip("[]").lstrip("*").lstrip(".")
    return bool(rule) and (host == rule or host.endswith(f".{rule}"))


def _in_network(rule: str, host: str) -> bool:
    import ipaddress  # 4 ms that few need

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False


def tunnel(connection: Connection, proxy: Proxy, host: str, port: int, left: Left) -> Flow[None]:
    """Ask `proxy`, the peer of `connection`, for a tunnel to `host`; raises `DispatchFailure`."""
    sock, what = connection.sock, f"CONNECT through the proxy {proxy.host}:{proxy.port}"
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    unsent = _asking(where, proxy)
    while unsent:
        count = yield from retry_until_ready(
            connection, partial(sock.send, unsent), WRITE, left, "proxy", what
        )
        unsent = unsent[count:]
    held = bytearray()
    for _ in range(MAX_INTERIM_RESPONSES + 1):
        searched = 0
        while (end := held.find(b"\r\n\r\n", searched)) < 0:
            searched = max(0, len(held) - 3)
            if len(held) >= MAX_HEAD:
                raise not_sent(
                    "too_large",
                    "proxy",
                    f"{what}: the answer's head is longer than {MAX_HEAD} bytes",
                )
            if left() == 0:  # a fast drip is never waited for
                raise not_sent("timeout", "proxy", f"{what} took too long")
            data = yield from retry_until_ready(
                connection, partial(sock.recv, 16 * 1024), READ, left, "proxy", what
            )
            if not data:
                raise not_sent("closed", "proxy", f"{what}: the proxy closed the connection")
            held += data
        head = _head(bytes(held[:end]), what)
        del held[: end + 4]
        if head.status >= 200:
            _judge(head, bytes(held), what)
            return
    raise not_sent("protocol", "proxy", f"{what}: too many interim responses")


def _asking(where: str, proxy: Proxy) -> memoryview:
    """Return the CONNECT request, as a view: a traceback with locals would show the password in bytes."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in proxy.headers)
    return memoryview(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{fields}\r\n".encode("ascii"))


def _head(raw: bytes, what: str) -> Head:
    try:
        return read_head(raw)
    except ProtocolViolation as violation:  # which may quote what was sent, and that our password
        raise not_sent(violation.kind, "proxy", f"{what}: its answer is not HTTP") from None


def _judge(head: Head, rest: bytes, what: str) -> None:
    if head.status == 407:
        raise not_sent(
            "protocol",
            "proxy",
            f"{what}: it wants a user name and password, or others than these (407)",
        )
    if head.status >= 300:
        kind: Kind = "refused" if head.status >= 500 else "protocol"  # it will say the same again
        raise not_sent(kind, "proxy", f"{what}: it answered with status {head.status}")
    if rest:
        raise not_sent(
            "protocol", "proxy", f"{what}: bytes follow its answer before anything was asked"
        )
