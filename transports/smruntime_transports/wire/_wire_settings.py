"""The settings of every client over connections, and what is made of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, cast

from smruntime_core import ConstructionError
from smruntime_core.http1 import Engine
from smruntime_core.values import check_flag

from ..connect._connector import Connector
from ..connect._proxies import Proxies, Proxy
from ..nonblocking._connection import Option, options_of

if TYPE_CHECKING:
    import ssl

    from ..connect._tls import TLS

EngineName: TypeAlias = Literal["native", "h11"]


class ConnectionSettings(TypedDict, total=False):
    """The settings of every client over connections.

    `tls` is a `TLS` or an `ssl.SSLContext` (default: the system's certificates). `max_connections`
    limits the connections to one host; further calls wait. `proxy` is the URL of a proxy; with
    `trust_env` it may come from the environment, as `_proxies` says. `socket_options` are set on
    every socket after ours (no delay, and TCP keep-alive after a minute of silence).
    """

    tls: ssl.SSLContext | TLS | None
    max_connections: int
    proxy: str | Proxy | None
    trust_env: bool
    socket_options: Sequence[Option]


class WireSettings(ConnectionSettings, total=False):
    """Also `engine`, the reader of responses ("native", or "h11" with the extra of that name)."""

    engine: EngineName


def conceal_proxy(settings: WireSettings) -> None:
    """Replace the URL of a proxy, which may hold a password, by a `Proxy`.

    Raises `ConstructionError`.
    """
    if settings.get("proxy") is not None:
        settings["proxy"] = Proxy.of(settings.pop("proxy"))


def make_connector(
    clock: Callable[[], float],
    settings: WireSettings,
    connector_type: Callable[..., Connector] = Connector,
) -> Connector:
    """Return the connector that `settings`, after `conceal_proxy`, describe."""
    socket_options = options_of(settings.get("socket_options", ()))
    proxies = _read_proxies(settings)
    given_proxies = proxies if proxies.exist else None
    return connector_type(clock, settings.get("tls"), given_proxies, options=socket_options)


def _read_proxies(settings: WireSettings) -> Proxies:
    trust_environment = check_flag("trust_env", settings.get("trust_env", False))
    environment = os.environ if trust_environment else None
    try:
        return Proxies(cast("Proxy | None", settings.get("proxy")), environment)
    except ConstructionError as refusal:
        raise refusal.with_traceback(None) from None  # there, locals hold the environment


def load_engine(engine_name: EngineName) -> Engine | None:
    """Return the reader of bodies called `engine_name`; None is our own."""
    if engine_name == "native":
        return None
    if engine_name != "h11":
        raise ConstructionError("engine", '"native" or "h11"')
    from ._h11_engine import h11_engine

    return h11_engine
