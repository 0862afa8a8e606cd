"""`request(connection, signer, …)` for http.client, which follows no redirects."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPSConnection

from ._signer import Signer, encode_text


def request(
    connection: HTTPConnection,
    signer: Signer,
    method: str,
    target: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Sign and send a request: `connection.request`, with path and query as `target`.

    Text is sent as UTF-8. Raises `ConstructionError` for a generator.
    """
    encoded_body, host_field = encode_text(body), _format_host(connection)
    signed_headers = dict(headers or {})
    if not any(name.lower() == "host" for name in signed_headers):
        signed_headers["Host"] = host_field
    scheme = "https" if isinstance(connection, HTTPSConnection) else "http"
    signer.apply(method, f"{scheme}://{host_field}{target}", signed_headers, encoded_body)
    # any body that can be signed
    connection.request(method, target, encoded_body, signed_headers)  # type: ignore[arg-type]


def _format_host(connection: HTTPConnection) -> str:
    """Return the server's name as in a Host field; behind a tunnel that of its far end.

    http.client has no public attribute for the far end.
    """
    private_attributes = vars(connection)
    host = private_attributes.get("_tunnel_host") or connection.host
    port = private_attributes.get("_tunnel_port") or connection.port
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port == connection.default_port else f"{bracketed}:{port}"
