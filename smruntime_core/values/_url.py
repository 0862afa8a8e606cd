"""A URL in the four parts that signing and HTTP/1.1 need, cut the same way for both.

No normalising and no fragment: the signer must see the very characters that are sent.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import ConstructionError

_controls = re.compile(r"[\0-\x1f\x7f-\x9f]").search
_parts = re.compile(r"(https?)://([^/?@\0-\x20\x7f-\x9f]+)(/[^?\0-\x1f\x7f-\x9f]*)?(?:\?([^\0-\x1f\x7f-\x9f]*))?").fullmatch
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def split(url: str) -> tuple[str, str, str, str]:
    """Scheme, authority (a default port left out, as a Host field has it), path ("/" if empty) and query.

    Raises `ConstructionError` if `url` is not absolute http or https, or bears a user name or control characters.
    """
    found = _parts(url)
    if found is None:
        raise ConstructionError("url", _fault(url))
    scheme, authority, path, query = found.groups("")
    return scheme, authority.removesuffix(DEFAULT_PORTS[scheme]), path or "/", query


class Form:
    """What sound requests have in common that differ in nothing but body and signature: where they go, and which fields they begin with.

    `origin` is scheme and authority, `target` what stands in the first line. What is the same for all of them is kept here by whoever
    needs it: the `head` as it is written, as far as it goes, and how they are signed, with the key they were signed with last.
    """

    head = ""
    signing: tuple[object, Any] = None, None  # `Any`: of signing, which knows this room, and not the other way round

    def __init__(self, method: str, base: Endpoint, path: str, headers: tuple[tuple[str, str], ...]) -> None:
        self.method = method
        self.url = base + path
        self.origin = base.origin
        self.target = base.prefix + path
        self.headers = headers

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "signing"}  # a key, and perhaps a session token


class Endpoint(str):
    """The URL of a service that has been checked and cut once, for all the requests that begin with it.

    `origin` is scheme and authority, `prefix` what every path begins with: nothing, or a path without a slash at its end.
    """

    origin: tuple[str, str]
    prefix: str

    def __new__(cls, url: str) -> Endpoint:
        made = super().__new__(cls, url.rstrip("/"))
        scheme, authority, path, _ = split(url)
        made.origin, made.prefix = (scheme, authority), path.rstrip("/")
        return made


def _fault(url: str) -> str:
    """The rule that `url` breaks."""
    if _controls(url):
        return "printable characters only"
    if not url.startswith(("http://", "https://")):
        return "absolute, beginning with http:// or https://"
    return "a URL with a host and without a user name"


def host_and_port(scheme: str, authority: str) -> tuple[str, int]:
    """Where to connect to: the host without brackets, and the port; raises `ConstructionError` for what is neither."""
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, DEFAULT_PORTS[scheme][1:]
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConstructionError("url", "a URL with a port from 1 to 65535", "its port is not one")
    if host[:1] == "[" and host[-1] == "]":
        host = host[1:-1]
    if "[" in host or "]" in host:
        raise ConstructionError("url", "a URL with a host", "its brackets do not enclose one")
    return host, int(port)
