"""`request(connection, signer, …)` for http.client."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPSConnection

from . import Signer


def request(
    connection: HTTPConnection, signer: Signer, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None
) -> None:
    """`connection.request`, signed: `target` is path and query. A str body is sent as UTF-8; raises `ConstructionError` for a generator."""
    data = body.encode() if isinstance(body, str) else body
    secure = isinstance(connection, HTTPSConnection)
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    host += "" if connection.port == (443 if secure else 80) else f":{connection.port}"
    signed = {"Host": host, **{name: value for name, value in (headers or {}).items() if name.lower() != "host"}}
    signer.apply(method, f"{'https' if secure else 'http'}://{host}{target}", signed, data)
    connection.request(method, target, data, signed)  # type: ignore[arg-type]  # whatever it takes, signed or refused above
