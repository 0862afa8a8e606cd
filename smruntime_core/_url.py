"""A URL in the four parts that signing and HTTP/1.1 need, cut the same way for both.

No normalising and no fragment: the signer must see the very characters that are sent.
"""

from __future__ import annotations

from ._errors import ConstructionError

DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def split(url: str) -> tuple[str, str, str, str]:
    """Scheme, authority (a default port left out, as a Host field has it), path ("/" if empty) and query.

    Raises `ConstructionError` if `url` is not absolute http or https, or bears a user name or control characters.
    """
    if not url.isprintable():
        raise ConstructionError("url", "printable characters only")
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in DEFAULT_PORTS:
        raise ConstructionError("url", "absolute, beginning with http:// or https://")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    if not authority or "@" in authority:
        raise ConstructionError("url", "a URL with a host and without a user name")
    return scheme, authority.removesuffix(DEFAULT_PORTS[scheme]), slash + path or "/", query


def host_and_port(scheme: str, authority: str) -> tuple[str, int]:
    """Where to connect to: the host without brackets, and the port."""
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, DEFAULT_PORTS[scheme][1:]
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConstructionError("url", "a URL with a port from 1 to 65535", "its port is not one")
    return host.strip("[]"), int(port)
