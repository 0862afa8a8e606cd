"""`Client(auth=Auth(signer))` for httpx2, blocking and asynchronous."""

from __future__ import annotations

from collections.abc import Generator

try:
    import httpx2
except ImportError as missing:
    raise ImportError(
        "smruntime_transports.auth.httpx2 needs httpx2: pip install httpx2"
    ) from missing

from . import Signer
from ._httpx import flow


class Auth(httpx2.Auth):
    """Signs with `signer` whatever the client sends; a body that comes in parts is read whole before."""

    requires_request_body = True

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        return flow(self._signer, request)
