"""`request(connection, signer, …)` for http.client."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPSConnection

from . import Signer


def request(
    connection: HTTPConnection,
    signer: Signer,
    method: str,
    target: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """`connection.request`, signed: `target` is path and query. A str body is sent as UTF-8; raises `ConstructionError` for a generator."""
    data = body.encode() if isinstance(body, str) else body
    host, signed = _authority(connection), dict(headers or {})
    if not any(name.lower() == "host" for name in signed):
        signed["Host"] = host
    signer.apply(
        method,
        f"{'https' if isinstance(connection, HTTPSConnection) else 'http'}://{host}{target}",
        signed,
        data,
    )
    connection.request(method, target, data, signed)  # type: ignore[arg-type]  # whatever it takes, signed or refused above


def _authority(connection: HTTPConnection) -> str:
    """The server's name as a Host field has it; behind a tunnel that of the far end, which http.client shows nobody."""
    known = vars(connection)
    host, port = (
        known.get("_tunnel_host") or connection.host,
        known.get("_tunnel_port") or connection.port,
    )
    host = f"[{host}]" if ":" in host else host
    return host if port == connection.default_port else f"{host}:{port}"
