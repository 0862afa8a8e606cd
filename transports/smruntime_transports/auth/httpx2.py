"""`Client(auth=Auth(signer))` for httpx2, sync and async."""

from __future__ import annotations

from collections.abc import Generator

try:
    import httpx2
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.auth.httpx2 needs httpx2: pip install httpx2"
    ) from _missing

from ._httpx import authentication_flow
from ._signer import Signer


class Auth(httpx2.Auth):
    """Authentication that signs with `signer`; a body that arrives in parts is read whole first."""

    requires_request_body = True

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Return the flow that httpx2 runs for one request."""
        return authentication_flow(self._signer, request)
