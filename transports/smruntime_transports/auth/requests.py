"""`session.auth = Auth(signer)` for requests."""

from __future__ import annotations

try:
    import requests
    from requests.auth import AuthBase
    from urllib3.util import parse_url
except ImportError as missing:
    raise ImportError(
        "smruntime_transports.auth.requests needs requests: pip install requests"
    ) from missing

from . import Signer
from ._requests import prepare


class Auth(AuthBase):
    """Signs with `signer` whatever the session sends. A body must be bytes, text or a file; not a generator."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared: requests.PreparedRequest = prepare(self._signer, r, parse_url)
        return prepared
