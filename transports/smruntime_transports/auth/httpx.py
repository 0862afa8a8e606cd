"""`Client(auth=Auth(signer))` for httpx, blocking and asynchronous."""

from __future__ import annotations

from collections.abc import Generator

try:
    import httpx
except ImportError as missing:
    raise ImportError("smruntime_transports.auth.httpx needs httpx: pip install httpx") from missing

from . import Signer
from ._httpx import flow


class Auth(httpx.Auth):
    """Signs with `signer` whatever the client sends; a body that comes in parts is read whole before."""

    requires_request_body = True

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        return flow(self._signer, request)
