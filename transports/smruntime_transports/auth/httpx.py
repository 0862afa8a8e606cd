"""`Client(auth=Auth(signer))` for httpx, sync and async."""

from __future__ import annotations

from collections.abc import Generator

try:
    import httpx
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.auth.httpx needs httpx: pip install httpx"
    ) from _missing

from ._httpx import authentication_flow
from ._signer import Signer


class Auth(httpx.Auth):
    """Authentication that signs with `signer`; a body that arrives in parts is read whole first."""

    requires_request_body = True

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Return the flow that httpx runs for one request."""
        return authentication_flow(self._signer, request)
