"""`session.auth = Auth(signer)` for requests."""

from __future__ import annotations

try:
    import requests
    from requests.auth import AuthBase
    from urllib3.util import parse_url
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.auth.requests needs requests: pip install requests"
    ) from _missing

from ._requests import sign_prepared
from ._signer import Signer


class Auth(AuthBase):
    """Authentication that signs with `signer`; a body is bytes, text or a file, not a generator."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def __call__(self, prepared_request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign a prepared request."""
        signed: requests.PreparedRequest = sign_prepared(self._signer, prepared_request, parse_url)
        return signed
