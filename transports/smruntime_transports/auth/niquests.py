"""`session.auth = Auth(signer)` for niquests, `AsyncAuth(signer)` for its asynchronous session."""

# niquests replaces urllib3, so it is not installed where types are checked.
# pyright: reportMissingImports=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

try:
    import niquests
    from urllib3.util import parse_url
except ImportError as _missing:
    raise ImportError(
        "smruntime_transports.auth.niquests needs niquests: pip install niquests"
    ) from _missing

from ._requests import respond_async, sign_prepared
from ._signer import Signer


class Auth:
    """Authentication that signs with `signer`; a body is bytes, text or a file, not a generator."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def __call__(self, prepared_request: niquests.PreparedRequest) -> niquests.PreparedRequest:
        """Sign a prepared request."""
        return sign_prepared(self._signer, prepared_request, parse_url)


class AsyncAuth:
    """Authentication of an `AsyncSession`; otherwise as `Auth`."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def __call__(
        self, prepared_request: niquests.PreparedRequest
    ) -> niquests.PreparedRequest:
        """Sign a prepared request."""
        return sign_prepared(self._signer, prepared_request, parse_url, respond_async)
