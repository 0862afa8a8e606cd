"""URLs in the four parts that signing and HTTP/1.1 need, split the same way for both.

Nothing is normalized, and a fragment stays where it is: the signer must see the very characters
that are sent.
"""

from __future__ import annotations

import re

from ..errors import ConstructionError

_find_control = re.compile(r"[\0-\x1f\x7f-\x9f]").search
_match_parts = re.compile(
    r"(https?)://([^/?@\0-\x20\x7f-\x9f]+)(/[^?\0-\x1f\x7f-\x9f]*)?(?:\?([^\0-\x1f\x7f-\x9f]*))?"
).fullmatch
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def split_url(url: str) -> tuple[str, str, str, str]:
    """Return scheme, authority without a default port, path ("/" if empty) and query.

    Raises `ConstructionError` if `url` is not absolute http or https, or has a user name or control
    characters.
    """
    matched_parts = _match_parts(url)
    if matched_parts is None:
        raise ConstructionError("url", _broken_rule(url))
    scheme, authority, path, query = matched_parts.groups("")
    return scheme, authority.removesuffix(DEFAULT_PORTS[scheme]), path or "/", query


class Endpoint(str):
    """The URL of a service that has been checked, without a slash at its end."""

    def __new__(cls, url: str) -> Endpoint:
        split_url(url)
        return super().__new__(cls, url.rstrip("/"))


def _broken_rule(url: str) -> str:
    if _find_control(url):
        return "printable characters only"
    if not url.startswith(("http://", "https://")):
        return "absolute, beginning with http:// or https://"
    return "a URL with a host and without a user name"


def split_authority(scheme: str, authority: str) -> tuple[str, int]:
    """Return the host without brackets and the port; raise `ConstructionError` if one is wrong."""
    host, port_separator, port = authority.rpartition(":")
    if not port_separator or authority.endswith("]"):
        host, port = authority, DEFAULT_PORTS[scheme][1:]
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConstructionError("url", "a URL with a port from 1 to 65535", "its port is not one")
    if host[:1] == "[" and host[-1] == "]":
        host = host[1:-1]
    if "[" in host or "]" in host:
        raise ConstructionError(
            "url", "a URL with a host", "its brackets do not enclose an IPv6 address"
        )
    return host, int(port)
